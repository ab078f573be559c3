"""The four instance maps of a network: checks, and conversion to probabilities and fields of vectors."""

import dataclasses

import numpy as np

from tfseg.errors import InputError
from tfseg.postprocess.keypoint_graphs import KeypointGraph


@dataclasses.dataclass(frozen=True)
class InstanceMaps:
    """DeeperLab's outputs for one image, apart from the semantic logits (arXiv:1902.05093, section 3).

    Cell (i, j) sits on input pixel (stride * i, stride * j). Offsets are in input pixels; channels 2k and 2k + 1 are
    (dy, dx) of keypoint or edge k.

    Attributes:
      heatmap_logits: [h, w, P]; their sigmoid is the probability that a keypoint is within the radius.
      long_offsets: [h, w, 2P] offsets to all keypoints of the instance that a cell belongs to.
      short_offsets: [h, w, 2P] offsets to the nearest keypoint of each kind; they count only near a keypoint.
      middle_offsets: [h, w, 2E] offsets from near the first keypoint of an edge to the second one of the same instance.
      stride: input pixels per cell.
    """

    heatmap_logits: np.ndarray
    long_offsets: np.ndarray
    short_offsets: np.ndarray
    middle_offsets: np.ndarray
    stride: int = 4

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w): numbers of rows and columns of cells."""
        return self.heatmap_logits.shape[:2]


NAMES = tuple(field.name for field in dataclasses.fields(InstanceMaps) if field.name != "stride")


def num_channels(graph: KeypointGraph) -> dict[str, int]:
    """Returns {name of a map: number of its channels}, in the order of `NAMES`."""
    points = graph.num_keypoints
    counts = (points, 2 * points, 2 * points, 2 * len(graph.edges))
    return dict(zip(NAMES, counts, strict=True))


def checked(maps: InstanceMaps, graph: KeypointGraph, size) -> InstanceMaps:
    """Returns the maps as contiguous float32 arrays.

    Args:
      maps: the maps of one image.
      graph: the graph that the network was trained with.
      size: (height, width) of the image, in pixels.
    Raises:
      InputError: shapes do not fit this graph and image size, or values are not finite.
    """
    if maps.stride < 1 or maps.stride != int(maps.stride):
        raise InputError(f"stride is {maps.stride}; it must be a whole number, at least 1")
    maps = dataclasses.replace(maps, stride=int(maps.stride))
    grid = tuple(-(-side // maps.stride) for side in size)
    arrays = {}
    for name, count in num_channels(graph).items():
        values = np.asarray(getattr(maps, name))
        wanted = (*grid, count)
        if values.shape != wanted:
            of = f"{graph.num_keypoints} keypoints and an image of {size[0]}x{size[1]} at stride {maps.stride}"
            raise InputError(f"{name} has shape {values.shape}, but {of} need {wanted}")
        arrays[name] = np.ascontiguousarray(values, np.float32)
        if not np.isfinite(arrays[name]).all():
            raise InputError(f"{name} holds values that are not finite: the network has diverged, use other weights")
    return dataclasses.replace(maps, **arrays)


def probabilities(logits) -> np.ndarray:
    """Returns the sigmoid, float32, 0 to 1; no logit makes it overflow."""
    return np.ascontiguousarray(0.5 * np.tanh(0.5 * logits) + 0.5)


def vectors(channels) -> np.ndarray:
    """Reshapes [h, w, 2K] interleaved offsets to [h, w, K, 2] vectors (dy, dx); the result is a view."""
    return channels.reshape(*channels.shape[:2], -1, 2)  # [h, w, K, 2]
