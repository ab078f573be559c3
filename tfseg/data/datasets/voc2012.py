"""PASCAL VOC 2012 segmentation (Everingham et al. 2010), with the augmented labels (Hariharan et al. 2011) if present.

Layout: the folder that holds VOCdevkit/, or VOCdevkit itself, or VOCdevkit/VOC2012, with JPEGImages/,
SegmentationClass/ (palette PNG, object borders 255) and ImageSets/Segmentation/{train,val}.txt. `trainval` is both
together. If there is a folder SegmentationObject/ (the same, with a number for every object), records of train and val
have a panoptic map.

If there is a folder SegmentationClassAug/ (grey PNG, 12,031 files), there is also the split `train_aug`: the images in
ImageSets/Segmentation/trainaug.txt or, without that file, all augmented labels whose image is not in val.
"""

import functools
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.id_labels import refuse_colors, refuse_sets_of_colors
from tfseg.data.conversion.panoptic_labels import missing_files
from tfseg.data.conversion.raw import ConvertOptions, EncodedExample, Listing, RawExample
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule, read_label, read_values
from tfseg.formats.text_lines import read_lines
from tfseg.labels import IGNORE_LABEL, DatasetInfo, voc_colors

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
    colors=voc_colors(len(CLASS_NAMES)),
    thing_ids=frozenset(range(1, len(CLASS_NAMES))),
    split_sizes={"train": 1464, "val": 1449, "trainval": 2913, "train_aug": 10582},
    url="http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
)
ID_ADVICE = f"take the palette files of {INFO.url}"
ROOTS = ("VOCdevkit/VOC2012", "VOC2012", "")
IMAGE_SETS = Path("ImageSets", "Segmentation")
BORDER = 255  # value of borders in a file of objects


def list_examples(raw_dir: Path, options: ConvertOptions) -> Listing:
    """Lists the images in `raw_dir`. Raises InputError if this is not VOC 2012."""
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
            objects = root / "SegmentationObject" / label.name
            # Objects belong to the original labels; augmented labels need not match them.
            has_objects = folders[split] == "SegmentationClass" and objects.parent.is_dir()
            objects = str(objects) if has_objects else None
            example = RawExample(str(image), str(label), filename=image.name, instance_path=objects)
            missing = missing_files(example)
            problems += missing
            splits[split] += [example] if not missing else []
    splits = {split: examples for split, examples in splits.items() if examples}
    unions = {"trainval": ("train", "val")} if {"train", "val"} <= splits.keys() else {}
    refuse_sets_of_colors(splits, options.max_pixels, ID_ADVICE)
    encode = functools.partial(encode_example, max_pixels=options.max_pixels)
    return Listing(INFO, encode, splits, unions=unions, problems=problems)


def encode_example(example: RawExample, max_pixels: int) -> EncodedExample:
    """Returns the record of an image, its label and its objects. Raises InputError that names the file."""
    return encode_labelled(example, lambda: _read_labels(example, max_pixels), max_pixels)


def _read_labels(example, max_pixels):
    refuse_colors(example.label_path, max_pixels, ID_ADVICE)
    class_ids = read_label(example.label_path, LabelRule(INFO.num_classes), max_pixels)
    if example.instance_path is None:
        return class_ids, None
    path, objects = example.instance_path, read_values(example.instance_path, max_pixels)
    if objects.shape != class_ids.shape:
        raise InputError(
            f"{path}: objects of {objects.shape[1]}x{objects.shape[0]} pixels for a label of "
            f"{class_ids.shape[1]}x{class_ids.shape[0]} (width x height)"
        )
    if objects.max() > BORDER:
        raise InputError(f"{path}: object {objects.max()}; objects must be 1 to {BORDER - 1}, and 255 is their border")
    return class_ids, object_instances(objects, class_ids)


def object_instances(objects, class_ids) -> np.ndarray:
    """Returns [height, width] int32 instance ids.

    A pixel has the number of its object if its class is the one that most of the object's pixels have, else 0.

    Args:
      objects: [height, width] integers, 0 for background, 255 for borders.
      class_ids: [height, width] uint8.
    """
    # [256 objects, 256 classes]
    votes = np.bincount((256 * objects + class_ids).ravel(), minlength=256 * 256).reshape(256, 256)
    votes[:, IGNORE_LABEL] = 0
    is_thing = np.isin(class_ids, list(INFO.thing_ids))
    is_of_object = (objects > 0) & (objects != BORDER) & (class_ids == votes.argmax(axis=1)[objects])
    return np.where(is_thing & is_of_object, objects, 0).astype(np.int32)


def _is_voc(root):
    return (root / "JPEGImages").is_dir() and (root / IMAGE_SETS / "train.txt").is_file()


def _stems(root, image_set):
    """Reads the names of images in one list file; none if the file is missing."""
    path = root / IMAGE_SETS / f"{image_set}.txt"
    lines = read_lines(path) if path.is_file() else []
    # Some distributions of trainaug.txt hold "/JPEGImages/x.jpg /SegmentationClassAug/x.png".
    return [Path(line.split()[0]).stem for line in lines if line.strip()]
