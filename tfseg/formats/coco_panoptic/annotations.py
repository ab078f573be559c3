"""Reads what a JSON file says about the segment ids in its PNGs."""

import dataclasses
import os
import reprlib
from pathlib import Path

import numpy as np

from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.json_file import color_of, entries_of, json_file, read_content, truth, whole_number
from tfseg.formats.coco_panoptic.segment_ids import NUM_IDS, VOID_ID, read_ids
from tfseg.labels import DatasetInfo, default_colors, to_panoptic

MAX_LISTED = 3
MAX_LISTED_CATEGORIES = 10


@dataclasses.dataclass(frozen=True)
class Segment:
    """An entry of "segments_info".

    Attributes:
      id: the segment's id in the PNG.
      class_id: class id of its category.
      is_crowd: whether it is a crowd.
    """

    id: int
    class_id: int
    is_crowd: bool


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An annotation.

    Attributes:
      image_id: id of the image that it describes.
      path: its PNG's path.
      segments: its segments, in the JSON file's order.
      json_path: the JSON file's path.
    """

    image_id: int | str
    path: str
    segments: tuple[Segment, ...]
    json_path: str


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
    info: DatasetInfo
    category_ids: tuple[int, ...]
    images: dict[int | str, AnnotatedImage]


def read_annotations(path, labels: Annotations | None = None) -> Annotations:
    """Reads a JSON file, but no PNG.

    Args:
      path: the file, or a folder with exactly one .json file.
      labels: if `path` holds predictions, the labels that they predict, whose categories are used; None if `path` has
        its own categories.
    Raises:
      InputError: the file is not in the format; the message names the file and the wrong entry.
    """
    path = json_file(Path(path))
    content = read_content(path)
    if labels is None:
        info, category_ids = _categories(entries_of(content, "categories", path), path)
    else:
        info, category_ids = labels.info, labels.category_ids
    same_name = path.with_suffix("")
    folder = same_name if same_name.is_dir() else path.parent
    class_ids = {category_id: class_id for class_id, category_id in enumerate(category_ids)}
    images = {}
    for index, entry in enumerate(entries_of(content, "annotations", path)):
        try:
            image = _annotated_image(entry, path, folder, class_ids)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: annotation {index} is not in COCO's panoptic format ({_reason(error)}); it needs image_id, "
                "file_name and segments_info, a list of id and category_id"
            ) from None
        if image.image_id in images:
            raise InputError(f"{path}: two annotations of image {image.image_id!r}; delete one")
        images[image.image_id] = image
    return Annotations(str(path), info, category_ids, images)


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
            f"{image.path}: {_segments(unknown)} not in the segments_info of image {image.image_id!r} in "
            f"{image.json_path}; add what is missing there, or make these pixels {VOID_ID} (void)"
        )
    missing = class_ids.keys() - set(present)
    if missing:
        raise InputError(
            f"{image.json_path} and {image.path}: {_segments(sorted(missing))} not in the PNG, but in the "
            f"segments_info of image {image.image_id!r}; delete the entries, or write the PNG again"
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
      InputError: the PNG cannot be read or does not fit the JSON file, or has more instances than the divisor allows.
    """
    segment_ids = read_ids(image.path)
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


def _categories(entries, path):
    try:
        names = tuple(str(entry["name"]) for entry in entries)
        category_ids = tuple(whole_number(entry["id"], "id") for entry in entries)
        thing_ids = frozenset(index for index, entry in enumerate(entries) if truth(entry["isthing"], "isthing"))
        colors = [color_of(entry["color"]) if "color" in entry else None for entry in entries]
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: categories need id, name and isthing ({_reason(error)})") from None
    except ValueError as error:
        raise InputError(f"{path}: a category has {error}; correct it") from None
    for what, values in (("id", category_ids), ("name", names)):
        repeated = [value for value in values if values.count(value) > 1]
        if repeated:
            raise InputError(f"{path}: two categories have the {what} {repeated[0]!r}; rename or delete one")
    colors = default_colors(len(names)) if None in colors else tuple(colors)
    try:
        return DatasetInfo(os.path.basename(path), names, colors, thing_ids), category_ids
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _annotated_image(entry, json_path, folder, class_ids):
    image_id, file_name = entry["image_id"], entry["file_name"]
    if type(image_id) not in (int, str):
        raise InputError(f"{json_path}: the image_id {reprlib.repr(image_id)}; it must be a whole number or text")
    if not isinstance(file_name, str) or not file_name or "\0" in file_name:
        raise InputError(
            f"{json_path}: image {image_id!r} has the file_name {reprlib.repr(file_name)}; it must be the name of a PNG"
        )
    if not isinstance(entry["segments_info"], list):
        raise TypeError("segments_info is not a list")
    segments = {}
    for values in entry["segments_info"]:
        segment_id, category_id = values["id"], values["category_id"]
        if type(segment_id) is not int or not VOID_ID < segment_id < NUM_IDS or segment_id in segments:
            raise InputError(
                f"{json_path}: segment id {reprlib.repr(segment_id)} of image {image_id!r}; ids must be whole numbers "
                f"from 1 to {NUM_IDS - 1}, each once"
            )
        if type(category_id) is not int or category_id not in class_ids:
            raise InputError(
                f"{json_path}: the category ids are {_listed(list(class_ids), MAX_LISTED_CATEGORIES)}; {file_name}: "
                f"segment {segment_id} of image {image_id!r} has the unknown category_id {reprlib.repr(category_id)}"
            )
        try:
            is_crowd = truth(values.get("iscrowd", 0), "iscrowd")
        except ValueError as error:
            raise InputError(f"{json_path}: segment {segment_id} of image {image_id!r} has {error}") from None
        segments[segment_id] = Segment(segment_id, class_ids[category_id], is_crowd)
    return AnnotatedImage(image_id, str(folder / file_name), tuple(segments.values()), str(json_path))


def _listed(values, limit=MAX_LISTED):
    shown = ", ".join(map(str, values[:limit]))
    return shown + (f" and {len(values) - limit} more" if len(values) > limit else "")


def _segments(segment_ids):
    return f"segment {'ids' if len(segment_ids) > 1 else 'id'} {_listed(segment_ids)}"


def _reason(error):
    return f"no {error}" if isinstance(error, KeyError) else str(error)
