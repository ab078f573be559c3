"""Draws a val split from people's own images where they have none."""

import hashlib
from pathlib import Path

from tfseg.data.conversion.raw import ConvertOptions
from tfseg.errors import InputError


def check_share(options: ConvertOptions):
    """Raises InputError for a share of val that is none."""
    if not 0 < options.val_share < 1:
        raise InputError(f"--val_share={options.val_share}: it must be between 0 and 1")


def with_val(splits: dict[str, list], options: ConvertOptions) -> tuple[dict[str, list], list[str], bool]:
    """Returns (splits with a val split, notes, whether nobody had divided the images into splits).

    If there is no val, it is drawn from train. The choice depends only on seed and stem: new files do not reshuffle the
    others.

    Args:
      splits: {split: RawExamples}.
      options: `val_share` and `seed` are used.
    """
    if "val" in splits or not splits.get("train"):
        return splits, [], False
    has_drawn_val = len(splits) == 1 and len(splits["train"]) > 1
    train, val, notes = _divided(splits["train"], options)
    return splits | {"train": train, "val": val}, notes, has_drawn_val


def _divided(examples, options):
    """Returns (train, val, notes)."""
    if len(examples) == 1:
        return examples, examples, ["warning: there is only one image; it is both train and val"]

    def position(example):
        stem = Path(example.filename).stem
        digest = hashlib.sha256(f"{options.seed}/{stem}".encode(errors="surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") / 2**64

    ordered = sorted(examples, key=lambda example: (position(example), example.filename))
    num_val = sum(position(example) < options.val_share for example in examples)
    val = set(ordered[: min(max(num_val, 1), len(examples) - 1)])
    train = [example for example in examples if example not in val]
    note = f"note: no val split found; {len(val)} of {len(examples)} images are drawn for it with seed {options.seed}"
    return train, [example for example in examples if example in val], [note]
