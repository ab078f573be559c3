"""The one way to open a split of any data set: finds or makes its records, checks them and reads them."""

import contextlib
import dataclasses
import hashlib
import itertools
import os
import pickle
from pathlib import Path

from tfseg.data import pipeline
from tfseg.data.conversion.adaptation import adapted
from tfseg.data.conversion.convert import convert
from tfseg.data.conversion.raw import ConvertOptions, RawExample
from tfseg.data.datasets import folder, other_records
from tfseg.data.datasets.folder_layout import is_stray
from tfseg.data.datasets.table import dataset_of
from tfseg.data.manifest import FILE_NAME, Manifest, check_split, read_manifest, split_files
from tfseg.data.tfrecord import write_splits
from tfseg.errors import InputError
from tfseg.formats.archive import ENDINGS, is_archive, safe_extract
from tfseg.labels import DatasetInfo
from tfseg.system.files import locked
from tfseg.system.progress import say

# Part of the fingerprint of converted data. Raise it when a conversion would give different records.
VERSION = 2
NUM_MEASURED = 1000
# Files beside the only folder of an archive that say something about it. README and LICENSE have no ending.
TEXT_ENDINGS = {"", ".txt", ".md", ".rst", ".pdf", ".html", ".htm", ".rtf", ".doc", ".docx", ".bib", ".cff", ".url"}


def cache_dir() -> Path:
    """Returns the folder for converted data: $TFSEG_CACHE, or ~/.cache/tfseg.

    It has a folder for each state of the raw data, and unpacked archives. It may be emptied.
    """
    return Path(os.environ.get("TFSEG_CACHE") or Path.home() / ".cache" / "tfseg")


@dataclasses.dataclass(frozen=True)
class Split:
    """One split of a data set, whose shards exist and are complete.

    Attributes:
      name: name of the split, e.g. "val".
      data_dir: folder of the records.
      manifest: the folder's manifest.
    """

    name: str
    data_dir: str
    manifest: Manifest

    @property
    def info(self) -> DatasetInfo:
        """What the labels mean, from the manifest."""
        return self.manifest.info

    @property
    def files(self) -> list[str]:
        """Paths of the shards."""
        return split_files(self.manifest, self.data_dir, self.name)

    @property
    def num_examples(self) -> int:
        """Number of examples in all shards."""
        return self.manifest.splits[self.name].num_examples

    @property
    def num_examples_in_all(self) -> int:
        """Number of examples of the whole data set; those that several splits share count once."""
        shards = [shard for split in self.manifest.splits.values() for shard in split.shards]
        return sum({shard.sha256: shard.num_examples for shard in shards}.values())

    def examples(self, with_instances=False):
        """Returns every example once, in batches of one; see `pipeline.eval_examples`."""
        return pipeline.eval_examples(self.files, self.info, with_instances=with_instances)

    def usual_size(self) -> tuple[int, int]:
        """Returns the median (height, width) of the first `NUM_MEASURED` images, in pixels.

        Raises:
          InputError: a shard is damaged.
        """
        with self.damage_named():
            return pipeline.usual_size(self.files, NUM_MEASURED)

    def frames(self):
        """Yields the frames of the videos in their order, one at a time in memory.

        Yields:
          (name of the video, image [height, width, 3] uint8, label [height, width] int32, filename).
        Raises:
          InputError: the images are not frames of videos, or their records are not in the order of the frames.
        """
        last, ended = None, set()
        for one in pipeline.eval_examples(self.files, self.info, with_sequences=True).as_numpy_iterator():
            sequence, frame = one["sequence_id"][0].decode(errors="replace"), int(one["frame_id"][0])
            name = one["filename"][0].decode(errors="replace")
            if not sequence:
                raise InputError(
                    f"{self.data_dir}: {name} belongs to no video, so the split {self.name} has no order in time"
                )
            if last and sequence != last[0]:
                ended.add(last[0])
            if sequence in ended or (last and sequence == last[0] and frame <= last[1]):
                raise InputError(f"{self.data_dir}: {name} is not in the order of its video; convert the data again")
            last = sequence, frame
            yield sequence, one["image"][0], one["label"][0], name

    def damage_named(self, needs_labels=False, with_instances=False):
        """Returns a context in which an unreadable record causes an InputError that names it.

        See `pipeline.damage_named`.
        """
        return pipeline.damage_named(self.files, needs_labels, with_instances)

    def other(self, name: str) -> "Split":
        """Opens another split of the same records. Raises InputError in the same cases as `open_split`."""
        return _checked(name, self.data_dir, self.manifest, None)


def open_split(
    dataset: str, data_dir: str | None, name: str, expected_info: DatasetInfo | None = None, fold: str = ""
) -> Split:
    """Opens a split of a data set, and makes its records if need be.

    Args:
      dataset: key of `data.datasets.table.DATASETS`.
      data_dir: see `open_dataset`.
      name: name of the split, e.g. "val".
      expected_info: the labels that a model was or will be made for; None accepts any.
      fold: see `ConvertOptions.fold`.
    Raises:
      InputError: there is no such data set or split, the split is empty, its shards are missing or cut, its classes are
        not the expected ones, or `open_dataset` fails.
    """
    return _checked(name, *open_dataset(dataset, data_dir, ConvertOptions(fold=fold)), expected_info)


def _checked(name, data_dir, manifest, expected_info):
    check_split(manifest, data_dir, name, expected_info)
    return Split(name, data_dir, manifest)


def open_dataset(name: str, data_dir: str | None, options: ConvertOptions | None = None) -> tuple[str, Manifest]:
    """Finds the records of a data set, and makes them if need be.

    Args:
      name: key of `data.datasets.table.DATASETS`.
      data_dir: folder of records, or folder or archive of the raw data. Raw data are converted into the cache, and
        converted again whenever they have changed. None is for generated data.
      options: options of that conversion.
    Returns:
      (folder of the records, its manifest).
    Raises:
      InputError: there are no data, they belong to another data set, or raw files are bad, as in `prepare`.
      RunError: the disk is full, or a worker died.
    """
    options = options or ConvertOptions()
    dataset = dataset_of(name)
    if data_dir is not None and (Path(data_dir) / FILE_NAME).exists():
        if options.fold:
            raise InputError(
                f"--fold={options.fold}: {data_dir} holds records, whose splits stay as they are; give the folder of "
                "the images, or records that prepare_data.py --fold made, without --fold"
            )
        manifest = read_manifest(data_dir)
        _check_same_labels(dataset, name, manifest, data_dir)
        return str(data_dir), manifest
    listing = _listing(name, data_dir, options, "--data_dir")
    source = _fingerprint(name, listing, options)
    target = cache_dir() / f"{name}-{source[:16]}"
    with _one_at_a_time(target):
        with contextlib.suppress(InputError):
            return str(target), read_manifest(target)
        say(f"{name}: converting into {target}")
        return str(target), convert(listing, target, options, source)


def source_of(name: str, data_dir: str) -> str | None:
    """Returns the fingerprint of the raw data from which records are or would be made; None if there are no data."""
    with contextlib.suppress(InputError):
        if (Path(data_dir) / FILE_NAME).exists():
            return read_manifest(data_dir).source
        options = ConvertOptions()
        return _fingerprint(name, _listing(name, data_dir, options, "--data_dir"), options)
    return None


def prepare(name: str, raw_dir, data_dir, options: ConvertOptions | None = None, write=write_splits) -> Manifest:
    """Converts raw data into records. The folder `data_dir` appears only when everything is written.

    Args:
      name: key of `data.datasets.table.DATASETS`.
      raw_dir: folder or archive of the data as downloaded; None for generated data.
      data_dir: new or empty folder for the records.
      options: options of the conversion.
      write: what writes the shards; see `convert`.
    Raises:
      InputError: there are no data, files are bad (all of them are listed), or `data_dir` exists and is not empty.
      RunError: the disk is full, or a worker died.
    """
    options = options or ConvertOptions()
    data_dir = Path(data_dir).absolute()
    listing = _listing(name, raw_dir, options, "--raw_dir")
    with _one_at_a_time(data_dir):
        if data_dir.exists() and not (data_dir.is_dir() and not any(data_dir.iterdir())):
            raise InputError(f"{data_dir}: exists already; give another --data_dir or remove it")
        return convert(listing, data_dir, options, _fingerprint(name, listing, options), write)


def _one_at_a_time(target):
    """Locks `target` for this process; waits while another process holds the lock."""
    path = target.with_name(f".{target.name}.lock")
    return locked(path, lambda: say(f"waiting for the process that holds {path}"))


def _listing(name, raw_dir, options, flag):
    dataset = dataset_of(name)
    if raw_dir is None and not dataset.is_generated:
        url = dataset.info.url if dataset.info else dataset.url
        page = f"; download page: {url}" if url else ""
        raise InputError(f"--dataset={name} needs {flag}, the folder of its data{page}")
    if name != folder.NAME and (options.palette or options.value_map or options.instance_divisor):
        raise InputError(
            f"--palette, --map and --instance_divisor are for --dataset={folder.NAME}; {name} has its own labels"
        )
    if name != folder.NAME and (options.annotations or options.uncovered != "background"):
        raise InputError(f"--annotations and --uncovered are for --dataset={folder.NAME}; {name} has its own labels")
    if name != folder.NAME and options.fold:
        raise InputError(f"--fold is for --dataset={folder.NAME}; {name} has its own splits")
    raw_dir = None if raw_dir is None else Path(raw_dir)
    if raw_dir is not None and raw_dir.is_file() and is_archive(raw_dir):
        raw_dir = _extracted(raw_dir)
        # Own data are found in a folder inside by their reader, which must not take the only split for the whole.
        raw_dir = raw_dir if name == folder.NAME else _folder_of_content(raw_dir)
    if raw_dir is not None and raw_dir.exists() and not raw_dir.is_file() and not raw_dir.is_dir():
        raise InputError(f"{raw_dir}: neither a folder nor a regular file")
    if raw_dir is not None and not raw_dir.is_dir():
        raise InputError(f"{raw_dir}: no such folder (an archive must end in {', '.join(ENDINGS)})")
    if raw_dir is not None and not dataset.is_generated and any(raw_dir.glob(other_records.PATTERN)):
        return adapted(_listing_of_records(name, raw_dir, options), options)
    return adapted(dataset.list_examples(raw_dir, options), options)


def _listing_of_records(name, raw_dir, options):
    dataset = dataset_of(name)
    if (raw_dir / FILE_NAME).exists():
        raise InputError(f"{raw_dir}: these are records already; give them as --data_dir")
    if dataset.record_meaning:
        meaning = dataset.record_meaning(raw_dir)
    elif dataset.info:
        meaning = other_records.RecordMeaning.same(dataset.info)
    else:
        raise InputError(
            f"{raw_dir}: TFRecords without a {FILE_NAME}, and --dataset={name} does not know what their ids mean; give "
            "the images and labels they were made from"
        )
    return other_records.list_examples(raw_dir, options, meaning)


def _extracted(archive):
    """Unpacks an archive into the cache, unless that was done before; returns that folder."""
    stat = archive.stat()
    facts = f"{VERSION} {archive.resolve()} {stat.st_size} {stat.st_mtime_ns}"
    target = cache_dir() / "archives" / hashlib.sha256(facts.encode(errors="surrogateescape")).hexdigest()[:16]
    with _one_at_a_time(target):
        if not target.exists():
            say(f"{archive}: unpacking into {target}")
            safe_extract(archive, target)
    return target


def _folder_of_content(root):
    """Follows folders that hold a single folder and nothing else but text, as most archives do."""
    while True:
        inside = [path for path in root.iterdir() if not is_stray(path.name)]
        folders = [path for path in inside if path.is_dir()]
        if len(folders) != 1 or any(path.suffix.lower() not in TEXT_ENDINGS for path in inside if path not in folders):
            return root
        root = folders[0]


def _fingerprint(name, listing, options):
    """Returns a hash of the raw files (names, sizes, times), their labels' meaning and the options that matter."""
    facts = [VERSION, name, listing.version, listing.info, listing.encode, listing.splits, listing.problems]
    facts.append(options.skip_bad)
    digest = hashlib.sha256(pickle.dumps(facts, protocol=4))
    for item in itertools.chain(*listing.splits.values()):
        if isinstance(item, RawExample):
            paths = (item.image_path, item.label_path, item.instance_path)
            digest.update(repr([_size_and_time(path) for path in paths if path]).encode())
    return digest.hexdigest()


def _size_and_time(path):
    try:
        stat = os.stat(path)
    except OSError as error:  # a link to nothing, say: the conversion lists it as a bad file
        return error.errno
    return stat.st_size, stat.st_mtime_ns


def _check_same_labels(dataset, name, manifest, data_dir):
    info = dataset.info or manifest.info
    if manifest.info.name != name or info.label_hash() != manifest.info.label_hash():
        raise InputError(
            f"{data_dir}: records of {manifest.info.name} with {manifest.info.num_classes} classes, not of this "
            f"version's {name}; give --dataset={manifest.info.name} or convert the data again"
        )
