"""Cityscapes (Cordts et al. 2016): 2048x1024 street scenes of 50 cities, 19 classes that are evaluated.

Layout: leftImg8bit/{train,val}/<city>/*_leftImg8bit.png and gtFine/{train,val}/<city>/*_gtFine_labelIds.png, in the
folder itself. The 34 label ids become the 19 train ids of the official scripts, all others 255. `test` has no labels
and is left out.

Where gtCoarse/ is there too, the split `train_coarse` holds the coarse labels of leftImg8bit/train_extra (19,998
images) and of leftImg8bit/train (2,975): each of these also has a fine label in `train`. The splits of one folder are
written together; whoever wants only the 19,998 leaves gtCoarse/train away.
"""

import functools
import re
from pathlib import Path

from tfseg.data.images import LabelRule, encode_pair
from tfseg.data.raw import ConvertOptions, Listing, RawExample
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
)
NUM_LABEL_IDS = 34
# Label ids of the 19 classes, in the order of their train ids.
EVALUATED_LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
TRAIN_IDS = dict.fromkeys(range(NUM_LABEL_IDS), IGNORE_LABEL) | {
    label_id: train_id for train_id, label_id in enumerate(EVALUATED_LABEL_IDS)
}
# split -> (kind of label, image folders)
SPLITS = {
    "train": ("gtFine", ("train",)),
    "val": ("gtFine", ("val",)),
    "train_coarse": ("gtCoarse", ("train_extra", "train")),
}


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
                    examples.append(_example(raw_dir, image, label, frame))
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
    encode = functools.partial(encode_pair, rule=rule, max_pixels=options.max_pixels)
    return Listing(INFO, encode, splits, problems=problems)


def _example(raw_dir, image, label, frame):
    name = re.fullmatch(r"(.+)_(\d+)", frame)  # <city>_<sequence>_<frame>
    return RawExample(
        str(image),
        str(label),
        filename=image.relative_to(raw_dir).as_posix(),
        sequence_id=name[1] if name else None,
        frame_id=int(name[2]) if name else None,
    )
