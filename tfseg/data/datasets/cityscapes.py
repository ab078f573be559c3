"""Cityscapes (Cordts et al. 2016): 2048x1024 street scenes of 50 cities, 19 classes that are evaluated.

Layout: leftImg8bit/{train,val}/<city>/*_leftImg8bit.png and gtFine/{train,val}/<city>/*_gtFine_labelIds.png, in the
folder itself. Of the 34 label ids, 19 become the train ids of the official scripts, and all others become 255. `test`
has no labels and is omitted.

A record also has a panoptic map if *_gtFine_instanceIds.png is beside the label, or if the official script
csCreatePanopticImgs has written gtFine/cityscapes_panoptic_<split>_trainId.json (or, without train ids,
cityscapes_panoptic_<split>.json) and its folder of PNGs, which then replace the instance ids. If an image has no
*_gtFine_labelIds.png, its classes come from these PNGs, too; if it has both, they must agree.

If there is a folder leftImg8bit_sequence/ (the frames around the labelled ones), records also hold the frame before
each image, for models that learn from videos.

If there is a folder gtCoarse/, the split `train_coarse` holds the coarse labels of leftImg8bit/train_extra (19,998
images) and of leftImg8bit/train (2,975 images, which also have fine labels in `train`). All splits of a folder are
written together; to get only the 19,998, omit gtCoarse/train.
"""

import functools
import re
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.id_labels import refuse_colors, refuse_sets_of_colors
from tfseg.data.conversion.panoptic_labels import (
    annotated_labels,
    annotations_by_stem,
    missing_files,
    numbered_instances,
)
from tfseg.data.conversion.raw import ConvertOptions, EncodedExample, Listing, RawExample
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule, read_label, read_values
from tfseg.labels import IGNORE_LABEL, DatasetInfo

INFO = DatasetInfo(
    name="cityscapes",
    class_names=(
        "road",
        "sidewalk",
        "building",
        "wall",
        "fence",
        "pole",
        "traffic light",
        "traffic sign",
        "vegetation",
        "terrain",
        "sky",
        "person",
        "rider",
        "car",
        "truck",
        "bus",
        "train",
        "motorcycle",
        "bicycle",
    ),
    colors=(
        (128, 64, 128),
        (244, 35, 232),
        (70, 70, 70),
        (102, 102, 156),
        (190, 153, 153),
        (153, 153, 153),
        (250, 170, 30),
        (220, 220, 0),
        (107, 142, 35),
        (152, 251, 152),
        (70, 130, 180),
        (220, 20, 60),
        (255, 0, 0),
        (0, 0, 142),
        (0, 0, 70),
        (0, 60, 100),
        (0, 80, 100),
        (0, 0, 230),
        (119, 11, 32),
    ),
    thing_ids=frozenset(range(11, 19)),
    split_sizes={"train": 2975, "val": 500, "train_coarse": 22973},
    url="https://www.cityscapes-dataset.com/downloads/",
    categories=(
        *("flat",) * 2,
        *("construction",) * 3,
        *("object",) * 3,
        *("nature",) * 2,
        "sky",
        *("human",) * 2,
        *("vehicle",) * 6,
    ),
    # In pixels, from the official evaluation, without those of caravans and trailers, which it ignores.
    average_instance_sizes={
        "person": 3462.4756337644,
        "rider": 3930.4788056518,
        "car": 12794.0202738185,
        "truck": 27855.1264367816,
        "bus": 35732.1511111111,
        "train": 67583.7075812274,
        "motorcycle": 6298.7200839748,
        "bicycle": 4672.3249222261,
    },
)
NUM_LABEL_IDS = 34
# Label ids of the 19 classes, in the order of their train ids.
EVALUATED_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
TRAIN_IDS = dict.fromkeys(range(NUM_LABEL_IDS), IGNORE_LABEL) | {
    label_id: train_id for train_id, label_id in enumerate(EVALUATED_LABEL_IDS)
}
# In *_instanceIds.png, instance n (from 0) of a label id is 1000 * label id + n; other pixels have their label id.
INSTANCES_PER_LABEL = 1000
# {split: (kind of label, image folders)}
SPLITS = {
    "train": ("gtFine", ("train",)),
    "val": ("gtFine", ("val",)),
    "train_coarse": ("gtCoarse", ("train_extra", "train")),
}


# Some ids have the colour of others, e.g. pole groups that of poles, so that colours do not tell all classes.
ID_ADVICE = f"the ids are in the *_labelIds.png of {INFO.url}"
# {how the name of a file of csCreatePanopticImgs ends: category ids of all classes in it}
PANOPTIC_FILES = {"_trainId.json": range(INFO.num_classes), ".json": EVALUATED_LABEL_IDS}


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the labelled images in `raw_dir`. Raises InputError if there are none, or for a bad JSON file."""
    splits, problems = {}, []
    for split, (kind, folders) in SPLITS.items():
        examples = []
        annotations = _annotations(raw_dir / kind, split)
        for folder in folders:
            # An image folder may lack this kind of label: fine and coarse labels are downloaded separately.
            if annotations is None and not (raw_dir / kind / folder).is_dir():
                continue
            for image in sorted((raw_dir / "leftImg8bit" / folder).glob("*/*_leftImg8bit.png")):
                example, problem = _example(raw_dir, image, kind, annotations)
                examples += [example] if not problem else []
                problems += problem
        if examples:
            splits[split] = examples
    if not splits:
        raise InputError(
            f"{raw_dir}: no Cityscapes here (leftImg8bit/train/<city>/*_leftImg8bit.png, and gtFine/train/<city>/"
            "*_gtFine_labelIds.png or gtFine/cityscapes_panoptic_train_trainId.json with its folder of PNGs); get it "
            f"from {INFO.url}"
        )
    refuse_sets_of_colors(splits, options.max_pixels, ID_ADVICE)
    rule = LabelRule(INFO.num_classes, value_map=TRAIN_IDS)
    encode = functools.partial(encode_example, rule=rule, max_pixels=options.max_pixels)
    return Listing(INFO, encode, splits, problems=problems)


def _annotations(folder, split):
    """Reads {frame: annotation} from a file of csCreatePanopticImgs; returns None if there is no such file."""
    for ending, category_ids in PANOPTIC_FILES.items():
        path = folder / f"cityscapes_panoptic_{split}{ending}"
        if path.is_file():
            return annotations_by_stem(path, category_ids, suffix="_gtFine_panoptic")
    return None


def _example(raw_dir, image, kind, annotations):
    """Returns (RawExample or None, its problems)."""
    frame = image.name.removesuffix("_leftImg8bit.png")
    name = re.fullmatch(r"(.+)_(\d+)", frame)  # <city>_<sequence>_<frame>
    label = raw_dir / kind / image.parents[1].name / image.parent.name / f"{frame}_{kind}_labelIds.png"
    if annotations is None and not label.is_file():
        return None, [f"{image}: its label {label} is missing"]
    instances = label.with_name(f"{frame}_{kind}_instanceIds.png")
    annotation = annotations.get(frame) if annotations is not None else None
    if annotations is not None and annotation is None:
        return None, [f"{image}: has no annotation in {kind}/cityscapes_panoptic_{image.parents[1].name}*.json"]
    has_instances = kind == "gtFine" and instances.is_file()
    label_path, instance_path = str(label), str(instances) if has_instances else None
    if annotation:
        label_path, instance_path = (label_path, annotation.path) if label.is_file() else (annotation.path, None)
    previous = None
    if name:
        frames = raw_dir / "leftImg8bit_sequence" / image.parents[1].name / image.parent.name
        number = str(int(name[2]) - 1).zfill(len(name[2]))
        previous = frames / f"{name[1]}_{number}_leftImg8bit.png"
    example = RawExample(
        str(image),
        label_path,
        filename=image.relative_to(raw_dir).as_posix(),
        sequence_id=name[1] if name else None,
        frame_id=int(name[2]) if name else None,
        instance_path=instance_path,
        annotation=annotation,
        previous_path=str(previous) if previous and previous.is_file() else None,
    )
    return example, missing_files(example)


def encode_example(example: RawExample, rule: LabelRule, max_pixels: int) -> EncodedExample:
    """Returns the record of an image, its label and its instances. Raises InputError that names the file."""
    return encode_labelled(example, lambda: _read_labels(example, rule, max_pixels), max_pixels)


def _read_labels(example, rule, max_pixels):
    if example.annotation and example.instance_path is None:  # the only label
        return annotated_labels(example.annotation, INFO)
    refuse_colors(example.label_path, max_pixels, ID_ADVICE)
    class_ids = read_label(example.label_path, rule, max_pixels)
    if example.instance_path is None:
        return class_ids, None
    if example.annotation:
        classes, instance_ids = annotated_labels(example.annotation, INFO)
    else:
        classes, instance_ids = _read_instances(example, max_pixels)
    if classes.shape != class_ids.shape:
        raise InputError(
            f"{example.instance_path}: instance ids of {classes.shape[1]}x{classes.shape[0]} pixels for an image of "
            f"{class_ids.shape[1]}x{class_ids.shape[0]} (width x height)"
        )
    num_others = np.count_nonzero(classes != class_ids)
    if num_others:
        raise InputError(
            f"{example.instance_path}: {num_others} pixels have other classes than in {example.label_path}"
        )
    return class_ids, instance_ids


def _read_instances(example, max_pixels):
    """Reads (class ids, instance ids from 1 for things, 0 elsewhere) from an *_instanceIds.png."""
    values = read_values(example.instance_path, max_pixels)
    label_ids, instance_ids = numbered_instances(values, INSTANCES_PER_LABEL, INSTANCES_PER_LABEL)
    classes = np.full(65536, IGNORE_LABEL, np.uint8)
    classes[list(TRAIN_IDS)] = list(TRAIN_IDS.values())
    class_ids = classes[label_ids]
    instance_ids = np.where(np.isin(class_ids, list(INFO.thing_ids)), instance_ids, 0)
    if instance_ids.max(initial=0) >= INFO.label_divisor:
        raise InputError(
            f"{example.instance_path}: instance {instance_ids.max()} of a class does not fit the label divisor "
            f"{INFO.label_divisor}"
        )
    return class_ids, instance_ids
