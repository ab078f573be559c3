"""Reads fields of offsets between cells, and follows the offsets. Points are (y, x), in cells."""

import numpy as np


def sample(field, channels, points) -> np.ndarray:
    """Reads a field bilinearly; points outside the field read its border.

    Args:
      field: [h, w, K, 2] float32.
      channels: integers below K that broadcast to the shape of the points, without its last axis.
      points: [..., 2].
    Returns:
      [..., 2] float32.
    """
    height, width, num_channels, _ = field.shape
    flat = field.reshape(-1, 2)  # [h * w * K, 2]
    y, row, down = _split(points[..., 0], height)
    x, column, right = _split(points[..., 1], width)
    index = (row * width + column) * num_channels + channels
    down, right = down * (width * num_channels), right * num_channels
    y, x = y[..., np.newaxis], x[..., np.newaxis]
    upper = flat.take(index, axis=0)
    upper += x * (flat.take(index + right, axis=0) - upper)
    index += down
    lower = flat.take(index, axis=0)
    lower += x * (flat.take(index + right, axis=0) - lower)
    return upper + y * (lower - upper)


def _split(coordinates, length):
    """Clamps coordinates to the field and returns (fraction, cell, 1 if there is a next cell else 0)."""
    clamped = np.minimum(np.maximum(coordinates, 0), length - 1)
    cell = clamped.astype(np.intp)
    return clamped - cell, cell, (cell < length - 1).astype(np.intp)


def refine(points, short_field, keypoints, steps) -> np.ndarray:
    """Moves points by the short-range offsets at their place, `steps` times (PersonLab, arXiv:1803.08225, eq. 2).

    Args:
      points: [..., 2] estimates of keypoints.
      short_field: [h, w, P, 2] offsets to the nearest keypoint, in cells; 0 in cells that are not near one.
      keypoints: which keypoint each point estimates; broadcasts to the shape of the points, without its last axis.
      steps: number of moves.
    """
    for _ in range(steps):
        points = points + sample(short_field, keypoints, points)
    return points


def long_targets(cells, long_field, short_field, config) -> np.ndarray:
    """Returns the positions that cells point to for each keypoint of their instance.

    Args:
      cells: [T] indices of cells in the flattened grid.
      long_field, short_field: [h, w, P, 2] offsets, in cells.
      config: the fusion's thresholds.
    Returns:
      [P, T, 2] float32 points.
    """
    _, width, num_keypoints, _ = long_field.shape
    targets = np.empty([num_keypoints, len(cells), 2], np.float32)
    origins = np.stack(np.divmod(cells, width), axis=1).astype(np.float32)  # [T, 2]
    for keypoint in range(num_keypoints):
        points = origins + long_field.reshape(-1, 2).take(cells * num_keypoints + keypoint, axis=0)  # [T, 2]
        if config.refine_long_by_long:
            points += sample(long_field, keypoint, points)
        targets[keypoint] = refine(points, short_field, keypoint, config.refine_steps)
    return targets


def follow_edges(seeds, seed_points, middle_field, short_field, config) -> np.ndarray:
    """Finds all keypoints of the instances that seeds belong to, edge by edge; every hop is refined.

    Args:
      seeds: [n] which keypoint each seed is.
      seed_points: [n, 2] places of the seeds.
      middle_field: [h, w, E, 2] offsets along edges, in cells.
      short_field: [h, w, P, 2] offsets to the nearest keypoint, in cells.
      config: the fusion's thresholds.
    Returns:
      [n, P, 2] float32.
    """
    graph = config.keypoint_graph
    rows = np.arange(len(seeds))
    points = np.empty([len(seeds), graph.num_keypoints, 2], np.float32)
    points[rows, seeds] = seed_points
    # [n, P - 1, 3] -> [P - 1, 3, n]: each turn makes one hop of every seed, along different edges.
    for edges, sources, targets in graph.hops[seeds].transpose(1, 2, 0):
        start = points[rows, sources]
        reached = start + sample(middle_field, edges, start)
        points[rows, targets] = refine(reached, short_field, targets, config.refine_steps)
    return points
