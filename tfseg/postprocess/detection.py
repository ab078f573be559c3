"""Groups keypoints into instances: one seed per instance, without duplicates."""

import dataclasses

import numpy as np

from tfseg.postprocess.offset_fields import follow_edges
from tfseg.postprocess.peaks import find_peaks, keypoint_scores

# Number of pairs of boxes compared at a time: 128 kB, which stays in the cache.
PAIRS = 2**15


@dataclasses.dataclass(frozen=True)
class Detections:
    """Instances without their pixels, best first.

    Attributes:
      keypoints: [n, P, 2] (y, x), in cells.
      scores: [n] mean score of an instance's keypoints, 0 to 1.
    """

    keypoints: np.ndarray
    scores: np.ndarray


def detect(scores, probabilities, fields, radius, config) -> Detections:
    """Finds all instances of an image, whatever their class.

    Args:
      scores: [P, h, w] voted scores.
      probabilities: [P, h, w] probabilities of the heatmap.
      fields: (middle_field [h, w, E, 2], short_field [h, w, P, 2]), in cells.
      radius: radius of the keypoints' disks, in cells.
      config: the fusion's thresholds.
    """
    grid = scores.shape[1:]
    peaks = find_peaks(scores, probabilities, radius, config)
    keypoints = follow_edges(peaks.keypoints, peaks.points, *fields, config)
    accepted = pick_seeds(peaks.keypoints, keypoints, grid, radius * config.proximity / config.radius)
    keypoints, seeds = keypoints[accepted], peaks.keypoints[accepted]  # [n, P, 2], [n]
    cells = np.rint(keypoints).clip(0, np.array(grid) - 1).astype(np.intp).reshape(-1, 2)  # [n * P, 2]
    channels = np.tile(np.arange(len(scores)), len(keypoints))  # [n * P]
    values = keypoint_scores(scores, probabilities, channels, cells, radius, config).reshape(-1, len(scores))  # [n, P]
    values[np.arange(len(seeds)), seeds] = peaks.scores[accepted]
    means = values.mean(axis=1)
    order = np.argsort(-means, kind="stable")
    order = order[means[order] >= config.instance_score_min]
    boxes = config.keypoint_graph.boxes(keypoints[order])
    order = order[suppress(boxes, config.nms_iou, cell=radius / config.radius)]
    return Detections(keypoints[order], means[order])


def pick_seeds(seeds, keypoints, grid, proximity) -> np.ndarray:
    """Takes the seeds in turn, except those near the same keypoint of an instance that was taken before.

    Each taken instance is marked on one map per keypoint, so that the cost of a seed does not depend on the number of
    instances.

    Args:
      seeds: [n] which keypoint each seed is, best first.
      keypoints: [n, P, 2] keypoints of the instances that the seeds lead to, in cells; they may lie outside the grid.
      grid: (h, w).
      proximity: largest distance that counts as near, in cells.
    Returns:
      [m] indices of the seeds that are taken.
    """
    reach = int(proximity)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    is_near = y**2 + x**2 <= proximity**2
    # Keypoints outside the grid are clipped to a distance at which their disks do not reach into it.
    margin = 2 * reach + 1
    height, width = grid[0] + 2 * margin, grid[1] + 2 * margin
    cells = np.rint(keypoints).clip(-reach - 1, np.array(grid) + reach).astype(np.intp) + margin  # [n, P, 2]
    index = (np.arange(keypoints.shape[1]) * height + cells[..., 0]) * width + cells[..., 1]  # [n, P]
    disk = (y * width + x)[is_near]  # flat offsets of the cells in a disk
    is_taken = np.zeros(keypoints.shape[1] * height * width, bool)
    accepted = []
    for seed, cell in enumerate(index[np.arange(len(seeds)), seeds].tolist()):
        if not is_taken[cell]:
            accepted.append(seed)
            is_taken[index[seed, :, np.newaxis] + disk] = True
    return np.array(accepted, np.intp)


def suppress(candidates, max_iou, cell) -> np.ndarray:
    """Non-maximum suppression: drops a box that overlaps a better one too much, unless that one was dropped itself.

    Args:
      candidates: [n, 4] boxes (top, left, bottom, right) in cells, best first; a box includes its last pixel.
      max_iou: largest intersection over union that is allowed, 0 to 1.
      cell: size of a pixel in cells, the inverse of the stride.
    Returns:
      [m] indices of the boxes that are kept.
    """
    is_kept = np.ones(len(candidates), bool)
    step = max(1, PAIRS // max(len(candidates), 1))
    for first in range(0, len(candidates), step):
        overlaps = box_iou(candidates[first : first + step], candidates[first:], cell) > max_iou
        pairs = np.argwhere(np.triu(overlaps, 1)) + first
        for better, worse in pairs.tolist():
            if is_kept[better]:
                is_kept[worse] = False
    return np.flatnonzero(is_kept)


def box_iou(one, other, cell) -> np.ndarray:
    """Returns [n, m] intersection over union of [n, 4] and [m, 4] boxes that include their last, `cell` wide pixel."""
    one, other = one.T[..., np.newaxis], other.T[:, np.newaxis]  # [4, n, 1], [4, 1, m]
    heights = np.minimum(one[2], other[2]) - np.maximum(one[0], other[0]) + cell
    widths = np.minimum(one[3], other[3]) - np.maximum(one[1], other[1]) + cell
    both = np.maximum(heights, 0) * np.maximum(widths, 0)
    areas = [np.maximum(box[2] - box[0] + cell, 0) * np.maximum(box[3] - box[1] + cell, 0) for box in (one, other)]
    return both / np.maximum(areas[0] + areas[1] - both, np.finfo(np.float32).tiny)
