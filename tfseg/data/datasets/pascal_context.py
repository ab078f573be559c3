"""PASCAL-Context (Mottaghi et al. 2014): the images of PASCAL VOC 2010 with every pixel labelled, 59 classes.

Layout: the folder that holds VOCdevkit/VOC2010 (or VOC2010, or is it), with JPEGImages/ and lists of the images,
ImageSets/SegmentationContext/{train,val}.txt or, without these, VOC's own ImageSets/Main/{train,val}.txt. Labels are
  - SegmentationClassContext/*.png beside the images: 0 for background, 1 to 59 for the classes by the alphabet, as
    mmsegmentation and PyTorch-Encoding number them;
  - or trainval/*.mat, as published, in this folder or in the one that is given: 459 categories, of which all but the 59
    classes are background.

`pascal_context` ignores the background; in `pascal_context_60` it is class 0.
"""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.id_labels import encode_ids, refuse_sets_of_colors
from tfseg.data.conversion.panoptic_labels import missing_files
from tfseg.data.conversion.raw import ConvertOptions, EncodedExample, Listing, RawExample
from tfseg.errors import InputError, listed
from tfseg.formats.label_file import LabelRule
from tfseg.formats.matlab_file import read_map
from tfseg.formats.text_lines import read_lines
from tfseg.labels import IGNORE_LABEL, DatasetInfo, voc_colors

# {class: its category in the .mat files}
CATEGORIES = {
    "aeroplane": 2,
    "bag": 9,
    "bed": 18,
    "bedclothes": 19,
    "bench": 22,
    "bicycle": 23,
    "bird": 25,
    "boat": 31,
    "book": 33,
    "bottle": 34,
    "building": 44,
    "bus": 45,
    "cabinet": 46,
    "car": 59,
    "cat": 65,
    "ceiling": 68,
    "chair": 72,
    "cloth": 80,
    "computer": 85,
    "cow": 98,
    "cup": 104,
    "curtain": 105,
    "dog": 113,
    "door": 115,
    "fence": 144,
    "floor": 158,
    "flower": 159,
    "food": 162,
    "grass": 187,
    "ground": 189,
    "horse": 207,
    "keyboard": 220,
    "light": 232,
    "motorbike": 258,
    "mountain": 259,
    "mouse": 260,
    "person": 284,
    "plate": 295,
    "platform": 296,
    "potted plant": 308,
    "road": 324,
    "rock": 326,
    "sheep": 347,
    "shelves": 349,
    "sidewalk": 354,
    "sign": 355,
    "sky": 360,
    "snow": 366,
    "sofa": 368,
    "table": 397,
    "track": 415,
    "train": 416,
    "tree": 420,
    "truck": 424,
    "tv monitor": 427,
    "wall": 440,
    "water": 445,
    "window": 454,
    "wood": 458,
}
NUM_CATEGORIES = 459
INFO_60 = DatasetInfo(
    name="pascal_context_60",
    class_names=("background", *CATEGORIES),
    colors=voc_colors(1 + len(CATEGORIES)),
    split_sizes={"train": 4998, "val": 5105},
    url="https://cs.stanford.edu/~roozbeh/pascal-context/",
)
INFO = dataclasses.replace(
    INFO_60, name="pascal_context", class_names=INFO_60.class_names[1:], colors=INFO_60.colors[1:]
)
ID_ADVICE = "they are numbered 0 (background) to 59"
ROOTS = ("VOCdevkit/VOC2010", "VOC2010", "")
LISTS = ("SegmentationContext", "Main")


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the images in `raw_dir`, with 59 classes. Raises InputError if this is not PASCAL-Context."""
    return _listing(INFO, raw_dir, options)


def list_60_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the images in `raw_dir`, with background as a class. Raises InputError if this is not PASCAL-Context."""
    return _listing(INFO_60, raw_dir, options)


def _listing(info, raw_dir, options):
    root = next((raw_dir / folder for folder in ROOTS if (raw_dir / folder / "JPEGImages").is_dir()), None)
    folders = [] if root is None else [root / "SegmentationClassContext", root / "trainval", raw_dir / "trainval"]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise InputError(
            f"{raw_dir}: no PASCAL-Context here (VOC2010/JPEGImages, and VOC2010/SegmentationClassContext/*.png or "
            f"trainval/*.mat); get it from {info.url}, and the images of VOC 2010"
        )
    has_pngs = folder.name == "SegmentationClassContext"
    splits, problems = {}, []
    for split in info.split_sizes:
        for stem in _stems(root, split):
            image, label = root / "JPEGImages" / f"{stem}.jpg", folder / f"{stem}.{'png' if has_pngs else 'mat'}"
            example = RawExample(str(image), str(label), filename=image.name)
            missing = missing_files(example)
            problems += missing
            splits.setdefault(split, []).extend([example] if not missing else [])
    splits = {split: examples for split, examples in splits.items() if examples}
    # Value 0 becomes the first class of 60, or is ignored; the 59 classes follow, or come first.
    ids = [IGNORE_LABEL, *range(info.num_classes)] if info is INFO else range(info.num_classes)
    if not has_pngs:
        encode = functools.partial(_encode_mat, ids=ids, max_pixels=options.max_pixels)
        return Listing(info, encode, splits, problems=problems)
    refuse_sets_of_colors(splits, options.max_pixels, ID_ADVICE)
    rule = LabelRule(info.num_classes, value_map=dict(enumerate(ids)))
    encode = functools.partial(encode_ids, rule=rule, max_pixels=options.max_pixels, advice=ID_ADVICE)
    return Listing(info, encode, splits, problems=problems)


def _stems(root, split):
    """Reads the names of a split's images. Raises InputError if there is no list of them."""
    paths = [root / "ImageSets" / folder / f"{split}.txt" for folder in LISTS]
    path = next((path for path in paths if path.is_file()), None)
    if path is None:
        raise InputError(f"{paths[0]}: no such list of the images of {split}, and no {paths[1]}")
    return [line.split()[0] for line in read_lines(path) if line.strip()]


def _encode_mat(example: RawExample, ids, max_pixels: int) -> EncodedExample:
    """Returns the record of an image and its .mat file. Raises InputError that names the file."""
    return encode_labelled(example, lambda: (_read_mat(example.label_path, ids, max_pixels), None), max_pixels)


def _read_mat(path, ids, max_pixels):
    """Reads [height, width] uint8 class ids; `ids` are those of the background and of the 59 classes."""
    categories = read_map(path, "LabelMap", max_pixels)
    if categories.max() > NUM_CATEGORIES:
        unknown = listed(np.unique(categories[categories > NUM_CATEGORIES]))
        raise InputError(f"{path}: category {unknown}; they are 1 to {NUM_CATEGORIES}")
    table = np.full(NUM_CATEGORIES + 1, ids[0], np.uint8)
    table[list(CATEGORIES.values())] = ids[1:]
    return table[categories]
