"""Keypoints: the local maxima of the voted scores."""

import dataclasses

import cv2
import numpy as np

# Of the numbers gathered round peaks at a time: 4 MB.
GATHERED = 2**20


@dataclasses.dataclass(frozen=True)
class Peaks:
    """Keypoints that may be the first ones found of an instance, best first.

    Attributes:
      keypoints: [n] which keypoint each one is.
      points: [n, 2] (y, x) between cells.
      scores: [n] 0 to 1.
    """

    keypoints: np.ndarray
    points: np.ndarray
    scores: np.ndarray


def local_maxima(scores, window, threshold) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(keypoint, row, column), [n] each, where [P, h, w] scores are above threshold and the largest of a square."""
    square = np.ones([window, window], np.uint8)
    largest = np.stack([cv2.dilate(score, square) for score in scores])
    return np.nonzero((scores == largest) & (scores > threshold))


def expected_oks(scores, keypoints, rows, columns, radius, sigma) -> np.ndarray:
    """How well the votes round cells agree: the object keypoint similarity one expects (PersonLab, arXiv:1803.08225).

    The scores in a disk are taken for the probability of where the keypoint is, and weighed by
    exp(-distance^2 / (2 sigma^2)). The similarity's own scale is that of the object, which is not known yet.

    Args:
      scores: [P, h, w].
      keypoints, rows, columns: [n] cells of it.
      radius, sigma: of the disk and of the Gaussian, cells.
    Returns:
      [n] float32: 1 if all votes are in the cell itself, 0 without votes.
    """
    reach = int(radius)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    is_inside = y**2 + x**2 <= radius**2
    y, x = y[is_inside], x[is_inside]
    kernels = np.stack([np.exp(-(y**2 + x**2) / (2 * sigma**2)), np.ones(len(y))], axis=1).astype(np.float32)
    padded = np.pad(scores, ((0, 0), (reach, reach), (reach, reach)))
    _, height, width = padded.shape
    start = (keypoints * height + rows + reach) * width + columns + reach
    offsets = y * width + x
    sums = np.empty([len(start), 2], np.float32)
    step = max(1, GATHERED // len(offsets))
    for first in range(0, len(start), step):
        chunk = slice(first, first + step)
        sums[chunk] = padded.take(start[chunk, np.newaxis] + offsets) @ kernels
    return sums[:, 0] / np.maximum(sums[:, 1], np.finfo(np.float32).tiny)


def keypoint_scores(scores, probabilities, keypoints, cells, radius, config) -> np.ndarray:
    """[n] score of being a keypoint, 0 to 1: its probability times the similarity of the votes round it.

    Args:
      scores: [P, h, w] voted.
      probabilities: [P, h, w] of the heatmap.
      keypoints: [n]; cells: [n, 2] (row, column).
      radius: cells.
    """
    rows, columns = cells[:, 0], cells[:, 1]
    similarity = expected_oks(scores, keypoints, rows, columns, radius, config.oks_sigma * radius)
    return probabilities[keypoints, rows, columns] * similarity


def centroids(scores, keypoints, rows, columns) -> np.ndarray:
    """[n, 2] (y, x) centres of mass of the 3x3 scores round cells, float32."""
    padded = np.pad(scores, ((0, 0), (1, 1), (1, 1)))
    _, height, width = padded.shape
    start = (keypoints * height + rows + 1) * width + columns + 1
    y, x = (step.reshape(-1) for step in np.mgrid[-1:2, -1:2])
    around = padded.take(start[:, np.newaxis] + y * width + x)
    moments = around @ np.stack([y, x, np.ones(9)], axis=1).astype(np.float32)
    return np.stack([rows, columns], axis=1).astype(np.float32) + moments[:, :2] / moments[:, 2:]


def find_peaks(scores, probabilities, radius, config) -> Peaks:
    """The keypoints of an image, best first; equal ones by kind, then from top left.

    Args:
      scores: [P, h, w] voted.
      probabilities: [P, h, w] of the heatmap.
      radius: cells.
    """
    found = np.stack(local_maxima(scores, config.peak_window, config.peak_threshold))
    values = keypoint_scores(scores, probabilities, found[0], found[1:].T, radius, config)
    order = np.argsort(-values, kind="stable")
    order = order[values[order] >= config.keypoint_score_min]
    per_kind = [order[found[0, order] == keypoint][: config.max_keypoints] for keypoint in range(len(scores))]
    chosen = np.concatenate(per_kind)
    chosen = chosen[np.argsort(-values[chosen], kind="stable")]
    return Peaks(found[0, chosen], centroids(scores, *found[:, chosen]), values[chosen])
