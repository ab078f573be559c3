"""The images of COCO 2017 with the 21 classes of PASCAL VOC, to train on before VOC itself.

Layout: that of `coco_panoptic`, from whose annotations the labels come: every other category, stuff among them, is
background, crowds have their class, and void is ignored. Images of train with fewer than `MIN_PIXELS` pixels of the 20
objects (by the areas in the JSON file) are left out, and a note says how many; so does ShelfNet's code.
"""

import functools
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.panoptic_labels import annotated_labels
from tfseg.data.conversion.raw import ConvertOptions, EncodedExample, Listing, RawExample
from tfseg.data.datasets import coco_panoptic, voc2012
from tfseg.errors import InputError, listed
from tfseg.labels import IGNORE_LABEL, DatasetInfo

# COCO's category of each class of VOC; background has none.
CATEGORY_IDS = (0, 5, 2, 16, 9, 44, 6, 3, 17, 62, 21, 67, 18, 19, 4, 1, 64, 20, 63, 7, 72)
MIN_PIXELS = 1000
INFO = DatasetInfo(
    name="coco_voc",
    class_names=voc2012.INFO.class_names,
    colors=voc2012.INFO.colors,
    split_sizes={"val": coco_panoptic.SPLIT_SIZES["val"]},
    url=coco_panoptic.URL,
)


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the annotated images in `raw_dir`. Raises InputError if there are none, or for a bad JSON file."""
    info, annotated = coco_panoptic.read_splits(raw_dir)
    classes = _classes(next(iter(annotated.values())))
    splits, problems, notes = {}, [], []
    for split, annotations in annotated.items():
        examples, missing = coco_panoptic.raw_examples(raw_dir, split, annotations)
        problems += missing
        kept = [example for example in examples if split != "train" or _num_pixels(example, classes) >= MIN_PIXELS]
        if len(kept) < len(examples):
            notes.append(
                f"note: {len(examples) - len(kept)} of {len(examples)} images of {split} are left out, which show "
                f"fewer than {MIN_PIXELS} pixels of VOC's 20 objects"
            )
        splits |= {split: kept} if kept else {}
    encode = functools.partial(_encode, info=info, classes=classes, max_pixels=options.max_pixels)
    return Listing(INFO, encode, splits, problems=problems, notes=notes)


def _classes(annotations):
    """Returns [256] uint8: the class of each class id of the JSON file. Raises InputError if it lacks a category."""
    missing = set(CATEGORY_IDS[1:]) - set(annotations.category_ids)
    if missing:
        raise InputError(f"{annotations.path}: has no categories {listed(sorted(missing))}; take the file of COCO 2017")
    classes = np.zeros(256, np.uint8)
    classes[IGNORE_LABEL] = IGNORE_LABEL
    for class_id, category_id in enumerate(annotations.category_ids):
        classes[class_id] = CATEGORY_IDS.index(category_id) if category_id in CATEGORY_IDS[1:] else 0
    return classes


def _num_pixels(example, classes):
    """The number of an image's pixels that show objects; a segment without an area counts as large."""
    objects = [segment for segment in example.annotation.segments if classes[segment.class_id]]
    return sum(MIN_PIXELS if segment.area is None else segment.area for segment in objects)


def _encode(example: RawExample, info: DatasetInfo, classes, max_pixels: int) -> EncodedExample:
    """Returns the record of an image. Raises InputError that names the file."""
    return encode_labelled(example, lambda: (classes[annotated_labels(example.annotation, info)[0]], None), max_pixels)
