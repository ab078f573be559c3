"""The manifest of a folder of TFRecords: what the records mean, how many there are, and their checksums.

It is written last, so a folder without it is a conversion that did not finish.
"""

import dataclasses
import json
import typing
from pathlib import Path

from tfseg.errors import InputError, listed
from tfseg.labels import DatasetInfo
from tfseg.system.files import failure, file_sha256, open_regular, write_atomically
from tfseg.system.small_files import (
    Count,
    FieldError,
    Matches,
    Sha256,
    check_seal,
    damage_named,
    read_json,
    sealed,
    typed,
)

FILE_NAME = "manifest.json"
FORMAT = 1
GZIP_MAGIC = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True)
class Shard:
    """One TFRecord file.

    Attributes:
      file: its name in the folder.
      num_examples: number of records.
      num_bytes: size in bytes.
      sha256: sha256 of the content, in hex.
    """

    file: typing.Annotated[str, Matches(r"[^/\\\0]+\.tfrecord", "a file name ending in .tfrecord")]
    num_examples: Count
    num_bytes: Count
    sha256: Sha256


@dataclasses.dataclass(frozen=True)
class Split:
    """The records of one split.

    Attributes:
      num_examples: number of records in all shards.
      label_histogram: [num_classes] number of pixels of each class.
      ignored_pixels: number of pixels without a class.
      images_per_class: [num_classes] number of images that contain each class.
      shards: the files; splits may share them.
    """

    num_examples: Count
    label_histogram: list[Count]
    ignored_pixels: Count
    images_per_class: list[Count]
    shards: list[Shard]

    def __add__(self, other: "Split") -> "Split":
        def summed(ours, theirs):
            return [a + b for a, b in zip(ours, theirs, strict=True)]

        return Split(
            self.num_examples + other.num_examples,
            summed(self.label_histogram, other.label_histogram),
            self.ignored_pixels + other.ignored_pixels,
            summed(self.images_per_class, other.images_per_class),
            self.shards + other.shards,
        )


@dataclasses.dataclass(frozen=True)
class Manifest:
    """A folder of records.

    Attributes:
      info: names, colours and sizes of the data set.
      splits: {name: Split}.
      source: fingerprint of the raw data from which the records were made.
      compression: compression of the shards, as TFRecordWriter names it; "" is none.
      has_drawn_val: whether val was drawn at random from images without splits; train has the rest.
    """

    info: DatasetInfo
    splits: dict[str, Split]
    source: str = ""
    compression: str = ""
    has_drawn_val: bool = False

    def to_dict(self) -> dict:
        """Returns the manifest in plain JSON types; `from_dict` is the inverse."""
        splits = {name: dataclasses.asdict(split) for name, split in self.splits.items()}
        return {
            "format": FORMAT,
            "info": self.info.to_dict(),
            "label_hash": self.info.label_hash(),
            "compression": self.compression,
            "source": self.source,
            "has_drawn_val": self.has_drawn_val,
            "splits": splits,
        }

    @classmethod
    def from_dict(cls, values: dict) -> "Manifest":
        """Returns the manifest that `to_dict` made, or `write_manifest` wrote. Raises FieldError for anything else."""
        if isinstance(values, dict) and values.get("format") != FORMAT:
            raise FieldError("format", f"is {values.get('format')!r:.40}, this version reads {FORMAT}")
        file = typed(_File, values)
        if file.info.label_hash() != file.label_hash:
            raise FieldError("label_hash", "is not that of the class names in info: edited by hand")
        for name, split in file.splits.items():
            _check_counts(split, file.info.num_classes, f"splits.{name}")
        check_seal(values)
        return cls(file.info, file.splits, file.source, file.compression, file.has_drawn_val)


@dataclasses.dataclass(frozen=True)
class _File:
    """The fields of the file; see `Manifest`."""

    format: int
    info: DatasetInfo
    label_hash: str
    compression: str
    source: str
    splits: dict[str, Split]
    has_drawn_val: bool = False
    checksum: Sha256 | None = None


def _check_counts(split, num_classes, field):
    """Raises FieldError if the counts of a split contradict each other."""
    in_shards = sum(shard.num_examples for shard in split.shards)
    if in_shards != split.num_examples:
        raise FieldError(f"{field}.num_examples", f"is {split.num_examples}, its shards have {in_shards}")
    for name in ("label_histogram", "images_per_class"):
        if len(getattr(split, name)) != num_classes:
            raise FieldError(f"{field}.{name}", f"has {len(getattr(split, name))} counts for {num_classes} classes")
    for index, (pixels, images) in enumerate(zip(split.label_histogram, split.images_per_class, strict=True)):
        if images > split.num_examples:
            raise FieldError(f"{field}.images_per_class[{index}]", f"is {images} of {split.num_examples} images")
        if images > pixels or (pixels and not images):
            raise FieldError(f"{field}.label_histogram[{index}]", f"is {pixels} pixels in {images} images")
    if sum(split.label_histogram) + split.ignored_pixels < split.num_examples:
        raise FieldError(f"{field}.label_histogram", f"has fewer pixels than the {split.num_examples} images")


def write_manifest(data_dir, manifest: Manifest):
    """Writes `data_dir`/manifest.json so that it is there whole or not at all. Raises RunError.

    Its field "checksum" is the checksum of the others, since a changed histogram would silently change class weights.
    """
    content = json.dumps(sealed(manifest.to_dict()), indent=1) + "\n"
    write_atomically(Path(data_dir) / FILE_NAME, content.encode())


def read_manifest(data_dir) -> Manifest:
    """Reads the manifest of a folder of records.

    Raises:
      InputError: it is missing, damaged, or was changed by hand; the message names the field.
    """
    path = Path(data_dir) / FILE_NAME
    try:
        with damage_named(path, "convert the data again"):
            return Manifest.from_dict(read_json(path))
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"{data_dir}: no records with a {FILE_NAME} here; make them with "
            "python prepare_data.py --dataset=... --raw_dir=... --data_dir=..."
        ) from None


def split_files(manifest: Manifest, data_dir, split: str) -> list[str]:
    """Returns the paths of a split's shards. Raises InputError if there is no such split."""
    return [str(Path(data_dir) / shard.file) for shard in _split(manifest, data_dir, split).shards]


def check_split(manifest: Manifest, data_dir, split: str, expected_info: DatasetInfo | None = None, verify=False):
    """Checks, before anything is read, that the shards are those of the manifest.

    Args:
      manifest: the manifest of the records.
      data_dir: folder of the records.
      split: name of the split.
      expected_info: the labels that the model was or will be made for; None skips this comparison.
      verify: whether to read all files and compare their sha256, too.
    Raises:
      InputError: there is no such split, it is empty, its classes are not the expected ones, or a shard is missing, cut
        (even between two records) or compressed. With `verify`, also if a shard was changed.
    """
    if expected_info is not None and expected_info.label_hash() != manifest.info.label_hash():
        ours, theirs = manifest.info.class_names, expected_info.class_names
        raise InputError(
            f"{data_dir}: records of {len(ours)} classes ({listed(ours[:3])}...) but the config is for "
            f"{len(theirs)} ({listed(theirs[:3])}...); convert the data again or take another data set"
        )
    if manifest.compression:
        raise InputError(f"{data_dir}: compression {manifest.compression!r} is not supported; convert the data again")
    records = _split(manifest, data_dir, split)
    if records.num_examples == 0:
        raise InputError(f"{data_dir}: split {split!r} is empty")
    for shard in records.shards:
        _check_shard(Path(data_dir) / shard.file, shard, verify)


def _split(manifest, data_dir, split):
    if split not in manifest.splits:
        raise InputError(f"{data_dir}: no split {split!r}; there are {listed(manifest.splits)}")
    return manifest.splits[split]


def _check_shard(path, shard, verify):
    try:
        size = path.stat().st_size
        with open_regular(path) as file:
            magic = file.read(len(GZIP_MAGIC))
    except OSError as error:
        raise InputError(f"{path}: {failure(error)}; {FILE_NAME} lists it: convert the data again") from None
    if size != shard.num_bytes:
        if magic == GZIP_MAGIC:
            raise InputError(f"{path}: is gzip-compressed, but {FILE_NAME} declares no compression; gunzip it")
        raise InputError(
            f"{path}: {size} bytes instead of {shard.num_bytes}: cut or overwritten, not all of its "
            f"{shard.num_examples} records are there; convert the data again"
        )
    if verify and file_sha256(path) != shard.sha256:
        raise InputError(f"{path}: its sha256 is not that of {FILE_NAME}; convert the data again")
