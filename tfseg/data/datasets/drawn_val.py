"""Draws a val split from people's own images where they have none."""

import hashlib
import re
from pathlib import Path

from tfseg.data.conversion.raw import ConvertOptions
from tfseg.errors import InputError, shortened


def check_share(options: ConvertOptions):
    """Raises InputError for a share of val that is none."""
    if not 0 < options.val_share < 1:
        raise InputError(f"--val_share={options.val_share}: it must be between 0 and 1")


def parse_fold(fold: str) -> tuple[int, int]:
    """Returns (K, N) of "K/N". Raises InputError for anything else, or if K is not 1 to N, or N below 2."""
    match = re.fullmatch(r"(\d{1,6})/(\d{1,6})", fold)
    part, parts = (int(number) for number in match.groups()) if match else (0, 0)
    if parts < 2 or not 1 <= part <= parts:
        raise InputError(f"--fold={shortened(fold, 40)}: PART/PARTS is wanted, e.g. 2/5 for the second of five parts")
    return part, parts


def with_val(splits: dict[str, list], options: ConvertOptions) -> tuple[dict[str, list], list[str], bool]:
    """Returns (splits with a val split, notes, whether nobody had divided the images into splits).

    With `fold`, images of train and val are divided anew; other splits stay. If there is no val, it is drawn from
    train. The choice depends only on seed and stem: new files do not reshuffle the
    others.

    Args:
      splits: {split: RawExamples}.
      options: `val_share`, `seed` and `fold` are used.
    """
    if options.fold:
        return _folded(splits, options)
    if "val" in splits or not splits.get("train"):
        return splits, [], False
    has_drawn_val = len(splits) == 1 and len(splits["train"]) > 1
    train, val, notes = _divided(splits["train"], options)
    return splits | {"train": train, "val": val}, notes, has_drawn_val


def _folded(splits, options):
    part, parts = parse_fold(options.fold)
    examples = _in_drawn_order([*splits.get("train", []), *splits.get("val", [])], options.seed)
    if len(examples) < parts:
        raise InputError(f"--fold={options.fold}: there are only {len(examples)} labelled images")
    begin, end = ((index * len(examples)) // parts for index in (part - 1, part))
    val, train = examples[begin:end], examples[:begin] + examples[end:]
    note = f"note: fold {options.fold}: {len(train)} images for train, {len(val)} for val"
    return splits | {"train": train, "val": val}, [note], False


def _position(example, seed):
    """Returns a number from 0 to 1 that only the seed and the image's name decide."""
    stem = Path(example.filename).stem
    digest = hashlib.sha256(f"{seed}/{stem}".encode(errors="surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _in_drawn_order(examples, seed):
    return sorted(examples, key=lambda example: (_position(example, seed), example.filename))


def _divided(examples, options):
    """Returns (train, val, notes)."""
    if len(examples) == 1:
        return examples, examples, ["warning: there is only one image; it is both train and val"]

    ordered = _in_drawn_order(examples, options.seed)
    num_val = sum(_position(example, options.seed) < options.val_share for example in examples)
    val = set(ordered[: min(max(num_val, 1), len(examples) - 1)])
    train = [example for example in examples if example not in val]
    note = f"note: no val split found; {len(val)} of {len(examples)} images are drawn for it with seed {options.seed}"
    return train, [example for example in examples if example in val], [note]
