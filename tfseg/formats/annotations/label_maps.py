"""Reads the masks of a photograph that a tool drew itself: a picture of classes, and perhaps one of objects."""

import numpy as np

from tfseg.errors import InputError, listed
from tfseg.formats.annotations.photograph import LabelMaps
from tfseg.formats.annotations.voc_masks import values_of
from tfseg.formats.label_file import LabelRule, read_colors, read_stored_label
from tfseg.labels import IGNORE_LABEL

NO_OBJECT, VOC_VOID = (0, 0, 0), (224, 224, 192)


def read_maps(maps: LabelMaps, class_ids: dict[str, int], things, max_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads the maps of a photograph.

    Args:
      maps: the files.
      class_ids: {name of a class: its id}.
      things: class ids that have instances.
      max_pixels: number of pixels above which a file is refused.
    Returns:
      (class ids uint8, instance ids int32), each [height, width] as stored. In every class, things count from 1.
    Raises:
      InputError: a file cannot be read, has a colour without a class, or the files differ in size.
    """
    read = _of_values if maps.has_values else _of_colors
    classes, objects, none = read(maps, class_ids, max_pixels)
    instances = np.zeros(classes.shape, np.int32)
    if objects is None:
        return classes, instances
    if objects.shape != classes.shape:
        raise InputError(
            f"{maps.objects_path}: objects of {objects.shape[1]}x{objects.shape[0]} pixels for classes of "
            f"{classes.shape[1]}x{classes.shape[0]} (width x height); export both again"
        )
    for thing in things:
        is_object = (classes == thing) & ~np.isin(objects, none)
        instances[is_object] = np.unique(objects[is_object], return_inverse=True)[1] + 1
    return classes, instances


def _of_colors(maps, class_ids, max_pixels):
    """Returns (class ids, numbers of objects or None, numbers that stand for none)."""
    palette = {color: class_ids[name] for color, name in maps.names.items()}
    palette.setdefault(VOC_VOID, IGNORE_LABEL)
    classes = read_stored_label(maps.path, LabelRule(None, palette=palette), max_pixels).class_ids
    none = [_code(np.array(color)) for color in (NO_OBJECT, VOC_VOID)]
    objects = maps.objects_path and _code(read_colors(maps.objects_path, max_pixels))
    return classes, objects, none


def _code(colors):
    return colors.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def _of_values(maps, class_ids, max_pixels):
    values = values_of(maps.path, max_pixels)
    table = {color[0]: class_ids[name] for color, name in maps.names.items()}
    table.setdefault(IGNORE_LABEL, IGNORE_LABEL)
    present, places = np.unique(values, return_inverse=True)
    unknown = [int(value) for value in present if value not in table]
    if unknown:
        raise InputError(f"{maps.path}: value {listed(unknown)}, and the classes are {listed(maps.names.values())}")
    classes = np.array([table[value] for value in present.tolist()], np.uint8)[places].reshape(values.shape)
    objects = maps.objects_path and values_of(maps.objects_path, max_pixels)
    return classes, objects, [0, IGNORE_LABEL]
