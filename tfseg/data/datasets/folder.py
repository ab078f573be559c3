"""People's own data: a folder of images and a folder of labels with the same names.

Layout: images/ and masks/ (or labels/, annotations/), which are divided into train and val; or one such pair per split,
as <split>/images and <split>/masks or as images/<split> and masks/<split>. `photo.jpg` belongs to `photo.png`,
`photo_mask.png` or `photo_label.png`.

Labels are images of class ids (grey or palette, 255 = ignored), or of colours that a palette file explains. A file
classes.txt or names.txt in the folder names the classes, one per line; without it they are class_0, class_1, ...
"""

import functools
import hashlib
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_pair
from tfseg.data.conversion.palette import read_names, read_palette
from tfseg.data.conversion.raw import ConvertOptions, Listing, RawExample
from tfseg.errors import InputError
from tfseg.formats.images import LabelRule
from tfseg.labels import IGNORE_LABEL, DatasetInfo, default_colors

NAME = "folder"
LABEL_FOLDERS = ("masks", "labels", "annotations")
NAMES_FILES = ("classes.txt", "names.txt")
LABEL_SUFFIXES = ("_mask", "_masks", "_label", "_labels")
IMAGE_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm"}
SPLIT_NAMES = {"training": "train", "valid": "val", "validation": "val", "testing": "test"}


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the pairs in `raw_dir`. Raises InputError for another layout, or a bad file of names or palette."""
    if not 0 < options.val_share < 1:
        raise InputError(f"--val_share={options.val_share}: it must be between 0 and 1")
    names, palette = _names(raw_dir, options)
    splits, problems, notes = {}, [], []
    for split, folders in _layout(raw_dir).items():
        splits[split], bad, remarks = _pairs(raw_dir, *folders)
        problems += bad
        notes += remarks
    splits = {split: examples for split, examples in splits.items() if examples}
    if not splits and not problems:
        raise InputError(f"{raw_dir}: no images ({', '.join(sorted(IMAGE_ENDINGS))})")
    if "val" not in splits and splits.get("train"):
        splits["train"], splits["val"], remarks = _divided(splits["train"], options)
        notes += remarks
    rule = LabelRule(
        len(names) if names else None,
        value_map=options.value_map,
        palette=palette.class_ids if palette else None,
    )
    encode = functools.partial(encode_pair, rule=rule, max_pixels=options.max_pixels)
    info = functools.partial(_info, names=names, palette=palette, value_map=options.value_map, raw_dir=raw_dir)
    return Listing(info, encode, splits, problems=problems, notes=notes)


def _names(raw_dir, options):
    """Reads (class names or None, Palette or None) from the text files."""
    file = next((raw_dir / name for name in NAMES_FILES if (raw_dir / name).is_file()), None)
    names = read_names(file) if file else None
    palette = read_palette(options.palette) if options.palette else None
    if names and palette and names != palette.class_names:
        raise InputError(f"{file} and {options.palette} differ in classes or in their order; remove one of the two")
    return names or (palette.class_names if palette else None), palette


def _layout(raw_dir):
    """Returns {split: (image folder, label folder)}."""
    layout = {}
    labels = _label_folder(raw_dir)
    if labels and (raw_dir / "images").is_dir():
        inside = [path for path in sorted((raw_dir / "images").iterdir()) if path.is_dir()]
        layout = {path.name: (path, labels / path.name) for path in inside if (labels / path.name).is_dir()}
        if any(_is_image(path) for path in (raw_dir / "images").iterdir()):
            layout = {"train": (raw_dir / "images", labels)}
    else:
        for path in sorted(raw_dir.iterdir()):
            if (path / "images").is_dir() and _label_folder(path):
                layout[path.name] = (path / "images", _label_folder(path))
    if not layout:
        raise InputError(
            f"{raw_dir}: no images/ beside masks/ (or labels/, annotations/) with pictures, and no train/images "
            "beside train/masks; see python prepare_data.py --help"
        )
    return {SPLIT_NAMES.get(name, name): folders for name, folders in layout.items()}


def _label_folder(parent):
    return next((parent / name for name in LABEL_FOLDERS if (parent / name).is_dir()), None)


def _is_image(path):
    return path.suffix.lower() in IMAGE_ENDINGS and not path.name.startswith(".")


def _by_stem(paths, suffixes=()):
    """Returns {stem without suffix: the files that have it}."""
    files = {}
    for path in paths:
        stem = path.stem
        for suffix in suffixes:
            stem = stem.removesuffix(suffix)
        files.setdefault(stem, []).append(path)
    return files


def _pairs(raw_dir, image_folder, label_folder):
    """Returns (RawExamples, problems, notes) of one split."""
    images = _by_stem(path for path in sorted(image_folder.iterdir()) if _is_image(path))
    label_files = [path for path in sorted(label_folder.iterdir()) if _is_image(path)]
    exact, with_suffix = _by_stem(label_files), _by_stem(label_files, LABEL_SUFFIXES)
    examples, problems, used = [], [], set()
    for stem, candidates in images.items():
        # A label with the full name comes first: an image may itself be named x_mask.
        labels = exact.get(stem) or with_suffix.get(stem, [])
        used |= set(labels)
        clash = next((paths for paths in (candidates, labels) if len(paths) > 1), None)
        if clash:
            problems.append(f"{clash[0]}: {' and '.join(path.name for path in clash[1:])} has the same stem")
        elif not labels:
            problems.append(f"{candidates[0]}: no label {label_folder / stem}.png")
        else:
            filename = candidates[0].relative_to(raw_dir).as_posix()
            examples.append(RawExample(str(candidates[0]), str(labels[0]), filename))
    unused = [path for path in label_files if path not in used]
    notes = [f"note: {len(unused)} labels in {label_folder} have no image, e.g. {unused[0].name}"] if unused else []
    return examples, problems, notes


def _divided(examples, options):
    """Returns (train, val, notes). The choice depends only on seed and stem: new files do not reshuffle the others."""
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


def _info(counts, names, palette, value_map, raw_dir):
    """Returns (DatasetInfo, notes) from the numbers of pixels of every class id."""
    labelled = np.flatnonzero(counts[:IGNORE_LABEL])
    is_binary = list(labelled) in ([], [0]) and counts[IGNORE_LABEL] > 0
    if is_binary and palette is None and IGNORE_LABEL not in value_map:
        raise InputError(
            f"{raw_dir}: the labels hold only 0 and 255, and 255 means ignored; if 255 is a class, give --map 255:1; "
            "if not, --map 255:255"
        )
    notes = []
    if not names:
        names = tuple(f"class_{class_id}" for class_id in range(max(labelled, default=0) + 1))
        notes.append(f"note: no {NAMES_FILES[0]}; {len(names)} classes from the labels: {', '.join(names)}")
    unseen = [name for class_id, name in enumerate(names) if not counts[class_id]]
    if unseen:
        notes.append(f"warning: classes that are in no label: {', '.join(unseen)}")
    try:
        return DatasetInfo(NAME, names, palette.colors if palette else default_colors(len(names))), notes
    except ValueError as error:
        raise InputError(f"{raw_dir}: {error}") from None
