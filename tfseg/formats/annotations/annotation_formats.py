"""THE table of annotation formats: one row each."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from tfseg.formats.annotations import (
    coco_instances,
    cvat_xml,
    label_studio,
    label_studio_masks,
    labelme,
    mask_exports,
    voc_masks,
    yolo,
)
from tfseg.formats.annotations.photograph import AnnotationFiles, AnnotationSet


@dataclasses.dataclass(frozen=True)
class AnnotationFormat:
    """One format.

    Attributes:
      name: what messages call it.
      endings: endings, in small letters, that its files may have.
      is_one: whether a file with such an ending seems to be in the format; it need not be whole. InputError if it is
        too large or cannot be read.
      read: reads all files of a set. InputError if the set as a whole cannot be used.
      covers: the name of a format whose files hold nothing that this one's do not; where both are, those are passed
        over.
    """

    name: str
    endings: tuple[str, ...]
    is_one: Callable[[Path], bool]
    read: Callable[[AnnotationFiles], AnnotationSet]
    covers: str | None = None


BRUSHES = "brush masks of Label Studio"
FORMATS = (
    AnnotationFormat("COCO instances (JSON)", coco_instances.ENDINGS, coco_instances.is_one, coco_instances.read),
    AnnotationFormat("labelme (JSON)", labelme.ENDINGS, labelme.is_one, labelme.read),
    AnnotationFormat("YOLO (text)", yolo.ENDINGS, yolo.is_one, yolo.read),
    AnnotationFormat("CVAT for images (XML)", cvat_xml.ENDINGS, cvat_xml.is_one, cvat_xml.read),
    AnnotationFormat("Label Studio (JSON)", label_studio.ENDINGS, label_studio.is_one, label_studio.read, BRUSHES),
    AnnotationFormat(BRUSHES, label_studio_masks.ENDINGS, label_studio_masks.is_one, label_studio_masks.read),
    AnnotationFormat(
        "segmentation masks of CVAT",
        mask_exports.LABELMAP_ENDINGS,
        mask_exports.is_labelmap,
        mask_exports.read_labelmaps,
    ),
    AnnotationFormat("masks in the layout of PASCAL VOC", voc_masks.ENDINGS, voc_masks.is_one, voc_masks.read),
    AnnotationFormat(
        "semantic masks of Roboflow",
        mask_exports.VALUES_ENDINGS,
        mask_exports.is_value_table,
        mask_exports.read_value_tables,
    ),
)


def format_of(path: Path) -> AnnotationFormat | None:
    """Returns the format that a file seems to be in; None if it is none of the table.

    Raises:
      InputError: the file is too large or cannot be read; the message names it.
    """
    ending = path.suffix.lower()
    fitting = [one for one in FORMATS if ending in one.endings]
    return next((one for one in fitting if one.is_one(path)), None)
