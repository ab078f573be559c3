"""Objects in what a model says about an image: instances, and connected components of classes."""

import dataclasses

import cv2
import numpy as np

from tfseg.labels import DatasetInfo
from tfseg.postprocess.outlines import Outline, outlines
from tfseg.postprocess.places import boxes


@dataclasses.dataclass(frozen=True)
class FoundObject:
    """One object.

    Attributes:
      class_id: its class.
      ids: [height, width] of its bounding box, a view of a map where that saves memory.
      value: what `ids` has in the object's pixels.
      left, top: place of the box in the image, in pixels.
      area: number of its pixels.
      score: 0 to 1; None if the model gives no probabilities.
    """

    class_id: int
    ids: np.ndarray
    value: int
    left: int
    top: int
    area: int
    score: float | None

    @property
    def mask(self) -> np.ndarray:
        """[height, width] bool, its pixels inside of its bounding box."""
        return self.ids == self.value

    def outlines(self, simplify_px: float) -> list[Outline]:
        """Returns the outlines of its parts in the image; see `postprocess.outlines.outlines`."""
        return outlines(self.mask, simplify_px, (self.left, self.top))


def needs_confidence(class_ids, info: DatasetInfo, instances=()) -> bool:
    """Whether the scores of some objects are not those of instances, so that probabilities of pixels are needed.

    Args are those of `find_objects`.
    """
    counts = cv2.calcHist([np.ascontiguousarray(class_ids)], [0], None, [256], [0, 256])[:, 0]
    present = set(np.flatnonzero(counts).tolist())
    with_own = {one.class_id for one in instances if one.keypoints is not None}
    others = present & set(range(info.num_classes)) - info.background_ids - with_own
    return bool(others) or any(one.keypoints is None for one in instances)


def find_objects(class_ids, info: DatasetInfo, confidence=None, panoptic_ids=None, instances=(), min_area=1):
    """Finds the objects of an image.

    They are the instances; and of all other pixels the connected components of each class, where pixels that touch at
    a corner are connected. Those of the background are none. An instance has its own score, unless it has no keypoints;
    all others have the mean probability of their pixels.

    Args:
      class_ids: [height, width] uint8.
      info: what the class ids mean.
      confidence: [height, width] probability of each pixel's class; None if it is not known.
      panoptic_ids: [height, width] int32; None if the model does not tell instances apart.
      instances: list of `postprocess.fusion.Instance`.
      min_area: pixels of the smallest object that is taken.
    Returns:
      (list of `FoundObject`, the largest first; number of objects that are smaller than `min_area`).
    """
    found, num_small, is_free = [], 0, np.ones(class_ids.shape, bool)
    places = {} if panoptic_ids is None else boxes(panoptic_ids, [one.panoptic_id for one in instances])
    for one in instances:
        if one.panoptic_id in places:
            left, top, right, bottom = places[one.panoptic_id]
            own = float(one.score) if one.keypoints is not None else None
            box = panoptic_ids[top:bottom, left:right]
            found.append(_found(one.class_id, box, one.panoptic_id, (left, top), own, confidence))
            is_free[top:bottom, left:right] &= box != one.panoptic_id
    for class_id in sorted(set(range(info.num_classes)) - info.background_ids):
        of_class = (class_ids == class_id) & is_free
        if of_class.any():
            components, count = _components(class_id, of_class, confidence, min_area)
            found += components
            num_small += count
    large = [one for one in found if one.area >= min_area]
    order = sorted(large, key=lambda one: -one.area)  # where outlines overlap, tools show the last on top
    return order, num_small + len(found) - len(large)


def _components(class_id, mask, confidence, min_area):
    """Returns the connected components of a mask with at least `min_area` pixels, and the number of the others."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.view(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]  # the first is the ground
    components = []
    for label in (1 + np.flatnonzero(areas >= min_area)).tolist():
        left, top, width, height = stats[label, : cv2.CC_STAT_AREA].tolist()
        part = labels[top : top + height, left : left + width] == label
        components.append(_found(class_id, part, True, (left, top), None, confidence))
    return components, int(np.count_nonzero(areas < min_area))


def _found(class_id, ids, value, corner, own_score, confidence):
    (left, top), (height, width), score = corner, ids.shape, own_score
    mask = ids == value
    if score is None and confidence is not None:
        score = float(confidence[top : top + height, left : left + width][mask].mean(dtype=np.float64))
    return FoundObject(class_id, ids, value, left, top, int(np.count_nonzero(mask)), score)
