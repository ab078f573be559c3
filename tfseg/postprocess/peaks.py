"""Finds keypoints: the local maxima of the voted scores."""

import dataclasses

import cv2
import numpy as np

# Number of values gathered around peaks at a time: 4 MB.
GATHERED = 2**20


@dataclasses.dataclass(frozen=True)
class Peaks:
    """Keypoints that may become the first keypoint of an instance, best first.

    Attributes:
      keypoints: [n] kind of each keypoint, 0 to P - 1.
      points: [n, 2] (y, x) in cells, with fractions.
      scores: [n] score of each keypoint, 0 to 1.
    """

    keypoints: np.ndarray
    points: np.ndarray
    scores: np.ndarray


def local_maxima(scores, window, threshold) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds [P, h, w] scores above the threshold and largest in a square: (keypoint, row, column), each [n]."""
    square = np.ones([window, window], np.uint8)
    largest = np.stack([cv2.dilate(score, square) for score in scores])  # [P, h, w]
    return np.nonzero((scores == largest) & (scores > threshold))


def expected_oks(scores, keypoints, rows, columns, radius, sigma) -> np.ndarray:
    """Expected object keypoint similarity (PersonLab, arXiv:1803.08225): how well the votes around cells agree.

    The scores in a disk stand for the probability that the keypoint is there, and are weighted by
    exp(-distance^2 / (2 sigma^2)). The similarity's usual scale would be the object's size, which is not known yet.

    Args:
      scores: [P, h, w].
      keypoints, rows, columns: [n] indices of the cells in `scores`.
      radius: radius of the disk, in cells.
      sigma: standard deviation of the Gaussian, in cells.
    Returns:
      [n] float32: 1 if all votes are in the cell itself, 0 without votes.
    """
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    is_inside = y**2 + x**2 <= radius**2
    y, x = y[is_inside], x[is_inside]
    # [cells in a disk, 2]
    kernels = np.stack([np.exp(-(y**2 + x**2) / (2 * sigma**2)), np.ones(len(y))], axis=1).astype(np.float32)
    padded = np.pad(scores, ((0, 0), (reach, reach), (reach, reach)))
    _, height, width = padded.shape
    start = (keypoints * height + rows + reach) * width + columns + reach
    offsets = y * width + x
    sums = np.empty([len(start), 2], np.float32)
    step = max(1, GATHERED // len(offsets))
    for first in range(0, len(start), step):
        chunk = slice(first, first + step)
        # [chunk, cells in a disk] @ [cells in a disk, 2]
        sums[chunk] = padded.take(start[chunk, np.newaxis] + offsets) @ kernels
    return sums[:, 0] / np.maximum(sums[:, 1], np.finfo(np.float32).tiny)


def keypoint_scores(scores, probabilities, keypoints, cells, radius, config) -> np.ndarray:
    """Returns [n] keypoint scores of cells, 0 to 1: probability times the agreement of the votes around the cell.

    Args:
      scores: [P, h, w] voted scores.
      probabilities: [P, h, w] probabilities of the heatmap.
      keypoints: [n] kind of each keypoint.
      cells: [n, 2] (row, column).
      radius: radius of the keypoints' disks, in cells.
      config: the fusion's thresholds.
    """
    rows, columns = cells[:, 0], cells[:, 1]
    similarity = expected_oks(scores, keypoints, rows, columns, radius, config.oks_sigma * radius)
    return probabilities[keypoints, rows, columns] * similarity


def centroids(scores, keypoints, rows, columns) -> np.ndarray:
    """Returns [n, 2] float32 (y, x): the centre of mass of the 3x3 scores around each cell."""
    padded = np.pad(scores, ((0, 0), (1, 1), (1, 1)))
    _, height, width = padded.shape
    start = (keypoints * height + rows + 1) * width + columns + 1
    y, x = (step.reshape(-1) for step in np.mgrid[-1:2, -1:2])
    around = padded.take(start[:, np.newaxis] + y * width + x)  # [n, 9]
    moments = around @ np.stack([y, x, np.ones(9)], axis=1).astype(np.float32)  # [n, 3]
    return np.stack([rows, columns], axis=1).astype(np.float32) + moments[:, :2] / moments[:, 2:]


def find_peaks(scores, probabilities, radius, config) -> Peaks:
    """Finds the keypoints of an image, best first; equal ones are in order of kind, then from the top left.

    Args:
      scores: [P, h, w] voted scores.
      probabilities: [P, h, w] probabilities of the heatmap.
      radius: radius of the keypoints' disks, in cells.
      config: the fusion's thresholds.
    """
    found = np.stack(local_maxima(scores, config.peak_window, config.peak_threshold))  # [3, n]
    values = keypoint_scores(scores, probabilities, found[0], found[1:].T, radius, config)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] >= config.keypoint_score_min]
    per_kind = [order[found[0, order] == keypoint][: config.max_keypoints] for keypoint in range(len(scores))]
    chosen = np.concatenate(per_kind)
    chosen = chosen[np.argsort(-values[chosen], kind="stable")]
    return Peaks(found[0, chosen], centroids(scores, *found[:, chosen]), values[chosen])
