"""Files of instances and of segments, as data sets publish them -> class and instance ids."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.raw import EncodedExample, RawExample
from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.annotations import AnnotatedImage, Annotations, panoptic_ids, read_annotations
from tfseg.labels import DatasetInfo, from_panoptic


def annotations_by_stem(path: Path, info: DatasetInfo, category_ids: Iterable[int], suffix="") -> dict:
    """Reads a JSON file in COCO's panoptic format whose categories are known.

    Args:
      path: of the JSON file.
      info: classes; category_ids: class id -> id of the category in the file.
      suffix: what the names of the PNGs have behind the names of their images.
    Returns:
      Name of an image without ending -> AnnotatedImage. Their PNGs need not be there.
    Raises:
      InputError: no folder of PNGs beside the file, or as `read_annotations`.
    """
    check_png_folder(path)
    images = read_annotations(path, Annotations(str(path), info, tuple(category_ids), {})).images.values()
    return {Path(image.path).stem.removesuffix(suffix): image for image in images}


def check_png_folder(path: Path):
    """Raises InputError unless the folder of a JSON file's PNGs is there: beside it and called like it, or its own."""
    if not path.with_suffix("").is_dir() and not any(path.parent.glob("*.png")):
        raise InputError(f"{path}: its PNGs are missing; unpack them into {path.with_suffix('')}")


def missing_files(example: RawExample) -> list[str]:
    """The first of its files that is not there, as a list of at most one line."""
    paths = dict.fromkeys((example.image_path, example.label_path, example.instance_path))
    return [f"{path}: no such file" for path in paths if path and not Path(path).is_file()][:1]


def annotated_labels(annotation: AnnotatedImage, info: DatasetInfo) -> tuple[np.ndarray, np.ndarray]:
    """(class ids uint8, instance ids int32), [height, width] each, of an annotated PNG.

    Things count from 1 in every class; stuff, crowds and void have instance 0, void the ignore label.

    Raises:
      InputError: naming the PNG: it cannot be read, its ids are not those of the JSON file, or there are more instances
        than the label divisor has room for.
    """
    class_ids, instance_ids = from_panoptic(panoptic_ids(annotation, info), info.label_divisor)
    return class_ids.astype(np.uint8), instance_ids


def encode_annotated(example: RawExample, info: DatasetInfo, max_pixels: int) -> EncodedExample:
    """The record of an image whose only label is an annotated PNG. Raises InputError naming the file."""
    return encode_labelled(example, lambda: annotated_labels(example.annotation, info), max_pixels)


def numbered_instances(values, first_id: int, num_per_class: int) -> tuple[np.ndarray, np.ndarray]:
    """Splits `label id * num_per_class + number`.

    Args:
      values: [height, width] integers.
      first_id: the least value that is an instance; a smaller one is a label id itself.
      num_per_class: numbers run from 0 to num_per_class - 1.
    Returns:
      (label ids, instance ids from 1, 0 for none), [height, width] each.
    """
    has_number = values >= first_id
    label_ids = np.where(has_number, values // num_per_class, values)
    return label_ids, np.where(has_number, values % num_per_class + 1, 0)
