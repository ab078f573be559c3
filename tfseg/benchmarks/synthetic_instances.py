"""Scenes with known answers: drawn instances, and the maps that a perfect network would output.

The maps follow the targets of training (arXiv:1902.05093, section 3.2): disks surround the keypoints, the nearest
keypoint of a kind owns a cell, and long-range offsets exist only inside instances.
"""

import numpy as np

from tfseg.postprocess.instance_maps import InstanceMaps
from tfseg.postprocess.keypoint_graphs import KeypointGraph

NUM_STUFF, NUM_THINGS = 2, 3
THING_IDS = frozenset(range(NUM_STUFF, NUM_STUFF + NUM_THINGS))
LABEL_DIVISOR = 1000
# Logit of a network that is sure.
SURE = 10.0
MIN_CENTER_DISTANCE = 16
ATTEMPTS, SHRINKAGE = 2000, 0.99


def background(size) -> np.ndarray:
    """[height, width] int32 panoptic ids: one stuff class above the other."""
    panoptic_ids = np.zeros(size, np.int32)
    panoptic_ids[size[0] // 2 :] = LABEL_DIVISOR
    return panoptic_ids


def thing_id(index) -> int:
    """Panoptic id of the instance with number `index`, counted from 0; the classes of things take turns."""
    return (NUM_STUFF + index % NUM_THINGS) * LABEL_DIVISOR + index // NUM_THINGS + 1


def rectangles(size, num_rows, num_columns, sides) -> np.ndarray:
    """Panoptic ids of a regular grid of equal rectangles; `sides` is their (height, width)."""
    panoptic_ids = background(size)
    for index in range(num_rows * num_columns):
        row, column = divmod(index, num_columns)
        top = (2 * row + 1) * size[0] // (2 * num_rows) - sides[0] // 2
        left = (2 * column + 1) * size[1] // (2 * num_columns) - sides[1] // 2
        panoptic_ids[top : top + sides[0], left : left + sides[1]] = thing_id(index)
    return panoptic_ids


def ellipses(size, num_instances, diameters, seed, gap=2) -> np.ndarray:
    """Panoptic ids of ellipses in random places, their centres at least 16 pixels apart.

    Args:
      size: (height, width) of the map.
      num_instances: number of ellipses.
      diameters: (smallest, largest) diameter of both axes, pixels. The largest shrinks with every failed attempt.
      seed: seed of the random places and diameters.
      gap: smallest distance between instances, pixels; None lets later instances cover earlier ones.
    Raises:
      ValueError: the ellipses do not fit.
    """
    generator = np.random.default_rng(seed)
    panoptic_ids = background(size)
    is_covered = np.zeros(size, bool)
    centers = np.empty([0, 2])
    for index in range(num_instances):
        for attempt in range(ATTEMPTS):
            largest = max(diameters[1] * SHRINKAGE**attempt, diameters[0])
            diameter = generator.uniform(diameters[0], largest, 2)
            center = generator.uniform(diameter / 2, np.array(size) - 1 - diameter / 2)
            if len(centers) and np.hypot(*(centers - center).T).min() < MIN_CENTER_DISTANCE:
                continue
            if gap is not None and is_covered[tuple(np.rint(center).astype(int))]:
                continue
            if gap is None or not is_covered[_ellipse(size, center, diameter / 2 + gap)].any():
                break
        else:
            raise ValueError(f"{num_instances} ellipses do not fit into {size[0]}x{size[1]} pixels")
        centers = np.vstack([centers, center])
        inside = _ellipse(size, center, diameter / 2)
        panoptic_ids[inside] = thing_id(index)
        is_covered[inside] = True
    return panoptic_ids


def _ellipse(size, center, radii):
    """(rows, columns) of the pixels inside an ellipse."""
    low = np.maximum(np.ceil(center - radii), 0).astype(int)
    high = np.minimum(np.floor(center + radii), np.array(size) - 1).astype(int)
    y, x = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1]
    is_inside = ((y - center[0]) / radii[0]) ** 2 + ((x - center[1]) / radii[1]) ** 2 <= 1
    return y[is_inside], x[is_inside]


def true_keypoints(panoptic_ids, graph: KeypointGraph) -> tuple[np.ndarray, np.ndarray]:
    """(ids [N], keypoints [N, P, 2] as (y, x), pixels) of the instances of a panoptic map."""
    pixels = np.flatnonzero(panoptic_ids % LABEL_DIVISOR)
    ids, index = np.unique(panoptic_ids.reshape(-1)[pixels], return_inverse=True)
    y, x = np.divmod(pixels, panoptic_ids.shape[1])
    lowest, highest = np.full([2, len(ids)], max(panoptic_ids.shape)), np.zeros([2, len(ids)], int)
    for axis, coordinates in enumerate((y, x)):
        np.minimum.at(lowest[axis], index, coordinates)
        np.maximum.at(highest[axis], index, coordinates)
    areas = np.maximum(np.bincount(index), 1)
    center = (np.bincount(index, y) / areas, np.bincount(index, x) / areas)
    rows = {"top": lowest[0], "bottom": highest[0], "center": center[0]}
    columns = {"left": lowest[1], "right": highest[1], "center": center[1]}
    return ids, np.array(graph.placed(rows, columns), float).transpose(2, 0, 1)  # [P, 2, N] -> [N, P, 2]


def perfect_maps(panoptic_ids, graph: KeypointGraph, stride, radius=25.0) -> InstanceMaps:
    """The instance maps of a perfect network; offsets are 0 where a network gets no training.

    Args:
      panoptic_ids: [height, width] panoptic ids with instances of things.
      graph: the keypoints and the edges between them.
      stride: input pixels per cell.
      radius: radius of the disks around keypoints, input pixels.
    """
    ids, keypoints = true_keypoints(panoptic_ids, graph)
    on_cells = panoptic_ids[::stride, ::stride]
    grid = on_cells.shape
    positions = np.stack(np.meshgrid(*(stride * np.arange(side) for side in grid), indexing="ij"), axis=-1)
    owners = np.stack([owners_of(keypoints[:, k], grid, stride, radius) for k in range(graph.num_keypoints)])
    short, long = np.zeros([2, *grid, graph.num_keypoints, 2], np.float32)
    middle = np.zeros([*grid, len(graph.edges), 2], np.float32)
    for keypoint, owner in enumerate(owners):
        near = owner >= 0
        short[near, keypoint] = keypoints[owner[near], keypoint] - positions[near]
    for edge, (start, target) in enumerate(graph.edges):
        near = owners[start] >= 0
        middle[near, edge] = keypoints[owners[start][near], target] - positions[near]
    of_thing = on_cells % LABEL_DIVISOR > 0
    own = np.searchsorted(ids, on_cells[of_thing])
    long[of_thing] = keypoints[own] - positions[of_thing][:, np.newaxis]
    logits = np.where(owners.transpose(1, 2, 0) >= 0, SURE, -SURE).astype(np.float32)  # [h, w, keypoints]
    return InstanceMaps(logits, *(field.reshape(*grid, -1) for field in (long, short, middle)), stride)


def owners_of(points, grid, stride, radius) -> np.ndarray:
    """[h, w] index of the nearest of [N, 2] points within the radius; the first of equally near ones, -1 for none."""
    owners = np.full(grid, -1)
    nearest = np.full(grid, np.inf)
    for index, point in enumerate(points):
        low = np.maximum(np.ceil((point - radius) / stride), 0).astype(int)
        high = np.minimum(np.floor((point + radius) / stride), np.array(grid) - 1).astype(int)
        window = slice(low[0], high[0] + 1), slice(low[1], high[1] + 1)
        y, x = np.ogrid[window]
        distance = (stride * y - point[0]) ** 2 + (stride * x - point[1]) ** 2
        is_nearer = (distance <= radius**2) & (distance < nearest[window])
        owners[window][is_nearer] = index
        nearest[window][is_nearer] = distance[is_nearer]
    return owners
