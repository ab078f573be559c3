"""Writes panoptic maps as PNGs and a JSON file, which other programs can score and show."""

import io
import json
import operator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.segment_ids import NUM_IDS, VOID_ID, encode_ids
from tfseg.labels import DatasetInfo
from tfseg.system.files import write_atomically


class PanopticWriter:
    """Writes the PNGs one by one and the JSON file at the end. A context manager writes it only if there is no error.

        with PanopticWriter("val.json", info) as writer:
            writer.add(1, "frankfurt_000000", panoptic_ids)

    PNGs go to the folder with the JSON file's name without .json. The id of a segment is its panoptic id +
    label_divisor, so that none is 0, and its class is id // label_divisor - 1. A file gets its final name only when it
    is complete.

    Args:
      json_path: the JSON file's path; missing folders are made.
      info: what class ids mean.
      category_ids: the data set's category id of each class id, each once; None uses class ids as category ids.
      has_crowds: whether the maps are labels, in which instance 0 of a thing is a crowd; otherwise it is a segment like
        any other.
    Raises:
      InputError: segment ids need more than 24 bits, or the ending is not .json.
      ValueError: there is not exactly one category id per class, or one repeats.
    """

    def __init__(self, json_path, info: DatasetInfo, category_ids=None, has_crowds: bool = False):
        if (info.num_classes + 1) * info.label_divisor > NUM_IDS:
            raise InputError(
                f"{info.name}: {info.num_classes} classes with the label divisor {info.label_divisor} need segment ids "
                f"of {NUM_IDS} and above; take a smaller divisor"
            )
        if Path(json_path).suffix != ".json":
            raise InputError(f"{json_path}: the name must end in .json; the folder of PNGs has the name without it")
        self.json_path, self.info, self.has_crowds = Path(json_path), info, has_crowds
        category_ids = range(info.num_classes) if category_ids is None else category_ids
        self.category_ids = [operator.index(each) for each in category_ids]
        if len(self.category_ids) != info.num_classes:
            raise ValueError(f"{len(self.category_ids)} category ids for {info.num_classes} classes")
        repeated = [each for each in self.category_ids if self.category_ids.count(each) > 1]
        if repeated:
            raise ValueError(f"two classes have the category id {repeated[0]}; give every class its own")
        self._images, self._annotations, self._names = {}, [], set()

    def __enter__(self):
        return self

    def __exit__(self, error_type, error, traceback):
        if error_type is None:
            self.close()

    def add(self, image_id, name: str, panoptic_ids):
        """Writes the PNG of an image.

        Args:
          image_id: the image's id, a whole number or text.
          name: the PNG's name without .png; it may contain folders, which are made inside the folder of PNGs.
          panoptic_ids: [height, width] integers, class id * label_divisor + instance id; the ignored class is void.
        Raises:
          InputError: an id belongs to no class, a map has no pixels or no integers, an image or a name was added
            before, or a name leads outside of the folder.
          RunError: the file cannot be written.
        """
        image_id = image_id if isinstance(image_id, str) else int(operator.index(image_id))
        if image_id in self._images:
            raise InputError(f"{self.json_path}: image {image_id!r} is added twice; give every image an id of its own")
        self._check_name(name, image_id)
        segment_ids = self._segment_ids(_integers(panoptic_ids, name), name)
        buffer = io.BytesIO()
        Image.fromarray(encode_ids(segment_ids)).save(buffer, "PNG")
        write_atomically(self.json_path.with_suffix("") / f"{name}.png", buffer.getvalue())
        self._names.add(name)
        height, width = segment_ids.shape
        self._images[image_id] = {"id": image_id, "file_name": f"{name}.png", "height": height, "width": width}
        self._annotations.append(
            {"image_id": image_id, "file_name": f"{name}.png", "segments_info": self._segments_info(segment_ids)}
        )

    def close(self):
        """Writes the JSON file. Raises RunError."""
        info = self.info
        categories = [
            {"id": category_id, "name": name, "isthing": int(class_id in info.thing_ids), "color": list(color)}
            for class_id, (category_id, name, color) in enumerate(
                zip(self.category_ids, info.class_names, info.colors, strict=True)
            )
        ]
        content = {
            "images": list(self._images.values()),
            "annotations": self._annotations,
            "categories": categories,
        }
        write_atomically(self.json_path, (json.dumps(content) + "\n").encode())

    def _check_name(self, name, image_id):
        plain = PurePosixPath(name)
        if not plain.name or name != str(plain) or "\0" in name or plain.is_absolute() or ".." in plain.parts:
            raise InputError(
                f"{self.json_path}: image {image_id!r} has the name {name!r}; give a relative path in its shortest "
                "form, without '..'"
            )
        if name in self._names:
            raise InputError(
                f"{self.json_path}: image {image_id!r} has the name {name!r} of another image; give every PNG its own"
            )

    def _segment_ids(self, panoptic_ids, name):
        class_ids = panoptic_ids // self.info.label_divisor
        is_void = class_ids == self.info.ignore_label
        is_unknown = ((class_ids < 0) | (class_ids >= self.info.num_classes)) & ~is_void
        if is_unknown.any():
            raise InputError(
                f"{name}: the panoptic id {panoptic_ids[is_unknown][0]} belongs to none of the {self.info.num_classes} "
                f"classes; is an instance id at or above the label divisor {self.info.label_divisor}?"
            )
        return np.where(is_void, VOID_ID, panoptic_ids + self.info.label_divisor)

    def _segments_info(self, segment_ids):
        entries = []
        for segment_id, area, bbox in segment_geometry(segment_ids):
            class_id, instance_id = divmod(segment_id - self.info.label_divisor, self.info.label_divisor)
            is_crowd = self.has_crowds and class_id in self.info.thing_ids and instance_id == 0
            entry = {"id": segment_id, "category_id": self.category_ids[class_id], "iscrowd": int(is_crowd)}
            entries.append(entry | {"area": area, "bbox": bbox})
        return entries


def _integers(panoptic_ids, name):
    values = np.asarray(panoptic_ids)
    if values.ndim != 2 or not values.size:
        raise InputError(f"{name}: a map of shape {list(values.shape)}; it must be [height, width] and have pixels")
    if values.dtype.kind not in "iu":
        raise InputError(f"{name}: a map of {values.dtype}; panoptic ids are integers, so round and convert it first")
    return values.astype(np.int64)


def segment_geometry(segment_ids) -> list[tuple[int, int, list[int]]]:
    """Returns (id, area in pixels, bounding box [x, y, width, height]) of every segment, in ascending order of ids.

    All values are Python integers.

    Args:
      segment_ids: [height, width] integers; 0 is void.
    """
    height, width = segment_ids.shape
    is_start = np.ones([height, width], bool)
    is_start[:, 1:] = segment_ids[:, 1:] != segment_ids[:, :-1]
    starts = np.flatnonzero(is_start)
    lengths = np.diff(starts, append=height * width)
    ids, numbers = np.unique(segment_ids.reshape(-1)[starts], return_inverse=True)
    rows, columns = np.divmod(starts, max(width, 1))
    areas = np.bincount(numbers, lengths, len(ids)).astype(np.int64)
    top, left = np.full([2, len(ids)], max(height, width))
    bottom, right = np.zeros([2, len(ids)], np.int64)
    for reduce, extremes, values in (
        (np.minimum, top, rows),
        (np.minimum, left, columns),
        (np.maximum, bottom, rows + 1),
        (np.maximum, right, columns + lengths),
    ):
        reduce.at(extremes, numbers, values)
    boxes = np.stack([left, top, right - left, bottom - top], -1).tolist()  # [num_segments, 4]
    segments = zip(ids.tolist(), areas.tolist(), boxes, strict=True)
    return [segment for segment in segments if segment[0] != VOID_ID]
