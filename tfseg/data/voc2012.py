"""PASCAL VOC 2012 segmentation (Everingham et al. 2010), with the augmented labels (Hariharan et al. 2011) if present.

Layout: the folder that holds VOCdevkit/, VOCdevkit itself or VOCdevkit/VOC2012, with JPEGImages/, SegmentationClass/
(palette PNG, object borders 255) and ImageSets/Segmentation/{train,val}.txt. `trainval` is both together.

With SegmentationClassAug/ (grey PNG, 12,031 files) there is also the split `train_aug`: the images that
ImageSets/Segmentation/trainaug.txt names or, without that file, every augmented label whose image is not in val.
"""

import functools
from pathlib import Path

from tfseg.data.images import LabelRule, encode_pair
from tfseg.data.raw import ConvertOptions, Listing, RawExample
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors

CLASS_NAMES = (
    "background",
    "aeroplane",
    "bicycle",
    "bird",
    "boat",
    "bottle",
    "bus",
    "car",
    "cat",
    "chair",
    "cow",
    "dining table",
    "dog",
    "horse",
    "motorbike",
    "person",
    "potted plant",
    "sheep",
    "sofa",
    "train",
    "tv monitor",
)
INFO = DatasetInfo(
    name="voc2012",
    class_names=CLASS_NAMES,
    colors=default_colors(len(CLASS_NAMES)),
    thing_ids=frozenset(range(1, len(CLASS_NAMES))),
    split_sizes={"train": 1464, "val": 1449, "trainval": 2913, "train_aug": 10582},
    url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
)
ROOTS = ("VOCdevkit/VOC2012", "VOC2012", "")
IMAGE_SETS = Path("ImageSets", "Segmentation")


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """The images in `raw_dir`. Raises InputError if this is not VOC 2012."""
    root = next((raw_dir / folder for folder in ROOTS if _is_voc(raw_dir / folder)), None)
    if root is None:
        raise InputError(
            f"{raw_dir}: no VOC2012 here (JPEGImages, SegmentationClass, ImageSets/Segmentation/train.txt); "
            f"get it from {INFO.url}"
        )
    stems = {"train": _stems(root, "train"), "val": _stems(root, "val")}
    folders = dict.fromkeys(stems, "SegmentationClass")
    augmented = root / "SegmentationClassAug"
    if augmented.is_dir():
        everything = [path.stem for path in sorted(augmented.glob("*.png"))]
        unseen = [stem for stem in everything if stem not in set(stems["val"])]
        stems["train_aug"] = _stems(root, "trainaug") or unseen
        folders["train_aug"] = augmented.name
    splits, problems = {}, []
    for split, names in stems.items():
        splits[split] = []
        for stem in names:
            image, label = root / "JPEGImages" / f"{stem}.jpg", root / folders[split] / f"{stem}.png"
            missing = [f"{path}: no such file" for path in (image, label) if not path.is_file()]
            problems += missing[:1]
            if not missing:
                splits[split].append(RawExample(str(image), str(label), filename=image.name))
    splits = {split: examples for split, examples in splits.items() if examples}
    unions = {"trainval": ("train", "val")} if {"train", "val"} <= splits.keys() else {}
    encode = functools.partial(encode_pair, rule=LabelRule(INFO.num_classes), max_pixels=options.max_pixels)
    return Listing(INFO, encode, splits, unions=unions, problems=problems)


def _is_voc(root):
    return (root / "JPEGImages").is_dir() and (root / IMAGE_SETS / "train.txt").is_file()


def _stems(root, image_set):
    """Names of images in one list file; none if the file is missing."""
    path = root / IMAGE_SETS / f"{image_set}.txt"
    lines = path.read_text().splitlines() if path.is_file() else []
    # Some distributions of trainaug.txt hold "/JPEGImages/x.jpg /SegmentationClassAug/x.png".
    return [Path(line.split()[0]).stem for line in lines if line.strip()]
