"""Lines between the segments of a map."""

import cv2
import numpy as np


def width_for(size) -> int:
    """Returns a line's width in a picture of (height, width): 1 up to about 500 pixels, more in larger pictures."""
    return max(round(min(size) / 350), 1)


def between(ids) -> np.ndarray:
    """Returns where a pixel's right or lower neighbour has another class or id, [height, width] bool."""
    borders = np.zeros(ids.shape, bool)
    borders[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    borders[:-1] |= ids[:-1] != ids[1:]
    return borders


def around(ids) -> np.ndarray:
    """Returns where any of a pixel's four neighbours has another id, [height, width] bool: both sides of a border."""
    edges = between(ids)
    # The other side of a border is to the right of it, or below.
    edges[:, 1:] |= ids[:, :-1] != ids[:, 1:]
    edges[1:] |= ids[:-1] != ids[1:]
    return edges


def in_rows(find, ids, rows: slice, width: int) -> np.ndarray:
    """Returns lines of `width` pixels in some rows of a map, as if they were drawn in all of it.

    Args:
      find: `between` or `around`.
      ids: [height, width] classes or ids.
      rows: which rows.
      width: of the lines, in pixels.
    Returns:
      [number of rows, width] bool.
    """
    top = max(rows.start - width - 1, 0)  # lines reach from one row into others, and depend on the row below
    lines = find(ids[top : rows.stop + width + 1])
    if width > 1:
        lines = cv2.dilate(lines.view(np.uint8), np.ones([width, width], np.uint8)).view(bool)
    return lines[rows.start - top : rows.stop - top]
