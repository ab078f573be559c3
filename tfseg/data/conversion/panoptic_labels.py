"""Reads files of instances and segments, as data sets publish them, into class and instance ids."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.raw import EncodedExample, RawExample
from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.annotations import AnnotatedImage, panoptic_ids, read_images
from tfseg.formats.coco_panoptic.json_file import shown
from tfseg.labels import DatasetInfo, from_panoptic


def annotations_by_stem(path: Path, category_ids: Iterable[int], suffix="") -> dict:
    """Reads a JSON file in COCO's panoptic format whose categories are known.

    Args:
      path: the JSON file's path.
      category_ids: the file's category id of each class id.
      suffix: what the names of the PNGs add to the names of their images.
    Returns:
      {name of an image without ending: AnnotatedImage}. The PNGs need not exist.
    Raises:
      InputError: there is no folder of PNGs beside the file, `read_images` refuses the file, or two annotations are of
        one image.
    """
    check_png_folder(path)
    return by_stem(read_images(path, category_ids).values(), suffix)


def by_stem(images: Iterable[AnnotatedImage], suffix="") -> dict[str, AnnotatedImage]:
    """Returns {name of an image without ending: its annotation}; see `annotations_by_stem`."""
    found = {}
    for image in images:
        stem = Path(image.file_name).stem.removesuffix(suffix)
        if stem in found:
            raise InputError(
                f"{image.place}: file_name {shown(image.file_name)}, but {shown(found[stem].file_name)} of image "
                f"{shown(found[stem].image_id)} is also a label of {shown(stem)}; delete one"
            )
        found[stem] = image
    return found


def check_png_folder(path: Path):
    """Raises InputError unless a JSON file's PNGs exist, in a folder beside it with its name or in its own folder."""
    if not path.with_suffix("").is_dir() and not any(path.parent.glob("*.png")):
        raise InputError(f"{path}: its PNGs are missing; unpack them into {path.with_suffix('')}")


def missing_files(example: RawExample) -> list[str]:
    """Returns a list with one line for the first of the example's files that is missing, or an empty list."""
    paths = dict.fromkeys((example.image_path, example.label_path, example.instance_path))
    return [f"{path}: no such file" for path in paths if path and not Path(path).is_file()][:1]


def annotated_labels(annotation: AnnotatedImage, info: DatasetInfo) -> tuple[np.ndarray, np.ndarray]:
    """Reads (class ids uint8, instance ids int32), each [height, width], from an annotated PNG.

    In every class, things count from 1. Stuff, crowds and void have instance 0; void has the ignore label as its class.

    Raises:
      InputError: the PNG cannot be read, its ids are not those of the JSON file, or it has more instances than the
        label divisor allows. The message names the PNG.
    """
    class_ids, instance_ids = from_panoptic(panoptic_ids(annotation, info), info.label_divisor)
    return class_ids.astype(np.uint8), instance_ids


def encode_annotated(example: RawExample, info: DatasetInfo, max_pixels: int) -> EncodedExample:
    """Returns the record of an image whose only label is an annotated PNG. Raises InputError that names the file."""
    return encode_labelled(example, lambda: annotated_labels(example.annotation, info), max_pixels)


def numbered_instances(values, first_id: int, num_per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits `label id * num_per_class + number`.

    Args:
      values: [height, width] integers.
      first_id: smallest value that is an instance; a smaller value is itself a label id.
      num_per_class: numbers run from 0 to num_per_class - 1.
    Returns:
      (label ids, instance ids from 1, 0 for none), each [height, width].
    """
    has_number = values >= first_id
    label_ids = np.where(has_number, values // num_per_class, values)
    return label_ids, np.where(has_number, values % num_per_class + 1, 0)
