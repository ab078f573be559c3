"""DeeperLab's fusion: turns the semantics and the instance maps of one image into panoptic ids.

Yang et al. 2019, arXiv:1902.05093, sections 3.3 and 3.4. All steps work on cells of the network's stride, and none
makes an array of instances x height x width, so the time hardly depends on the number of instances.

Limits: two instances become one if all their keypoints lie within `proximity` of each other. So may a disk and the ring
around it, because their centres coincide. Borders between touching instances are blurred by up to half a cell. A thing
so small that no cell lies on it joins the instance of the nearest cell.
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
      panoptic_id: the value of its pixels in the panoptic ids.
      class_id: the class of most of its pixels.
      score: mean score of its keypoints, 0 to 1; 0 if no keypoints were found in the image.
      area: number of its pixels.
      keypoints: [P, 2] float32 (y, x) in input pixels; None if no keypoints were found in the image.
    """

    panoptic_id: int
    class_id: int
    score: float
    area: int
    keypoints: np.ndarray | None


@dataclasses.dataclass(frozen=True)
class PanopticPrediction:
    """The fusion's result.

    Attributes:
      panoptic_ids: [height, width] int32, class id * label_divisor + instance id; the instance id of stuff is 0.
      instances: the instances that have pixels, best first.
    """

    panoptic_ids: np.ndarray
    instances: list[Instance]


def fuse(semantic, maps: InstanceMaps, thing_ids, label_divisor, size=None, config=DEFAULTS) -> PanopticPrediction:
    """Computes the panoptic ids of one image.

    Example:
      maps = InstanceMaps(heatmap_logits, long_offsets, short_offsets, middle_offsets, stride=4)  # [h, w, c] each
      found = fuse(semantic_logits, maps, info.thing_ids, info.label_divisor, size=(height, width))
      masks = [found.panoptic_ids == instance.panoptic_id for instance in found.instances]

    Args:
      semantic: [height, width] class ids 0 to 255, [h, w] class ids of cells, or [h, w, C] float logits of cells.
      maps: the network's instance maps; h = ceil(height / stride), w = ceil(width / stride).
      thing_ids: the class ids that have instances.
      label_divisor: panoptic id = class id * label_divisor + instance id. Only the best label_divisor - 1 instances are
        kept.
      size: (height, width) of the image in pixels; needed unless `semantic` has that size.
      config: the fusion's thresholds.
    Raises:
      InputError: shapes or values do not fit together.
    """
    _keep_freed_memory()
    is_thing = _thing_table(thing_ids, label_divisor)
    if size is None:
        if np.ndim(semantic) != 2:
            raise InputError("logits do not tell the image's size: pass size=(height, width) to fuse")
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
    """Returns, for each of [n] pixels of the flattened image, the index of the nearest of the [N, P, 2] centres."""
    centers = keypoints.mean(axis=1)  # [N, 2]
    points = np.stack(np.divmod(pixels, width), axis=-1)  # [n, 2]
    nearest = [np.square(centers - point).sum(axis=1).argmin() for point in points]
    return np.array(nearest, np.intp)


@functools.cache
def _keep_freed_memory():
    """Lets the next image reuse this image's memory, up to 64 MB; allocating it anew can take as long as the fusion.

    glibc returns free memory to the system only above twice the largest block under 32 MB that was ever freed. This
    function allocates and frees such a block.
    """
    np.empty(2**25 - 2**13, np.uint8)


def _thing_table(thing_ids, label_divisor):
    """Returns a [256] uint8 table: 1 for classes of things, 0 for others."""
    if not 2 <= label_divisor <= np.iinfo(np.int32).max // (MAX_CLASSES + 1):
        raise InputError(
            f"label_divisor is {label_divisor}; it must be from 2 to {np.iinfo(np.int32).max // (MAX_CLASSES + 1)}"
        )
    thing_ids = sorted(thing_ids)
    if thing_ids and not 0 <= thing_ids[0] <= thing_ids[-1] < MAX_CLASSES:
        raise InputError(f"thing_ids are {thing_ids}; they must be from 0 to {MAX_CLASSES - 1}")
    is_thing = np.zeros(MAX_CLASSES + 1, np.uint8)
    is_thing[thing_ids] = 1
    return is_thing


def _full_class_ids(semantic, maps, size):
    """Returns [height, width] uint8 class ids from any form of `semantic` that `fuse` takes."""
    if semantic.ndim == 3 and semantic.shape[:2] == maps.grid and 1 <= semantic.shape[2] <= MAX_CLASSES:
        return lifting.lift_class_ids(np.ascontiguousarray(semantic, np.float32), maps.stride, size)
    is_full = semantic.shape == size
    if semantic.ndim != 2 or not (is_full or semantic.shape == maps.grid):
        kinds = f"{size} or {maps.grid} class ids, or ({maps.grid[0]}, {maps.grid[1]}, C) logits"
        raise InputError(f"semantic has shape {semantic.shape}, but this image needs {kinds}")
    if semantic.dtype.kind not in "iu":
        raise InputError(f"semantic has {semantic.dtype} values; class ids must be integers")
    if semantic.dtype != np.uint8:
        if semantic.min() < 0 or semantic.max() > MAX_CLASSES:
            raise InputError(f"semantic has values {semantic.min()} to {semantic.max()}; class ids must be 0 to 255")
        semantic = semantic.astype(np.uint8)
    return np.ascontiguousarray(semantic if is_full else lifting.repeat_class_ids(semantic, maps.stride, size))


def _instances(maps, thing_cells, config):
    """Returns (Detections, [P, T, 2] keypoints that the T thing cells point to)."""
    # heat is [P, h, w]; the radius is in cells.
    heat, radius = probabilities(maps.heatmap_logits.transpose(2, 0, 1)), config.radius / maps.stride
    long_field, short_field, middle_field = (
        vectors(offsets) / np.float32(maps.stride)
        for offsets in (maps.long_offsets, maps.short_offsets, maps.middle_offsets)
    )
    gated = short_field * (heat > config.refine_min_probability).transpose(1, 2, 0)[..., np.newaxis]  # [h, w, P, 2]
    voters = thing_cells if config.long_votes == "thing" else np.arange(maps.grid[0] * maps.grid[1])
    seen = long_targets(voters, long_field, gated, config)  # [P, number of voters, 2]
    scores = keypoint_scores.fused_scores(
        keypoint_scores.short_votes(heat, short_field, config.vote_min_probability),
        keypoint_scores.long_votes(seen, maps.grid),
        radius,
        config,
    )
    detections = detect(scores, heat, (middle_field, gated), radius, config)
    return detections, seen if config.long_votes == "thing" else seen[:, thing_cells]


def _lifted(labels, stride, thing_pixels, cell_classes, class_ids):
    """Returns [n] labels of the pixels of things, counted from 1."""
    size = class_ids.shape
    lifted = lifting.lift_labels(labels, stride, size, cell_classes, class_ids).reshape(-1).take(thing_pixels)
    alone = np.flatnonzero(lifted == 0)
    if len(alone):
        lifted[alone] = lifting.nearest_labels(labels, stride, thing_pixels[alone], size[1])
    return lifted


def _without_detections(class_ids, thing_pixels, label_divisor):
    """Makes one instance of each class of things that is present."""
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
