"""Turns an augmented example with instances into the targets of DeeperLab's losses (arXiv:1902.05093, Sec. 3).

Points are (y, x) in pixels of the crop, with pixel centres at integers. Cell (i, j) of a map sits on pixel (stride * i,
stride * j). Offset channels 2k and 2k + 1 are (dy, dx) of keypoint or edge k, in pixels.
"""

import dataclasses
import math

import tensorflow as tf

from tfseg.data.augment import on_crop
from tfseg.errors import InputError
from tfseg.postprocess.keypoint_graphs import GRAPHS

# Instance ids have 16 bits in a record, so class * this + instance is a unique number for each instance of an image.
MAX_INSTANCES = 1 << 16
NO_INSTANCE = tf.int32.max
NUM_LABELS = 256
GEOMETRIES = ("crop", "full")


@dataclasses.dataclass
class PanopticTargetConfig:
    """Which targets are made. The graph and the radius also say what the maps of a trained network mean.

    Attributes:
      graph: key of `postprocess.keypoint_graphs.GRAPHS`: "star" (edges between the four corners and the centre of
        mass), "rectangle" (edges between corners) or "cross" (edges between points on the sides and the centre).
      radius: radius of the disks around keypoints in input pixels, whatever the size of the instance and the stride.
      stride: pixels of the crop for each cell of the instance maps.
      geometry: what the keypoints of an instance are computed from. "crop" takes the part of the instance inside the
        crop. "full" takes the instance in the whole image, so keypoints may lie outside the crop; it does not work with
        augmentation by rotation.
      small_instance_area: number of pixels of the crop below which an instance is small.
      small_instance_weight: weight of the pixels of small instances in the semantic loss; all other pixels weigh 1.
    """

    graph: str = "star"
    radius: float = 25.0
    stride: int = 4
    geometry: str = "crop"
    small_instance_area: int = 64 * 64
    small_instance_weight: float = 3.0

    def __post_init__(self):
        if self.graph not in GRAPHS:
            raise InputError(f"graph is one of {', '.join(GRAPHS)}, not {self.graph!r}")
        if not 0 < self.radius < math.inf:
            raise InputError(f"radius is {self.radius}; it must be a finite number of pixels above 0")
        if self.geometry not in GEOMETRIES:
            raise InputError(f"geometry is {self.geometry!r}; one of {', '.join(GEOMETRIES)}")
        if self.stride < 1:
            raise InputError(f"target stride is {self.stride}; it must be at least 1")
        if not 0 <= self.small_instance_weight < math.inf:
            raise InputError(f"small_instance_weight is {self.small_instance_weight}; it must be finite and at least 0")

    @property
    def num_keypoints(self) -> int:
        """P: 4 for the corners, 5 with the centre of mass, see `keypoint_graphs`."""
        return GRAPHS[self.graph].num_keypoints

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """(from, to) keypoints of each middle-range offset."""
        return GRAPHS[self.graph].edges


def panoptic(example: dict, info, config: PanopticTargetConfig) -> dict:
    """Makes the targets of semantic segmentation, keypoints and offsets.

    The pixels of one class of things with one instance id above 0 are an instance. Things with instance id 0 are a
    crowd. Memory grows with the size of the crop plus the number of instances times the cells of a disk, not with the
    product of crop and instances.

    Args:
      example: {"image": [H, W, 3], "label": [H, W] int32 class ids, "instance": [H, W] int32, 0 for none, "filename"};
        for the geometry "full" also what `pipeline.augmented_example` returns about the source.
      info: DatasetInfo; has thing_ids and ignore_label.
      config: the options. P is the number of keypoints, E is the number of edges, h = ceil(H / stride), w = ceil(W /
        stride).
    Returns:
      "image", "label" and "filename" unchanged, and
      "label_weight": float32 [H, W] weight of a pixel in the semantic loss; 0 where the label is ignored.
      "heatmap": float32 [h, w, P], 1 within the radius of a keypoint, else 0.
      "heatmap_weight": float32 [h, w], 0 on crowd and ignored pixels, else 1.
      "short_offsets": float32 [h, w, 2P] to the nearest keypoint of each kind; if two are equally near, to that of the
        lower class id, then of the lower instance id. "has_short_offsets": bool [h, w, P], true within the radius.
      "middle_offsets": float32 [h, w, 2E] from near the first keypoint of an edge to the second keypoint of the same
        instance. "has_middle_offsets": bool [h, w, E].
      "long_offsets": float32 [h, w, 2P] to the keypoints of the cell's own instance. "has_long_offsets": bool
        [h, w, 1], true on an instance.
      Where there is no offset, its value is 0. Crowd and ignored pixels have no offsets.
    """
    label, instance = example["label"], example["instance"]
    ids, is_thing, is_ignored = _instances(label, instance, info)
    is_instance = ids < NO_INSTANCE
    index, distinct = _numbered(ids)
    num_instances = tf.size(distinct) - 1
    is_small = tf.math.bincount(index, minlength=num_instances + 1) < config.small_instance_area
    weight = tf.where(is_instance & tf.gather(is_small, index), config.small_instance_weight, 1.0)
    if config.geometry == "full":
        keypoints = _full_keypoints(example, distinct, info, GRAPHS[config.graph])
    else:
        keypoints = _keypoints(index, num_instances, GRAPHS[config.graph])
    is_trained = ~is_ignored & (is_instance | ~is_thing)
    on_cells = slice(None, None, config.stride)
    return {key: example[key] for key in ("image", "label", "filename")} | {
        "label_weight": tf.where(is_ignored, 0.0, weight),
        **_instance_maps(keypoints, index[on_cells, on_cells], is_trained[on_cells, on_cells], config),
    }


def _instances(label, instance, info):
    """Returns ([H, W] id of each pixel's class and instance, or NO_INSTANCE; is_thing; is_ignored)."""
    is_thing = tf.gather(tf.constant([class_id in info.thing_ids for class_id in range(NUM_LABELS)]), label)
    is_ignored = tf.equal(label, info.ignore_label)
    is_instance = is_thing & ~is_ignored & (instance > 0)
    return tf.where(is_instance, label * MAX_INSTANCES + instance, NO_INSTANCE), is_thing, is_ignored


def _numbered(ids):
    """Numbers the instances 0 to N - 1 in the order of their ids.

    Returns:
      (int32 number of each pixel's instance in the shape of `ids`, N for no instance; [N + 1] ids in order, the last of
      which is NO_INSTANCE).
    """
    # An appended NO_INSTANCE ensures that there is at least one; it is the largest id, so it gets number N.
    distinct, position = tf.unique(tf.concat([tf.reshape(ids, [-1]), [NO_INSTANCE]], axis=0))  # [N + 1], [H * W + 1]
    order = tf.argsort(distinct)
    number = tf.math.invert_permutation(order)
    return tf.reshape(tf.gather(number, position)[:-1], tf.shape(ids)), tf.gather(distinct, order)


def _full_keypoints(example, distinct, info, graph):
    """Returns `_keypoints` of the instances `distinct` as they are in the whole source, in pixels of the crop."""
    ids, _, _ = _instances(example["source_label"], example["source_instance"], info)
    geometry = example["geometry"]
    ids = tf.cond(geometry.is_flipped, lambda: tf.reverse(ids, [1]), lambda: ids)
    num_instances = tf.size(distinct) - 1
    index = tf.searchsorted(distinct, tf.reshape(ids, [-1]))  # [source height * source width]
    index = tf.where(tf.equal(tf.gather(distinct, index), tf.reshape(ids, [-1])), index, num_instances)
    points = on_crop(_keypoints(tf.reshape(index, tf.shape(ids)), num_instances, graph), geometry)
    return tf.concat([points[:-1], tf.zeros([1, graph.num_keypoints, 2], tf.float64)], axis=0)


def _keypoints(index, num_instances, graph):
    """Returns [N + 1, P, 2] float64 (y, x) keypoints of the instances in an index map; the last row (none) is 0."""
    size = tf.shape(index)
    num_segments = num_instances + 1
    lowest, highest, mean = [], [], []
    # float64, because sums of coordinates exceed the range of int32 and the precision of float32.
    for line in (tf.range(size[0], dtype=tf.int32)[:, tf.newaxis], tf.range(size[1], dtype=tf.int32)):
        coordinate = tf.cast(tf.broadcast_to(line, size), tf.float64)
        lowest.append(tf.math.unsorted_segment_min(coordinate, index, num_segments))
        highest.append(tf.math.unsorted_segment_max(coordinate, index, num_segments))
        mean.append(tf.math.unsorted_segment_mean(coordinate, index, num_segments))
    rows = {"top": lowest[0], "bottom": highest[0], "center": mean[0]}
    columns = {"left": lowest[1], "right": highest[1], "center": mean[1]}
    kinds = graph.placed(rows, columns)
    keypoints = tf.stack([tf.stack(kind, axis=-1) for kind in kinds], axis=1)  # [N + 1, P, 2]
    return tf.concat([keypoints[:-1], tf.zeros([1, graph.num_keypoints, 2], tf.float64)], axis=0)


def _instance_maps(keypoints, index, is_trained, config):
    """Makes the heatmap, the offsets and the masks of where they exist from [N + 1, P, 2] keypoints, [h, w] maps."""
    grid = tf.shape(index)
    none = tf.shape(keypoints)[0] - 1
    lines = tf.meshgrid(*(config.stride * tf.range(grid[axis]) for axis in (0, 1)), indexing="ij")
    positions = tf.cast(tf.stack(lines, axis=-1), tf.float64)  # [h, w, 2]

    def offsets(owners, targets):
        """Returns [h, w, 2K] offsets to K kinds of keypoints, `targets`, of the [h, w, K] instances `owners`."""
        # [h, w, K, 2]
        points = tf.stack([tf.gather(keypoints[:, k], owners[..., i]) for i, k in enumerate(targets)], axis=2)
        has_offset = (owners < none) & is_trained[..., tf.newaxis]
        vectors = tf.where(has_offset[..., tf.newaxis], points - positions[:, :, tf.newaxis], 0.0)
        vectors = tf.reshape(vectors, tf.concat([grid, [2 * len(targets)]], axis=0))  # [h, w, 2K]
        return tf.cast(vectors, tf.float32), has_offset

    all_keypoints = range(config.num_keypoints)
    near = tf.stack([_owners(keypoints[:-1, k], grid, config) for k in all_keypoints], axis=-1)  # [h, w, P]
    short, has_short = offsets(near, all_keypoints)
    starts, ends = zip(*config.edges, strict=True)
    middle, has_middle = offsets(tf.gather(near, starts, axis=-1), ends)
    own = tf.repeat(index[..., tf.newaxis], config.num_keypoints, axis=-1)  # [h, w, P]
    long, has_long = offsets(own, all_keypoints)
    return {
        "heatmap": tf.cast(near < none, tf.float32),
        "heatmap_weight": tf.cast(is_trained, tf.float32),
        "short_offsets": short,
        "has_short_offsets": has_short,
        "middle_offsets": middle,
        "has_middle_offsets": has_middle,
        "long_offsets": long,
        "has_long_offsets": has_long[..., :1],
    }


def _owners(points, grid, config):
    """Returns [h, w] numbers of the nearest of the [N, 2] points within the radius, and N where there is none.

    If several points are equally near, the lowest number is taken.
    """
    num_points, stride = tf.shape(points)[0], config.stride
    reach = tf.range(int(2 * config.radius // stride) + 1, dtype=tf.float64)
    # [N, 2, reach]: rows and columns of the cells that a disk can reach.
    lines = tf.math.ceil((points - config.radius) / stride)[..., tf.newaxis] + reach
    squares = (stride * lines - points[..., tf.newaxis]) ** 2
    is_on_grid = (lines >= 0) & (lines < tf.cast(grid, tf.float64)[:, tf.newaxis])
    distances = squares[:, 0, :, tf.newaxis] + squares[:, 1, tf.newaxis]  # [N, reach, reach] squared distances
    is_near = is_on_grid[:, 0, :, tf.newaxis] & is_on_grid[:, 1, tf.newaxis] & (distances <= config.radius**2)
    cells = tf.cast(lines[:, 0, :, tf.newaxis] * tf.cast(grid[1], tf.float64) + lines[:, 1, tf.newaxis], tf.int32)
    cells = tf.where(is_near, cells, -1)  # [N, reach, reach]; segment -1 is dropped
    num_cells = grid[0] * grid[1]
    nearest = tf.gather(tf.math.unsorted_segment_min(distances, cells, num_cells), tf.maximum(cells, 0))
    numbers = tf.range(num_points)[:, tf.newaxis, tf.newaxis]
    numbers = tf.where(is_near & tf.equal(distances, nearest), numbers, num_points)
    return tf.reshape(tf.minimum(tf.math.unsorted_segment_min(numbers, cells, num_cells), num_points), grid)
