"""Hough voting: a keypoint lies where the offsets of many cells meet (arXiv:1902.05093, section 3.3)."""

import cv2
import numpy as np


def scatter(points, weights, grid) -> np.ndarray:
    """Adds up the weights of points. A weight is shared bilinearly among the four cells around its point.

    Weight that falls outside the grid is lost.

    Args:
      points: [n, 2] (y, x), in cells.
      weights: [n], or one number for all.
      grid: (h, w).
    Returns:
      [h, w] float64.
    """
    # One extra cell before the grid and two after it take the weight that falls outside.
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
    return sums.reshape(height, width)[1:-2, 1:-2]  # [h + 3, w + 3] -> [h, w]


def short_votes(probabilities, short_field, min_probability) -> np.ndarray:
    """Returns [P, h, w] float32 votes of the cells near keypoints, each weighted by the cell's probability.

    Args:
      probabilities: [P, h, w] probabilities that a keypoint is near.
      short_field: [h, w, P, 2] offsets to that keypoint, in cells.
      min_probability: cells with a probability above it vote.
    """
    votes = np.empty_like(probabilities)
    num_keypoints, *grid = probabilities.shape
    for keypoint, probability in enumerate(probabilities):
        voters = np.flatnonzero(probability > min_probability)
        points = short_field.reshape(-1, 2).take(voters * num_keypoints + keypoint, axis=0)  # [number of voters, 2]
        points += np.stack(np.divmod(voters, grid[1]), axis=1)
        votes[keypoint] = scatter(points, probability.reshape(-1).take(voters), grid)
    return votes


def long_votes(targets, grid) -> np.ndarray:
    """Returns [P, h, w] float32 votes of cells for all keypoints of their instance, one vote per cell and keypoint.

    Args:
      targets: [P, n, 2] the places (y, x), in cells, that n cells point to.
      grid: (h, w).
    """
    return np.stack([scatter(points, np.float32(1), grid) for points in targets]).astype(np.float32)


def fused_scores(short, long, radius, config) -> np.ndarray:
    """Returns the [P, h, w] smoothed, weighted sum of short-range and long-range votes.

    Votes are counted in disks: 1 is one vote from every cell of a disk of `radius` cells. Long-range votes are limited
    to 1, because an instance casts as many of them as it has cells.
    """
    disk = np.pi * radius**2
    scores = np.minimum(long / disk, 1) * config.long_weight
    scores += short * (config.short_weight / disk)
    if config.smooth_sigma:
        for score in scores:
            cv2.GaussianBlur(score, (0, 0), config.smooth_sigma, dst=score)
    return scores
