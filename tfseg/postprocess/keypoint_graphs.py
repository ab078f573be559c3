"""The keypoints of an instance, and the edges that lead from one to the next.

DeeperLab (Yang et al. 2019, arXiv:1902.05093): the keypoints of an instance are the four corners of its bounding box
and, in the star graph, its centre of mass. Middle-range offsets point along directed edges from keypoint to keypoint.

The cross is ours, for round things that touch: its keypoints are the centre of mass and, in line with it, a point on
each side of the box. The corners of a round thing's box lie outside of it, often in its neighbours; these points lie on
its outline.
"""

import dataclasses
import functools

import numpy as np

TOP_LEFT, TOP_RIGHT, BOTTOM_LEFT, BOTTOM_RIGHT, CENTER = range(5)
# The sides of a box: the row or column that a keypoint shares with it, or with the centre of mass.
ROWS, COLUMNS = ("top", "bottom", "center"), ("left", "right", "center")


@dataclasses.dataclass(frozen=True)
class KeypointGraph:
    """Keypoints and the directed edges between them.

    Attributes:
      keypoints: P pairs (one of ROWS, one of COLUMNS): where each keypoint lies.
      edges: E pairs (from, to), in the order of the middle-range channels.
    """

    keypoints: tuple[tuple[str, str], ...]
    edges: tuple[tuple[int, int], ...]

    @property
    def num_keypoints(self) -> int:
        return len(self.keypoints)

    def placed(self, rows: dict, columns: dict) -> list[tuple]:
        """Returns P pairs (y, x), given {ROWS: y} and {COLUMNS: x} of an instance, or of many as arrays."""
        return [(rows[row], columns[column]) for row, column in self.keypoints]

    def boxes(self, keypoints) -> np.ndarray:
        """Returns [n, 4] boxes (top, left, bottom, right) of [n, P, 2] keypoints.

        Each side is the mean of the keypoints that lie on it.
        """
        sides = []
        for axis, side in ((0, "top"), (1, "left"), (0, "bottom"), (1, "right")):
            on_side = [index for index, place in enumerate(self.keypoints) if place[axis] == side]
            sides.append(keypoints[:, on_side, axis].mean(axis=1))
        return np.stack(sides, axis=1)  # [n, 4]

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


_CORNERS = (("top", "left"), ("top", "right"), ("bottom", "left"), ("bottom", "right"))
_SIDES = (("top", "center"), ("center", "left"), ("center", "right"), ("bottom", "center"))
_MIDDLE = (("center", "center"),)
_FROM_CENTER = ((4, 0), (4, 1), (4, 2), (4, 3), (0, 4), (1, 4), (2, 4), (3, 4))
_AROUND = ((0, 1), (1, 3), (3, 2), (2, 0), (1, 0), (3, 1), (2, 3), (0, 2))
GRAPHS = {
    "star": KeypointGraph(_CORNERS + _MIDDLE, _FROM_CENTER),
    "rectangle": KeypointGraph(_CORNERS, _AROUND),
    "cross": KeypointGraph(_SIDES + _MIDDLE, _FROM_CENTER),
}
