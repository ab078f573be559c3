"""COCO panoptic 2017 (Lin et al. 2014; Kirillov et al. 2019): 133 classes, 80 of them things.

Layout: train2017/*.jpg and val2017/*.jpg; annotations/panoptic_train2017.json and panoptic_val2017.json with their
folders of PNGs beside them (from panoptic_train2017.zip and panoptic_val2017.zip, which are inside the archive of
annotations). A split without its JSON file is omitted.

Names, colours and things come from the JSON files. Class ids number the categories from 0, in the files' order; void is
255. Crowds keep their class and have no instance.

TFRecords of other projects also work (see `other_records`), with one of the JSON files beside them.
"""

import functools
from pathlib import Path

from tfseg.data.conversion.panoptic_labels import by_stem, check_png_folder, encode_annotated, missing_files
from tfseg.data.conversion.raw import ConvertOptions, Listing, RawExample
from tfseg.data.datasets.other_records import RecordMeaning
from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.annotations import Annotations, read_annotations
from tfseg.labels import IGNORE_LABEL, MAX_CLASSES, DatasetInfo

NAME = "coco_panoptic"
URL = "https://cocodataset.org/#download"
SPLIT_SIZES = {"train": 118287, "val": 5000}
DEEPLAB2_DIVISOR = 256


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the annotated images in `raw_dir`. Raises InputError if there are none, or for a bad JSON file."""
    info, annotated = read_splits(raw_dir)
    splits, problems = {}, []
    for split, images in annotated.items():
        examples, missing = raw_examples(raw_dir, split, images)
        problems += missing
        splits |= {split: examples} if examples else {}
    encode = functools.partial(encode_annotated, info=info, max_pixels=options.max_pixels)
    return Listing(info, encode, splits, problems=problems)


def read_splits(raw_dir: Path) -> tuple[DatasetInfo, dict[str, Annotations]]:
    """Reads the JSON files of `raw_dir`: (classes, {split: annotations}).

    Raises:
      InputError: there is none, one is bad, or they differ in their categories.
    """
    paths = {split: raw_dir / "annotations" / f"panoptic_{split}2017.json" for split in SPLIT_SIZES}
    files = {split: path for split, path in paths.items() if path.is_file()}
    if not files:
        raise InputError(
            f"{raw_dir}: no COCO panoptic here (val2017/*.jpg, annotations/panoptic_val2017.json and the folder "
            f"annotations/panoptic_val2017); get it from {URL}"
        )
    for path in files.values():
        check_png_folder(path)
    annotations = {split: read_annotations(path) for split, path in files.items()}
    return _info(list(annotations.values())), annotations


def raw_examples(raw_dir: Path, split: str, annotations: Annotations) -> tuple[list[RawExample], list[str]]:
    """Returns (the examples of a split, one line for each of its missing files)."""
    images = by_stem(annotations.images.values())
    examples = [_example(raw_dir, split, stem, image) for stem, image in images.items()]
    missing = [missing_files(example) for example in examples]
    problems = [line for lines in missing for line in lines]
    return [example for example, lines in zip(examples, missing, strict=True) if not lines], problems


def record_meaning(raw_dir: Path) -> RecordMeaning:
    """Returns the meaning of ids in DeepLab2's records (contiguous from 1) and Model Garden's (categories).

    The id 0 is void in both.

    Raises:
      InputError: `raw_dir` has no JSON file that names the categories, or a bad one.
    """
    paths = sorted(raw_dir.glob("panoptic_*.json"))
    if not paths:
        raise InputError(
            f"{raw_dir}: records, but no panoptic_val2017.json that names their classes; put it beside them"
        )
    annotations = read_annotations(paths[0])
    info, void = _info([annotations]), {0: IGNORE_LABEL}
    contiguous = {class_id + 1: class_id for class_id in range(info.num_classes)}
    categories = {category_id: class_id for class_id, category_id in enumerate(annotations.category_ids)}
    return RecordMeaning(info, DEEPLAB2_DIVISOR, void | contiguous, void | categories)


def _info(annotations):
    first, *others = annotations
    for other in others:
        # One class id must mean one category in all splits.
        facts = [(each.category_ids, each.info.class_names, each.info.thing_ids) for each in (first, other)]
        if facts[0] != facts[1]:
            raise InputError(f"{first.path} and {other.path}: categories differ; take both files of one release")
    if first.info.num_classes > MAX_CLASSES:
        raise InputError(f"{first.path}: {first.info.num_classes} categories; label maps have {MAX_CLASSES} at most")
    return DatasetInfo(
        NAME,
        first.info.class_names,
        first.info.colors,
        thing_ids=first.info.thing_ids,
        split_sizes=SPLIT_SIZES,
        url=URL,
    )


def _example(raw_dir, split, stem, annotation):
    name = f"{split}2017/{stem}.jpg"
    return RawExample(str(raw_dir / name), annotation.path, filename=name, annotation=annotation)
