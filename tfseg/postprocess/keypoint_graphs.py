"""The keypoints of an instance, and the edges that lead from one to the next.

DeeperLab (Yang et al. 2019, arXiv:1902.05093): the keypoints of an instance are the four corners of its bounding box
and, in the star graph, its centre of mass. Middle-range offsets point along directed edges from keypoint to keypoint.
"""

import dataclasses
import functools

import numpy as np

TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT, CENTER = range(5)


@dataclasses.dataclass(frozen=True)
class KeypointGraph:
    """Keypoints and the directed edges between them. Keypoints 0 to 3 are the corners, in the constants' order above.

    Attributes:
      num_keypoints: P, 4 or 5; the fifth keypoint is the centre of mass.
      edges: E pairs (from, to), in the order of the middle-range channels.
    """

    num_keypoints: int
    edges: tuple[tuple[int, int], ...]

    @functools.cached_property
    def hops(self) -> np.ndarray:
        """[P, P - 1, 3] hops (edge, from, to) that reach all other keypoints from each keypoint, breadth first."""
        return np.array([self._hops_from(seed) for seed in range(self.num_keypoints)])

    def _hops_from(self, seed):
        reached, hops = [seed], []
        for source in reached:
            for edge, (start, target) in enumerate(self.edges):
                if start == source and target not in reached:
                    reached.append(target)
                    hops.append((edge, source, target))
        return hops


_STAR = KeypointGraph(5, ((4, 0), (4, 1), (4, 2), (4, 3), (0, 4), (1, 4), (2, 4), (3, 4)))
_RECTANGLE = KeypointGraph(4, ((0, 1), (1, 3), (3, 2), (2, 0), (1, 0), (3, 1), (2, 3), (0, 2)))
GRAPHS = {"star": _STAR, "rectangle": _RECTANGLE}


def boxes(keypoints) -> np.ndarray:
    """Returns [n, 4] boxes (top, left, bottom, right) of [n, P, 2] keypoints: each side is the mean of its corners."""
    y, x = keypoints[..., 0], keypoints[..., 1]
    top = (y[:, TOP_LEFT] + y[:, TOP_RIGHT]) / 2
    left = (x[:, TOP_LEFT] + x[:, BOTTOM_LEFT]) / 2
    bottom = (y[:, BOTTOM_LEFT] + y[:, BOTTOM_RIGHT]) / 2
    right = (x[:, TOP_RIGHT] + x[:, BOTTOM_RIGHT]) / 2
    return np.stack([top, left, bottom, right], axis=1)  # [n, 4]
