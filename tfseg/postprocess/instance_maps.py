"""The four instance maps of a network, checked and cut into fields of vectors."""

import dataclasses

import numpy as np

from tfseg.errors import InputError
from tfseg.postprocess.keypoint_graphs import KeypointGraph


@dataclasses.dataclass(frozen=True)
class InstanceMaps:
    """What DeeperLab emits of one image besides semantics (arXiv:1902.05093, section 3).

    Cell (i, j) sits on input pixel (stride * i, stride * j). Offsets are in input pixels, channels 2k and 2k + 1 are
    (dy, dx) of keypoint or edge k.

    Attributes:
      heatmap_logits: [h, w, P]; their sigmoid is the probability that a keypoint is within the radius.
      long_offsets: [h, w, 2P] to all keypoints of the instance a cell belongs to.
      short_offsets: [h, w, 2P] to the nearest keypoint, near keypoints.
      middle_offsets: [h, w, 2E] from near the first keypoint of an edge to the second one of the same instance.
      stride: input pixels a cell.
    """

    heatmap_logits: np.ndarray
    long_offsets: np.ndarray
    short_offsets: np.ndarray
    middle_offsets: np.ndarray
    stride: int = 4

    @property
    def grid(self) -> tuple[int, int]:
        """(h, w) cells."""
        return self.heatmap_logits.shape[:2]


NAMES = tuple(field.name for field in dataclasses.fields(InstanceMaps) if field.name != "stride")


def num_channels(graph: KeypointGraph) -> dict[str, int]:
    """{name of a map: its channels}, in the order of `NAMES`."""
    points = graph.num_keypoints
    counts = (points, 2 * points, 2 * points, 2 * len(graph.edges))
    return dict(zip(NAMES, counts, strict=True))


def checked(maps: InstanceMaps, graph: KeypointGraph, size) -> InstanceMaps:
    """The maps as contiguous float32 arrays.

    Args:
      size: (height, width) of the image, pixels.
    Raises:
      InputError: shapes that do not belong to this graph and image size, or values that are not finite.
    """
    if maps.stride < 1 or maps.stride != int(maps.stride):
        raise InputError(f"stride is {maps.stride}; a whole number from 1")
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
    """Sigmoid, float32, 0 to 1; no overflow for any logit."""
    return np.ascontiguousarray(0.5 * np.tanh(0.5 * logits) + 0.5)


def vectors(channels) -> np.ndarray:
    """[h, w, 2K] interleaved offsets -> [h, w, K, 2] vectors (dy, dx), a view."""
    return channels.reshape(*channels.shape[:2], -1, 2)
