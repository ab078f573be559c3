"""Converts raw examples to a folder of records, which is either complete or not there at all."""

from pathlib import Path

from tfseg.data.conversion.agreement import agreed
from tfseg.data.conversion.orientation import with_mask_orientation
from tfseg.data.conversion.raw import ConvertOptions, Listing
from tfseg.data.tfrecord import Manifest, write_manifest, write_splits
from tfseg.errors import MAX_MESSAGE, InputError, listed, shortened
from tfseg.labels import DatasetInfo
from tfseg.system.files import whole_folder
from tfseg.system.progress import say

MAX_PRINTED = 20
MAX_IN_MESSAGE = 3
MAX_BAD_SHARE = 0.01


def convert(listing: Listing, data_dir: Path, options: ConvertOptions, source: str, write=write_splits) -> Manifest:
    """Writes the records of all splits into a folder beside `data_dir`; when complete, it replaces `data_dir`.

    Args:
      listing: the raw examples.
      data_dir: folder of the records.
      options: the user's choices.
      source: fingerprint of the raw data, for the manifest.
      write: what writes the shards: a function with the arguments and results of `tfrecord.write_splits`.
    Raises:
      InputError: there are bad files. All are listed: up to three in the message if they fit into it, otherwise in
        <data_dir>.problems.txt.
      RunError: the disk is full, or a worker died.
    """
    with whole_folder(data_dir, may_replace=True) as partial:
        manifest = _convert(listing, partial, options, source, Path(f"{data_dir}.problems.txt"), write)
    return manifest


def _convert(listing, target, options, source, report, write):
    """Writes all shards and the manifest into `target`."""
    listing = with_mask_orientation(listing, options)
    splits = {split: items for split, items in listing.splits.items() if items}
    written = write(target, splits, listing.encode, options.num_workers)
    # This comes first: what two files contradict each other in can make many others bad.
    stored = [values for part in written.values() for values in part.label_values.values()]
    agreement = agreed(stored, takes_palette=not isinstance(listing.info, DatasetInfo))
    problems = listing.problems + [line for part in written.values() for line in part.problems]
    problems = list(dict.fromkeys(problems))  # a single image is in train and in val
    num_examples = sum(len(items) for items in listing.splits.values()) + len(listing.problems)
    _check_problems(problems, num_examples, options.skip_bad, report)
    if problems:
        (target / "skipped.txt").write_text("\n".join(problems) + "\n", errors="backslashreplace")
        say(f"{len(problems)} bad files are left out; skipped.txt lists them")
    info, notes = listing.info, listing.notes
    if not isinstance(info, DatasetInfo):
        info, remarks = info(sum(part.pixel_counts for part in written.values()))
        notes = notes + remarks
    splits = {name: part.split(info.num_classes) for name, part in written.items()}
    for union, names in listing.unions.items():
        first, *others = [splits[name] for name in names if name in splits]
        splits[union] = sum(others, first)
    for line in notes + agreement + _rotations(written.values()) + _warnings(info, splits):
        say(line)
    manifest = Manifest(info, splits, source, has_drawn_val=listing.has_drawn_val)
    write_manifest(target, manifest)
    return manifest


def _check_problems(problems, num_examples, skip_bad, report):
    """Raises InputError for bad files, unless `skip_bad` is set and they are at most 1 % of all files."""
    report.unlink(missing_ok=True)
    if not problems or (skip_bad and len(problems) <= MAX_BAD_SHARE * num_examples):
        return
    advice = ""
    if skip_bad:
        advice = f" ({len(problems)} of {num_examples} files are bad; --skip_bad leaves out at most 1 %)"
    together = "; ".join(problems) + advice
    if len(problems) == 1 or (len(problems) <= MAX_IN_MESSAGE and len(together) <= MAX_MESSAGE):
        raise InputError(shortened(together))
    for line in problems[:MAX_PRINTED]:
        say(shortened(line))
    if len(problems) > MAX_PRINTED:
        say(f"and {len(problems) - MAX_PRINTED} more")
    report.write_text("\n".join(problems) + "\n", errors="backslashreplace")
    path, colon, reason = problems[0].partition(": ")
    message = f"{len(problems)} bad files, listed in {report}{advice}; the first: "
    first = problems[0] if len(message + problems[0]) <= MAX_MESSAGE else Path(path).name + colon + reason
    raise InputError(message + shortened(first, max(MAX_MESSAGE - len(message), 60)))


def _rotations(parts):
    images, labels = sum(part.num_rotated for part in parts), sum(part.num_labels_rotated for part in parts)
    if not images:
        return []
    masks = {0: "; their masks were upright already", images: " and to their masks"}
    masks = masks.get(labels, f" and to {labels} of their masks; the others were upright already")
    return [f"note: {images} images have an EXIF rotation; it was applied to them{masks}"]


def _warnings(info, splits):
    lines = []
    for split, size in info.split_sizes.items():
        if split in splits and splits[split].num_examples != size:
            lines.append(f"note: {split} has {splits[split].num_examples} images; the complete {info.name} has {size}")
    train, val = splits.get("train"), splits.get("val")
    if train and val:
        pairs = zip(info.class_names, train.label_histogram, val.label_histogram, strict=True)
        unseen = [name for name, in_train, in_val in pairs if in_val and not in_train]
        if unseen:
            lines.append(f"warning: classes in val but not in train, which cannot be learned: {listed(unseen)}")
    return lines
