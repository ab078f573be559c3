"""Hough voting: where the offsets of all cells meet, there is a keypoint (arXiv:1902.05093, section 3.3)."""

import cv2
import numpy as np


def scatter(points, weights, grid) -> np.ndarray:
    """Adds weights up where points fall, shared bilinearly among the four cells round each; none outside the grid.

    Args:
      points: [n, 2] (y, x), cells.
      weights: [n], or one number for all.
      grid: (h, w).
    Returns:
      [h, w] float64.
    """
    # One cell more before the grid and two behind it take what falls outside.
    height, width = grid[0] + 3, grid[1] + 3
    y = np.minimum(np.maximum(points[:, 0], -1), grid[0]) + 1
    x = np.minimum(np.maximum(points[:, 1], -1), grid[1]) + 1
    row, column = y.astype(np.intp), x.astype(np.intp)
    y, x = y - row, x - column
    index = row * width + column
    lower = weights * y
    sums = np.zeros(height * width)
    for shift, vertical in ((0, weights - lower), (width, lower)):
        on_right = vertical * x
        sums += np.bincount(index + shift, vertical - on_right, len(sums))
        sums += np.bincount(index + (shift + 1), on_right, len(sums))
    return sums.reshape(height, width)[1:-2, 1:-2]


def short_votes(probabilities, short_field, min_probability) -> np.ndarray:
    """[P, h, w] votes of the cells near keypoints, each with its probability, float32.

    Args:
      probabilities: [P, h, w] that a keypoint is near.
      short_field: [h, w, P, 2] offsets to it, in cells.
      min_probability: cells above it vote.
    """
    votes = np.empty_like(probabilities)
    num_keypoints, *grid = probabilities.shape
    for keypoint, probability in enumerate(probabilities):
        voters = np.flatnonzero(probability > min_probability)
        points = short_field.reshape(-1, 2).take(voters * num_keypoints + keypoint, axis=0)
        points += np.stack(np.divmod(voters, grid[1]), axis=1)
        votes[keypoint] = scatter(points, probability.reshape(-1).take(voters), grid)
    return votes


def long_votes(targets, grid) -> np.ndarray:
    """[P, h, w] votes of cells for all keypoints of their instance, one each, float32.

    Args:
      targets: [P, n, 2] where the cells see the keypoints, (y, x) in cells.
    """
    return np.stack([scatter(points, np.float32(1), grid) for points in targets]).astype(np.float32)


def fused_scores(short, long, radius, config) -> np.ndarray:
    """[P, h, w] weighted sum of both votes, smoothed.

    Both are in disks of votes: 1 is as many as a disk of `radius` cells has. Long-range votes are cut off there, as an
    instance has as many of them as it has cells.
    """
    disk = np.pi * radius**2
    scores = np.minimum(long / disk, 1) * config.long_weight
    scores += short * (config.short_weight / disk)
    if config.smooth_sigma:
        for score in scores:
            cv2.GaussianBlur(score, (0, 0), config.smooth_sigma, dst=score)
    return scores
