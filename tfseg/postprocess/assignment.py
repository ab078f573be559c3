"""Assigns cells to instances by the keypoints that the cells point to."""

import numpy as np

# Number of distances held at a time: 1 MB, which stays in the cache.
DISTANCES_AT_ONCE = 2**18


def nearest_instances(targets, keypoints, config, cell) -> np.ndarray:
    """Finds the instance whose keypoints are nearest to those that a cell points to (arXiv:1902.05093, section 3.3).

    Args:
      targets: [P, T, 2] the keypoints (y, x) that T cells point to, in cells.
      keypoints: [N, P, 2] keypoints of the N instances, in cells; N is at least 1.
      config: the fusion's thresholds.
      cell: size of a pixel in cells, the inverse of the stride.
    Returns:
      [T] index of each cell's instance; the first one if several are equally near.
    """
    center = keypoints.mean(axis=(0, 1))
    keypoints = keypoints - center
    distances = _squared_l2 if config.distance == "squared_l2" else _sum_l2
    measure = distances(keypoints, _areas(keypoints, config, cell))
    nearest = np.empty(targets.shape[1], np.intp)
    step = max(1, DISTANCES_AT_ONCE // len(keypoints))
    for first in range(0, len(nearest), step):
        chunk = slice(first, first + step)
        measure(targets[:, chunk] - center).argmin(axis=1, out=nearest[chunk])
    return nearest


def _areas(keypoints, config, cell):
    """Returns [N] areas of the instances' boxes in square cells, at least a pixel; or 1 if distances ignore them."""
    if not config.normalize_by_scale:
        return np.ones(len(keypoints), np.float32)
    found = config.keypoint_graph.boxes(keypoints)
    return np.maximum(found[:, 2:] - found[:, :2] + cell, cell).prod(axis=1)


def _squared_l2(keypoints, areas):
    """Returns a function: [P, n, 2] targets -> [n, N] squared distances divided by areas, in one matrix product."""
    points = keypoints.reshape(len(keypoints), -1)  # [N, 2P]
    # |q - m|^2 = -2 q m + |q|^2 + |m|^2.
    # [N, 2P + 2]
    factors = np.concatenate([-2 * points, np.ones([len(points), 1]), (points**2).sum(axis=1, keepdims=True)], axis=1)
    factors = np.ascontiguousarray((factors / areas[:, np.newaxis]).T, np.float32)  # [2P + 2, N]

    def measure(targets):
        points = targets.transpose(1, 0, 2).reshape(targets.shape[1], -1)  # [n, 2P]
        squares = np.einsum("ij,ij->i", points, points)
        return np.column_stack([points, squares, np.ones_like(squares)]) @ factors  # [n, 2P + 2] @ [2P + 2, N]

    return measure


def _sum_l2(keypoints, areas):
    """Returns a function: [P, n, 2] targets -> [n, N] distances summed over keypoints, divided by roots of areas."""
    planes = np.ascontiguousarray(keypoints.transpose(1, 2, 0))  # [P, 2, N]
    sides = np.sqrt(areas)

    def measure(targets):
        distances = np.zeros([targets.shape[1], len(keypoints)], np.float32)
        for seen, (y, x) in zip(targets, planes, strict=True):
            distances += np.hypot(seen[:, :1] - y, seen[:, 1:] - x)
        return distances / sides

    return measure
