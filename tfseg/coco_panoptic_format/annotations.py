"""What a JSON file says of the segment ids in its PNGs."""

import dataclasses
import json
import os
from pathlib import Path

import numpy as np

from tfseg.coco_panoptic_format.segment_ids import NUM_IDS, VOID_ID, read_ids
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors, to_panoptic

MAX_LISTED = 3


@dataclasses.dataclass(frozen=True)
class Segment:
    """An entry of "segments_info": its id in the PNG, the class id of its category, whether it is a crowd."""

    id: int
    class_id: int
    is_crowd: bool


@dataclasses.dataclass(frozen=True)
class AnnotatedImage:
    """An annotation: whose it is, the path of its PNG, and its segments in the order of the JSON file."""

    image_id: int | str
    path: str
    segments: tuple[Segment, ...]


@dataclasses.dataclass(frozen=True)
class Annotations:
    """A JSON file.

    Attributes:
      path: of the file.
      info: its categories as classes, in their order.
      category_ids: class id -> category id.
      images: image id -> its annotation.
    """

    path: str
    info: DatasetInfo
    category_ids: tuple[int, ...]
    images: dict[int | str, AnnotatedImage]


def read_annotations(path, labels: Annotations | None = None) -> Annotations:
    """Reads a JSON file, and no PNG.

    Args:
      path: the file, or a folder with exactly one .json file.
      labels: what `path` predicts: the categories are theirs; None if it has categories of its own.
    Raises:
      InputError: naming the file, and the entry that is wrong in it.
    """
    path = _json_file(Path(path))
    content = _read_json(path)
    if labels is None:
        info, category_ids = _categories(_entries(content, "categories", path), path)
    else:
        info, category_ids = labels.info, labels.category_ids
    same_name = path.with_suffix("")
    folder = same_name if same_name.is_dir() else path.parent
    class_ids = {category_id: class_id for class_id, category_id in enumerate(category_ids)}
    images = {}
    for index, entry in enumerate(_entries(content, "annotations", path)):
        try:
            image = _annotated_image(entry, folder, class_ids)
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(
                f"{path}: annotation {index} is not in COCO's panoptic format ({_reason(error)})"
            ) from None
        if image.image_id in images:
            raise InputError(f"{path}: two annotations of image {image.image_id!r}; delete one")
        images[image.image_id] = image
    return Annotations(str(path), info, category_ids, images)


def segment_meanings(image: AnnotatedImage, present_ids) -> tuple[np.ndarray, np.ndarray]:
    """What the ids in a PNG are.

    Args:
      present_ids: [num_ids] the ids that occur in it, each once.
    Returns:
      (class ids, -1 for void; crowd numbers: 0, or the place among the crowds of the image, from 1), [num_ids] int64.
    Raises:
      InputError: ids that are only in the PNG or only in the JSON file.
    """
    class_ids = {segment.id: segment.class_id for segment in image.segments}
    crowds = [segment.id for segment in image.segments if segment.is_crowd]
    crowd_numbers = {segment_id: number for number, segment_id in enumerate(crowds, 1)}
    present = [int(segment_id) for segment_id in present_ids]
    unknown = [segment_id for segment_id in present if segment_id not in class_ids and segment_id != VOID_ID]
    if unknown:
        raise InputError(f"{image.path}: {_listed(unknown)} not in the segments_info of image {image.image_id!r}")
    missing = class_ids.keys() - set(present)
    if missing:
        raise InputError(
            f"{image.path}: {_listed(sorted(missing))} not in the PNG, but in the segments_info of image "
            f"{image.image_id!r}"
        )
    numbers = [crowd_numbers.get(segment_id, 0) for segment_id in present]
    return np.array([class_ids.get(segment_id, -1) for segment_id in present], np.int64), np.array(numbers, np.int64)


def panoptic_ids(image: AnnotatedImage, info: DatasetInfo, is_crowd_ignored: bool = False) -> np.ndarray:
    """[height, width] int32 class id * label_divisor + instance id, as models and records have it.

    Things are numbered from 1 in every class, in the order of the JSON file; stuff and crowds have instance 0, void has
    the ignored class.

    Args:
      info: what class ids mean.
      is_crowd_ignored: crowds are void.
    Raises:
      InputError: a PNG that cannot be read or does not fit the JSON file; more instances than the divisor has room for.
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


def _json_file(path):
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.json"))
    if len(files) != 1:
        found = f"{len(files)} .json files" if files else "no .json file"
        raise InputError(f"{path}: {found} in this folder; name the one of the annotations")
    return files[0]


def _read_json(path):
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder; name a JSON file in COCO's panoptic format") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged JSON ({error})") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a JSON {type(content).__name__}, not an object with annotations")
    return content


def _entries(content, key, path):
    entries = content.get(key)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: no {key}; it must have a list of them that is not empty")
    return entries


def _categories(entries, path):
    try:
        names = tuple(str(entry["name"]) for entry in entries)
        category_ids = tuple(int(entry["id"]) for entry in entries)
        thing_ids = frozenset(class_id for class_id, entry in enumerate(entries) if entry["isthing"])
        colors = [tuple(entry.get("color", ())) for entry in entries]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{path}: categories need id, name and isthing ({_reason(error)})") from None
    for what, values in (("id", category_ids), ("name", names)):
        repeated = [value for value in values if values.count(value) > 1]
        if repeated:
            raise InputError(f"{path}: two categories have the {what} {repeated[0]!r}")
    colors = tuple(colors) if all(colors) else default_colors(len(names))
    try:
        return DatasetInfo(os.path.basename(path), names, colors, thing_ids), category_ids
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _annotated_image(entry, folder, class_ids):
    image_id, file_name = entry["image_id"], entry["file_name"]
    path = str(folder / file_name)
    segments, seen = [], set()
    for segment in entry["segments_info"]:
        segment_id, category_id = segment["id"], segment["category_id"]
        if not isinstance(segment_id, int) or not VOID_ID < segment_id < NUM_IDS or segment_id in seen:
            raise InputError(
                f"{path}: segment id {segment_id!r} of image {image_id!r}; ids are whole numbers from 1 to "
                f"{NUM_IDS - 1}, each once"
            )
        if category_id not in class_ids:
            raise InputError(
                f"{path}: segment {segment_id} of image {image_id!r} has the unknown category_id {category_id!r}"
            )
        seen.add(segment_id)
        segments.append(Segment(segment_id, class_ids[category_id], bool(segment.get("iscrowd", 0))))
    hash(image_id)  # TypeError for a list or an object
    return AnnotatedImage(image_id, path, tuple(segments))


def _listed(segment_ids):
    shown = ", ".join(map(str, segment_ids[:MAX_LISTED]))
    more = f" and {len(segment_ids) - MAX_LISTED} more" if len(segment_ids) > MAX_LISTED else ""
    return f"segment {'ids' if len(segment_ids) > 1 else 'id'} {shown}{more}"


def _reason(error):
    return f"no {error}" if isinstance(error, KeyError) else str(error)
