"""Reads what a JSON file says about the segment ids in its PNGs."""

import dataclasses
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed
from tfseg.formats.coco_panoptic.categories import Categories, check_categories, read_categories
from tfseg.formats.coco_panoptic.json_file import (
    AREA,
    IMAGE_ID,
    INNER_PATH,
    LIST,
    OBJECT,
    TRUTH,
    WHOLE_NUMBER,
    Kind,
    entries_of,
    json_file,
    read_content,
    shown,
    value_of,
)
from tfseg.formats.coco_panoptic.segment_ids import NUM_IDS, VOID_ID, read_ids
from tfseg.labels import MAX_CLASSES, DatasetInfo, to_panoptic

SEGMENT_ID = Kind(
    f"a whole number from 1 to {NUM_IDS - 1}", lambda value: type(value) is int and VOID_ID < value < NUM_IDS
)


@dataclasses.dataclass(frozen=True)
class Segment:
    """An entry of "segments_info".

    Attributes:
      id: the segment's id in the PNG.
      class_id: class id of its category.
      is_crowd: whether it is a crowd.
      area: number of pixels that the file gives it; None if it gives none.
    """

    id: int
    class_id: int
    is_crowd: bool
    area: float | None = None


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An annotation.

    Attributes:
      image_id: id of the image that it describes.
      folder: the folder of PNGs.
      file_name: its PNG's path in this folder.
      segments: its segments, in the JSON file's order.
      json_path: the JSON file's path.
    """

    image_id: int | str
    folder: str
    file_name: str
    segments: tuple[Segment, ...]
    json_path: str

    @property
    def path(self) -> str:
        """Its PNG's path."""
        return os.path.join(self.folder, self.file_name)

    @property
    def place(self) -> str:
        """File and image, for messages."""
        return f"{self.json_path}: image {shown(self.image_id)}"


@dataclasses.dataclass(frozen=True)
class Annotations:
    """The content of a JSON file.

    Attributes:
      path: the file's path.
      info: its categories as classes, in the file's order.
      category_ids: category id of each class id.
      images: {image id: its annotation}.
    """

    path: str
    info: Categories
    category_ids: tuple[int, ...]
    images: dict[int | str, AnnotatedImage]


def read_annotations(path, labels: Annotations | None = None) -> Annotations:
    """Reads a JSON file, but no PNG.

    Args:
      path: the file, or a folder with exactly one .json file.
      labels: if `path` holds predictions, the labels that they predict, whose categories are used; None if `path` has
        its own categories.
    Raises:
      InputError: the file is not in the format, or its categories contradict those of `labels`; the message names the
        file and the wrong entry.
    """
    path = json_file(Path(path))
    content = read_content(path)
    if labels is None:
        info, category_ids = read_categories(content, path)
    else:
        check_categories(content, path, labels)
        info, category_ids = labels.info, labels.category_ids
    return Annotations(str(path), info, category_ids, _images(content, path, category_ids))


def read_images(path, category_ids: Iterable[int]) -> dict[int | str, AnnotatedImage]:
    """Reads the annotations of a JSON file whose categories are known; those in the file are not read.

    Args:
      path: the JSON file's path.
      category_ids: category id of each class id.
    Returns:
      {image id: its annotation}.
    Raises:
      InputError: the file is not in the format; the message names the file and the wrong entry.
    """
    return _images(read_content(Path(path)), Path(path), category_ids)


def read_image_ids(image: AnnotatedImage) -> np.ndarray:
    """Reads [height, width] int32 segment ids from the PNG of an annotation.

    Raises:
      InputError: a link leads out of the folder of PNGs, or there is no PNG that can be read; the message names the
        file.
    """
    folder, path = os.path.realpath(image.folder), os.path.realpath(image.path)
    if os.path.commonpath([folder, path]) != folder:
        raise InputError(
            f"{image.place}: the file_name is {shown(image.file_name)}, a link that leads out of the folder of PNGs; "
            "put the PNG itself there"
        )
    try:
        is_file = stat.S_ISREG(os.stat(path).st_mode)
    except OSError:
        is_file = True  # what is missing is named by its path
    if not is_file:
        raise InputError(
            f"{image.place}: the file_name is {shown(image.file_name)}, a folder, pipe or device; put a PNG there"
        )
    return read_ids(image.path)


def segment_meanings(image: AnnotatedImage, present_ids) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the ids in a PNG mean.

    Args:
      image: the PNG's annotation.
      present_ids: [num_ids] ids that occur in the PNG, each once.
    Returns:
      (class ids, -1 for void; crowd numbers: 0, or for a crowd its number in the image, from 1), each [num_ids] int64.
    Raises:
      InputError: some ids are only in the PNG or only in the JSON file.
    """
    class_ids = {segment.id: segment.class_id for segment in image.segments}
    crowds = [segment.id for segment in image.segments if segment.is_crowd]
    crowd_numbers = {segment_id: number for number, segment_id in enumerate(crowds, 1)}
    present = [int(segment_id) for segment_id in present_ids]
    unknown = [segment_id for segment_id in present if segment_id not in class_ids and segment_id != VOID_ID]
    if unknown:
        raise InputError(
            f"{image.path}: {_segments(unknown)} not in the segments_info of image {shown(image.image_id)} in "
            f"{image.json_path}; add what is missing there, or make these pixels {VOID_ID} (void)"
        )
    missing = class_ids.keys() - set(present)
    if missing:
        raise InputError(
            f"{image.json_path} and {image.path}: {_segments(sorted(missing))} not in the PNG, but in the "
            f"segments_info of image {shown(image.image_id)}; delete the entries, or write the PNG again"
        )
    numbers = [crowd_numbers.get(segment_id, 0) for segment_id in present]
    return np.array([class_ids.get(segment_id, -1) for segment_id in present], np.int64), np.array(numbers, np.int64)


def panoptic_ids(image: AnnotatedImage, info: DatasetInfo, is_crowd_ignored: bool = False) -> np.ndarray:
    """Reads [height, width] int32 panoptic ids, class id * label_divisor + instance id, as in models and records.

    Things are numbered from 1 in every class, in the JSON file's order. Stuff and crowds have instance 0; void has the
    ignored class.

    Args:
      image: the annotation whose PNG is read.
      info: what class ids mean.
      is_crowd_ignored: whether crowds become void.
    Raises:
      InputError: the PNG cannot be read or does not fit the JSON file, has more instances than the divisor allows, or
        there are more classes than a label map has room for.
    """
    if info.num_classes > MAX_CLASSES:
        raise InputError(f"{image.json_path}: {info.num_classes} categories; label maps have {MAX_CLASSES} at most")
    segment_ids = read_image_ids(image)
    table_size = int(segment_ids.max(initial=0)) + 1
    is_present = np.zeros(table_size, bool)
    is_present[segment_ids] = True
    segment_meanings(image, np.flatnonzero(is_present))
    instances_per_class = np.zeros(info.num_classes, np.int64)
    panoptic_of = np.zeros(table_size, np.int32)
    panoptic_of[VOID_ID] = info.ignore_label * info.label_divisor
    for segment in image.segments:
        class_id, instance_id = segment.class_id, 0
        if segment.is_crowd and is_crowd_ignored:
            class_id = info.ignore_label
        elif class_id in info.thing_ids and not segment.is_crowd:
            instances_per_class[class_id] += 1
            instance_id = instances_per_class[class_id]
        if instance_id >= info.label_divisor:
            raise InputError(
                f"{image.path}: instance {instance_id} of {info.class_names[class_id]}, segment {segment.id}, does not "
                f"fit the label divisor {info.label_divisor}"
            )
        panoptic_of[segment.id] = to_panoptic(np.int64(class_id), np.int64(instance_id), info.label_divisor)
    return panoptic_of[segment_ids]


def check_areas(image: AnnotatedImage, pixels: dict[int, int]):
    """Checks the areas that a JSON file gives, which other programs use in place of the PNG's.

    Args:
      image: the annotation.
      pixels: {id that occurs in the PNG: its number of pixels}.
    Raises:
      InputError: an area is not the number of pixels.
    """
    for segment in image.segments:
        if segment.area not in (None, pixels[segment.id]):
            raise InputError(
                f"{image.place}: segment {segment.id} has the area {shown(segment.area)}, but {pixels[segment.id]} "
                f"pixels in {image.path}; write both files again"
            )


def _images(content, path, category_ids):
    same_name = path.with_suffix("")
    folder = same_name if same_name.is_dir() else path.parent
    class_ids = {category_id: class_id for class_id, category_id in enumerate(category_ids)}
    images = {}
    for index, entry in enumerate(entries_of(content, "annotations", path)):
        image_id = value_of(entry, "image_id", IMAGE_ID, f"{path}: annotations[{index}]")
        if image_id in images:
            raise InputError(f"{path}: two annotations of image {shown(image_id)}; delete one")
        place = f"{path}: image {shown(image_id)}"
        file_name = value_of(entry, "file_name", INNER_PATH, place)
        image = AnnotatedImage(image_id, str(folder), file_name, (), str(path))
        segments = _segments_of(value_of(entry, "segments_info", LIST, place), class_ids, image)
        images[image_id] = dataclasses.replace(image, segments=segments)
    return images


def _segments_of(entries, class_ids, image):
    segments = {}
    for index, entry in enumerate(entries):
        place = f"{image.place}: segments_info[{index}]"
        if not OBJECT.accepts(entry):
            raise InputError(f"{place} is {shown(entry)}; it must be {OBJECT.name}")
        segment_id = value_of(entry, "id", SEGMENT_ID, place)
        if segment_id in segments:
            raise InputError(f"{place}: the id is {segment_id}, as in an entry before it; every segment needs its own")
        place = f"{image.place}: segment {segment_id}"
        category_id = value_of(entry, "category_id", WHOLE_NUMBER, place)
        if category_id not in class_ids:
            raise InputError(
                f"{image.json_path}: the category ids are {listed(class_ids)}; {shown(image.file_name)}: segment "
                f"{segment_id} of image {shown(image.image_id)} has the unknown category_id {shown(category_id)}"
            )
        is_crowd = bool(value_of(entry, "iscrowd", TRUTH, place, optional=True))
        area = value_of(entry, "area", AREA, place, optional=True)
        segments[segment_id] = Segment(segment_id, class_ids[category_id], is_crowd, area)
    return tuple(segments.values())


def _segments(segment_ids):
    return f"segment {'ids' if len(segment_ids) > 1 else 'id'} {listed(segment_ids)}"
