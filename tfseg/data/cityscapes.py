"""Cityscapes (Cordts et al. 2016): 2048x1024 street scenes of 50 cities, 19 classes that are evaluated.

Layout: leftImg8bit/{train,val}/<city>/*_leftImg8bit.png and gtFine/{train,val}/<city>/*_gtFine_labelIds.png, in the
folder itself. The 34 label ids become the 19 train ids of the official scripts, all others 255. `test` has no labels
and is left out. Where *_gtFine_instanceIds.png is beside a label, the record has a panoptic map, too.

Where gtCoarse/ is there too, the split `train_coarse` holds the coarse labels of leftImg8bit/train_extra (19,998
images) and of leftImg8bit/train (2,975): each of these also has a fine label in `train`. The splits of one folder are
written together; whoever wants only the 19,998 leaves gtCoarse/train away.
"""

import dataclasses
import functools
import hashlib
import re
from pathlib import Path

import numpy as np

from tfseg.data.images import LabelRule, encode_pair, encode_panoptic, read_label, read_values
from tfseg.data.raw import ConvertOptions, EncodedExample, Listing, RawExample
from tfseg.errors import InputError
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
    # Pixels, as the official evaluation has them; those of caravans and trailers, which it ignores, are left out.
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
# In *_instanceIds.png, instance n (from 0) of a label id is 1000 * label id + n; a pixel of no instance its label id.
INSTANCES_PER_LABEL = 1000
# split -> (kind of label, image folders)
SPLITS = {
    "train": ("gtFine", ("train",)),
    "val": ("gtFine", ("val",)),
    "train_coarse": ("gtCoarse", ("train_extra", "train")),
}


@dataclasses.dataclass(frozen=True)
class CityscapesExample(RawExample):
    """An image, its label, and the instance ids of its label where they are there."""

    instance_path: str | None = None


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """The labelled images in `raw_dir`. Raises InputError if there are none."""
    splits, problems = {}, []
    for split, (kind, folders) in SPLITS.items():
        examples = []
        for folder in folders:
            # An image folder without this kind of label is no fault: fine and coarse labels are downloaded apart.
            if not (raw_dir / kind / folder).is_dir():
                continue
            for image in sorted((raw_dir / "leftImg8bit" / folder).glob("*/*_leftImg8bit.png")):
                frame = image.name.removesuffix("_leftImg8bit.png")
                label = raw_dir / kind / folder / image.parent.name / f"{frame}_{kind}_labelIds.png"
                if label.is_file():
                    examples.append(_example(raw_dir, image, label, frame, kind))
                else:
                    problems.append(f"{image}: its label {label} is missing")
        if examples:
            splits[split] = examples
    if not splits:
        raise InputError(
            f"{raw_dir}: no Cityscapes here (leftImg8bit/train/<city>/*_leftImg8bit.png and "
            f"gtFine/train/<city>/*_gtFine_labelIds.png); get it from {INFO.url}"
        )
    rule = LabelRule(INFO.num_classes, value_map=TRAIN_IDS)
    encode = functools.partial(encode_example, rule=rule, max_pixels=options.max_pixels)
    return Listing(INFO, encode, splits, problems=problems, version=_state_of_instances(splits))


def _example(raw_dir, image, label, frame, kind):
    name = re.fullmatch(r"(.+)_(\d+)", frame)  # <city>_<sequence>_<frame>
    instances = label.with_name(f"{frame}_{kind}_instanceIds.png")
    return CityscapesExample(
        str(image),
        str(label),
        filename=image.relative_to(raw_dir).as_posix(),
        sequence_id=name[1] if name else None,
        frame_id=int(name[2]) if name else None,
        instance_path=str(instances) if kind == "gtFine" and instances.is_file() else None,
    )


def _state_of_instances(splits):
    """Changes with the files of instance ids (sizes, times)."""
    paths = [example.instance_path for examples in splits.values() for example in examples]
    stats = [Path(path).stat() for path in paths if path]
    return hashlib.sha256(repr([(stat.st_size, stat.st_mtime_ns) for stat in stats]).encode()).hexdigest()


def encode_example(example: CityscapesExample, rule: LabelRule, max_pixels: int) -> EncodedExample:
    """The record of an image, its label and its instance ids. Raises InputError naming the file."""
    encoded = encode_pair(example, rule, max_pixels)
    if example.instance_path is None:
        return encoded
    values = read_values(example.instance_path, max_pixels)
    height, width = values.shape
    if (height, width) != (encoded.height, encoded.width):
        raise InputError(
            f"{example.instance_path}: instance ids of {width}x{height} pixels for an image of "
            f"{encoded.width}x{encoded.height} (width x height)"
        )
    class_ids = read_label(example.label_path, rule, max_pixels)
    return dataclasses.replace(encoded, panoptic_png=encode_panoptic(class_ids, _instances(values, class_ids, example)))


def _instances(values, class_ids, example):
    """[height, width] instance ids of things from 1, else 0."""
    has_instance = values >= INSTANCES_PER_LABEL
    label_ids = np.where(has_instance, values // INSTANCES_PER_LABEL, values)
    classes = np.full(65536, IGNORE_LABEL, np.uint8)
    classes[list(TRAIN_IDS)] = list(TRAIN_IDS.values())
    num_others = np.count_nonzero(classes[label_ids] != class_ids)
    if num_others:
        raise InputError(
            f"{example.instance_path}: {num_others} pixels are of other classes than in {example.label_path}"
        )
    return np.where(has_instance & np.isin(class_ids, list(INFO.thing_ids)), values % INSTANCES_PER_LABEL + 1, 0)
