"""DeeperLab's fusion: semantics and instance maps of one image -> panoptic ids.

Yang et al. 2019, arXiv:1902.05093, sections 3.3 and 3.4. All steps work on cells of the network's stride, and none
makes an array of instances x height x width, so time hardly depends on the number of instances.

Limits: instances whose keypoints all lie within `proximity` of each other's become one, as may a disk and the ring
round it, whose centres coincide; borders between touching instances are blurred by up to half a cell; a thing between
the cells, none of which lies on it, belongs to the instance of the nearest cell.
"""

import dataclasses
import functools

import cv2
import numpy as np

from tfseg.errors import InputError
from tfseg.labels import MAX_CLASSES
from tfseg.postprocess import keypoint_scores, lifting
from tfseg.postprocess.assignment import nearest_instances
from tfseg.postprocess.detection import Detections, detect
from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.instance_maps import InstanceMaps, checked, probabilities, vectors
from tfseg.postprocess.merging import merge
from tfseg.postprocess.offset_fields import long_targets

DEFAULTS = FusionConfig()


@dataclasses.dataclass(frozen=True)
class Instance:
    """A thing that was found.

    Attributes:
      panoptic_id: its pixels' value in the panoptic ids.
      class_id: what most of its pixels are called.
      score: mean score of its keypoints, 0 to 1; 0 if no keypoints were found in the image.
      area: pixels.
      keypoints: [P, 2] float32 (y, x) in input pixels; None if none were found in the image.
    """

    panoptic_id: int
    class_id: int
    score: float
    area: int
    keypoints: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class PanopticPrediction:
    """Attributes:
    panoptic_ids: [height, width] int32, class id * label_divisor + instance id, which is 0 for stuff.
    instances: those that have pixels, best first.
    """

    panoptic_ids: np.ndarray
    instances: list[Instance]


def fuse(semantic, maps: InstanceMaps, thing_ids, label_divisor, size=None, config=DEFAULTS) -> PanopticPrediction:
    """Panoptic ids of one image.

    Args:
      semantic: [height, width] class ids 0 to 255, [h, w] class ids of cells, or [h, w, C] float logits of cells.
      maps: of the network; h = ceil(height / stride), w = ceil(width / stride).
      thing_ids: the class ids that have instances.
      label_divisor: panoptic id = class id * label_divisor + instance id. No more than label_divisor - 1 instances are
        kept, the best ones.
      size: (height, width) of the image in pixels; needed unless `semantic` has it.
      config: thresholds.
    Raises:
      InputError: shapes or values that do not go together.
    """
    _keep_freed_memory()
    is_thing = _thing_table(thing_ids, label_divisor)
    if size is None:
        if np.ndim(semantic) != 2:
            raise InputError("logits do not tell the image's size: give fuse size=(height, width)")
        size = np.shape(semantic)
    maps = checked(maps, config.keypoint_graph, size)
    if np.asarray(semantic).dtype.kind == "f" and not np.isfinite(semantic).all():
        raise InputError("semantic holds logits that are not finite: the network has diverged, use other weights")
    if 0 in size:
        return PanopticPrediction(np.zeros(size, np.int32), [])
    class_ids = _full_class_ids(np.asarray(semantic), maps, tuple(size))
    cell_classes = class_ids[:: maps.stride, :: maps.stride]
    thing_cells = np.flatnonzero(is_thing[cell_classes])
    thing_pixels = np.flatnonzero(cv2.LUT(class_ids, is_thing))
    if not len(thing_pixels):
        return _without_detections(class_ids, thing_pixels, label_divisor)
    detections, targets = _instances(maps, thing_cells, config)
    detections = Detections(*(values[: label_divisor - 1] for values in (detections.keypoints, detections.scores)))
    if len(detections.scores) == 0:
        return _without_detections(class_ids, thing_pixels, label_divisor)
    if not len(thing_cells):
        ranks = _nearest_centers(detections.keypoints * maps.stride, thing_pixels, class_ids.shape[1])
        return _merged(class_ids, thing_pixels, ranks, detections, maps.stride, label_divisor)
    labels = np.zeros(cell_classes.size, np.int32)
    labels[thing_cells] = nearest_instances(targets, detections.keypoints, config, 1 / maps.stride) + 1
    ranks = _lifted(labels.reshape(cell_classes.shape), maps.stride, thing_pixels, cell_classes, class_ids) - 1
    return _merged(class_ids, thing_pixels, ranks, detections, maps.stride, label_divisor)


def _merged(class_ids, thing_pixels, ranks, detections, stride, label_divisor):
    merged = merge(class_ids, thing_pixels, ranks, label_divisor)
    return _prediction(merged, detections.scores[merged.ranks], detections.keypoints[merged.ranks] * stride)


def _nearest_centers(keypoints, pixels, width):
    """[n] which of [N, P, 2] instances has its middle nearest to each of [n] pixels of the flattened image."""
    centers = keypoints.mean(axis=1)
    points = np.stack(np.divmod(pixels, width), axis=-1)
    nearest = [np.square(centers - point).sum(axis=1).argmin() for point in points]
    return np.array(nearest, np.intp)


@functools.cache
def _keep_freed_memory():
    """Lets the next image reuse the memory of this one, up to 64 MB; to get it anew can take as long as all the rest.

    glibc returns free memory above twice the largest block under 32 MB that was freed so far: here is one.
    """
    np.empty(2**25 - 2**13, np.uint8)


def _thing_table(thing_ids, label_divisor):
    """[256] uint8: 1 for things."""
    if not 2 <= label_divisor <= np.iinfo(np.int32).max // (MAX_CLASSES + 1):
        raise InputError(f"label_divisor is {label_divisor}; 2 to {np.iinfo(np.int32).max // (MAX_CLASSES + 1)}")
    thing_ids = sorted(thing_ids)
    if thing_ids and not 0 <= thing_ids[0] <= thing_ids[-1] < MAX_CLASSES:
        raise InputError(f"thing_ids are {thing_ids}; 0 to {MAX_CLASSES - 1}")
    is_thing = np.zeros(MAX_CLASSES + 1, np.uint8)
    is_thing[thing_ids] = 1
    return is_thing


def _full_class_ids(semantic, maps, size):
    """[height, width] uint8 from what `fuse` takes."""
    if semantic.ndim == 3 and semantic.shape[:2] == maps.grid and 1 <= semantic.shape[2] <= MAX_CLASSES:
        return lifting.lift_class_ids(np.ascontiguousarray(semantic, np.float32), maps.stride, size)
    is_full = semantic.shape == size
    if semantic.ndim != 2 or not (is_full or semantic.shape == maps.grid):
        kinds = f"{size} or {maps.grid} class ids, or ({maps.grid[0]}, {maps.grid[1]}, C) logits"
        raise InputError(f"semantic has shape {semantic.shape}, but this image needs {kinds}")
    if semantic.dtype.kind not in "iu":
        raise InputError(f"semantic has {semantic.dtype} values; class ids are integers")
    if semantic.dtype != np.uint8:
        if semantic.min() < 0 or semantic.max() > MAX_CLASSES:
            raise InputError(f"semantic has values {semantic.min()} to {semantic.max()}; class ids are 0 to 255")
        semantic = semantic.astype(np.uint8)
    return np.ascontiguousarray(semantic if is_full else lifting.repeat_class_ids(semantic, maps.stride, size))


def _instances(maps, thing_cells, config):
    """(Detections, [P, T, 2] keypoints that the thing cells see, or None without any)."""
    heat, radius = probabilities(maps.heatmap_logits.transpose(2, 0, 1)), config.radius / maps.stride
    long_field, short_field, middle_field = (
        vectors(offsets) / np.float32(maps.stride)
        for offsets in (maps.long_offsets, maps.short_offsets, maps.middle_offsets)
    )
    gated = short_field * (heat > config.refine_min_probability).transpose(1, 2, 0)[..., np.newaxis]
    voters = thing_cells if config.long_votes == "thing" else np.arange(maps.grid[0] * maps.grid[1])
    seen = long_targets(voters, long_field, gated, config)
    scores = keypoint_scores.fused_scores(
        keypoint_scores.short_votes(heat, short_field, config.vote_min_probability),
        keypoint_scores.long_votes(seen, maps.grid),
        radius,
        config,
    )
    detections = detect(scores, heat, (middle_field, gated), radius, config)
    return detections, seen if config.long_votes == "thing" else seen[:, thing_cells]


def _lifted(labels, stride, thing_pixels, cell_classes, class_ids):
    """[n] labels of the pixels of things, from 1."""
    size = class_ids.shape
    lifted = lifting.lift_labels(labels, stride, size, cell_classes, class_ids).reshape(-1).take(thing_pixels)
    alone = np.flatnonzero(lifted == 0)
    if len(alone):
        lifted[alone] = lifting.nearest_labels(labels, stride, thing_pixels[alone], size[1])
    return lifted


def _without_detections(class_ids, thing_pixels, label_divisor):
    """One instance for each class of things that is there."""
    ranks = class_ids.reshape(-1).take(thing_pixels).astype(np.intp)
    merged = merge(class_ids, thing_pixels, ranks, label_divisor)
    return _prediction(merged, np.zeros(len(merged.ranks)), [None] * len(merged.ranks))


def _prediction(merged, scores, keypoints):
    instances = [
        Instance(panoptic_id, class_id, score, area, points)
        for panoptic_id, class_id, score, area, points in zip(
            merged.instance_ids.tolist(),
            merged.class_ids.tolist(),
            scores.tolist(),
            merged.areas.tolist(),
            keypoints,
            strict=True,
        )
    ]
    return PanopticPrediction(merged.panoptic_ids, instances)
