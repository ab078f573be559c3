"""Draws the objects of a photograph into maps of classes and instances. One rasteriser serves all formats.

Polygons cover the pixels that they cover for the COCO API (rleFrPoly), to the pixel: it is called for them.
"""

from collections import Counter

import numpy as np
from pycocotools import mask as coco_masks

from tfseg.errors import InputError
from tfseg.formats.annotations.photograph import AnnotatedObject, AnnotatedPhotograph, Polygons, RunLengths
from tfseg.formats.annotations.run_lengths import to_mask
from tfseg.labels import IGNORE_LABEL

MAX_OUTSIDE = 10  # longest sides of the picture by which a point may lie outside of it
MAX_OUTLINE = 20_000_000  # pixels along a polygon; the COCO API needs 100 bytes for each, and does not check
SHARE_DECIMALS = 6  # of a pixel: a corner on a half pixel is one again, in spite of the last digits that a share lost


def draw(
    photograph: AnnotatedPhotograph, size: tuple[int, int], class_ids: dict[str, int], things: set[int], uncovered: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the maps of a photograph.

    Crowds lie below all other objects; of the others, each lies above those before it. Objects of classes with
    instances are numbered in this order, from 1 in every class; pixels of other classes and of crowds have instance 0.

    Args:
      photograph: the objects.
      size: (height, width) of the maps, in pixels.
      class_ids: {name of a class: its id}, 255 for objects that are ignored.
      things: class ids that have instances.
      uncovered: class id of pixels that no object covers.
    Returns:
      (class ids uint8, instance ids int32), each [height, width].
    Raises:
      InputError: an object does not fit the size, or is too large to be drawn; the message names file and object.
    """
    labels, instances = np.full(size, uncovered, np.uint8), np.zeros(size, np.int32)
    numbers = Counter()
    for each in sorted(photograph.objects, key=lambda each: not each.is_crowd):
        class_id, number = class_ids[each.class_name], 0
        if class_id in things and not each.is_crowd:
            numbers[class_id] += 1
            number = numbers[class_id]
        for (top, left), is_inside in _covered(each, size, photograph.place):
            box = (slice(top, top + is_inside.shape[0]), slice(left, left + is_inside.shape[1]))
            labels[box][is_inside] = class_id
            instances[box][is_inside] = 0 if class_id == IGNORE_LABEL else number
    return labels, instances


def most_instances(photograph: AnnotatedPhotograph) -> int:
    """Returns how many objects the most frequent class of a photograph has."""
    counts = Counter(each.class_name for each in photograph.objects if not each.is_crowd)
    return max(counts.values(), default=0)


def _covered(each: AnnotatedObject, size, place):
    """Yields ((top, left), [height, width] bool) of boxes inside of a picture that hold what an object covers."""
    for shape in each.shapes:
        if isinstance(shape, RunLengths):
            yield _placed(shape, size, f"{place}: {each.name}")
        else:
            yield from _filled(shape, size, f"{place}: {each.name}")


def _placed(shape, size, place):
    corner = shape.corner or (0, 0)
    is_whole = shape.corner is not None or shape.size == tuple(size)
    if not is_whole or any(at < 0 or at + side > of for at, side, of in zip(corner, shape.size, size, strict=True)):
        raise InputError(
            f"{place}: an RLE of {shape.size[1]}x{shape.size[0]} (width x height) does not fit the picture of "
            f"{size[1]}x{size[0]}; export the annotations again, beside the picture that they were drawn on"
        )
    return corner, to_mask(shape)


def _filled(shape: Polygons, size, place):
    height, width = size
    rings = [_in_pixels(ring, shape, size, place) for ring in shape.rings]
    if not rings:
        return
    runs = coco_masks.merge(coco_masks.frPyObjects(rings, height, width))
    left, top, box_width, box_height = (int(side) for side in coco_masks.toBbox(runs))
    if not box_width or not box_height:
        return
    box = (slice(top, top + box_height), slice(left, left + box_width))
    is_inside = coco_masks.decode(runs)[box].astype(bool)
    for hole in shape.holes:
        (runs,) = coco_masks.frPyObjects([_in_pixels(hole, shape, size, place)], height, width)
        is_inside &= ~coco_masks.decode(runs)[box].astype(bool)
    yield (top, left), is_inside


def _in_pixels(ring, shape, size, place):
    """Returns [2 * num_points] coordinates in pixels, checked: the COCO API would use memory without bounds."""
    height, width = size
    points = np.round(ring * (width, height), SHARE_DECIMALS) if shape.has_shares else ring
    reach = MAX_OUTSIDE * max(size)
    if points.min() < -reach or points.max() > max(size) + reach:
        far = points[np.abs(points).max(1).argmax()]
        raise InputError(
            f"{place}: a point at ({far[0]:g}, {far[1]:g}) is far outside of the picture of {width}x{height} (width x "
            "height); draw the object again or delete it"
        )
    if np.abs(np.diff(points, axis=0, append=points[:1])).max(1).sum() > MAX_OUTLINE:
        raise InputError(f"{place}: an outline of more than {MAX_OUTLINE} pixels; draw the object again or delete it")
    return points.ravel()
