"""Outlines of masks as polygons: along the edges of pixels, so that filling a polygon gives the mask back.

A pixel in column x covers x to x + 1. OpenCV's contours run through the centres of the outermost pixels, so a polygon
of them is half a pixel too small on every side; here they become corners of pixels.
"""

import dataclasses
from collections import defaultdict

import cv2
import numpy as np
from scipy.spatial import cKDTree


@dataclasses.dataclass(frozen=True)
class Outline:
    """The outline of one connected part of a mask; pixels that touch at a corner are connected.

    Attributes:
      outer: [n, 2] int32 corners (x, y), n >= 3; the last is connected with the first. It may touch itself in points.
      holes: outlines of the holes, likewise, which run the other way round.
    """

    outer: np.ndarray
    holes: tuple[np.ndarray, ...] = ()


def outlines(mask, simplify_px: float = 0.0, offset=(0, 0)) -> list[Outline]:
    """Traces the outlines of the connected parts of a mask.

    Args:
      mask: [height, width] bool.
      simplify_px: how far, in pixels, a left-out corner may be from the line in its place (Douglas and Peucker 1973).
        0 leaves out only corners on straight lines, which changes no pixel.
      offset: (x, y) that is added to all corners, e.g. of a crop's place in its image.
    Returns:
      An `Outline` for each part.
    """
    # Each pixel becomes 2x2; the contour's pixel with an odd index is at the far edge of its pixel, an even one at the
    # near edge. So (index + 1) // 2 is the corner, at the corners of holes, too, which OpenCV cuts diagonally.
    doubled = np.asarray(mask, bool).view(np.uint8).repeat(2, axis=0).repeat(2, axis=1)
    contours, hierarchy = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    rings = [_simplified(_corners((ring[:, 0] + 1) // 2), simplify_px) + np.int32(offset) for ring in contours]
    parents = [] if hierarchy is None else hierarchy[0][:, 3].tolist()  # -1: an outer outline
    holes = defaultdict(list)
    for ring, parent in zip(rings, parents, strict=True):
        holes[parent].append(ring)
    return [Outline(ring, tuple(holes[index])) for index, ring in enumerate(rings) if parents[index] < 0]


def joined(parts: list[Outline]) -> np.ndarray:
    """Makes one polygon of parts and their holes, for formats that have one polygon an object.

    They are connected by bridges of no width, there and back along the same line, which change no pixel.

    Returns:
      [n, 2] int32 corners (x, y).
    """
    polygon = parts[0].outer
    for ring in [hole for part in parts for hole in part.holes] + [part.outer for part in parts[1:]]:
        polygon = _bridged(polygon, ring)
    return polygon


def _bridged(polygon, ring):
    """Connects two rings where their corners are nearest."""
    distances, nearest = cKDTree(polygon).query(ring)
    there = int(distances.argmin())
    here = int(nearest[there])
    round_trip = np.concatenate([ring[there:], ring[: there + 1]])  # from the corner back to it
    return np.concatenate([polygon[: here + 1], round_trip, polygon[here:]])


def _corners(points):
    """Leaves out points that repeat the one before, and those on straight lines between their neighbours."""
    points = points[np.any(points != np.roll(points, 1, axis=0), axis=1)]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return points[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]]


def _simplified(points, simplify_px):
    """A polygon with fewer corners, unless nothing would be left of it."""
    if not simplify_px:
        return points
    # OpenCV's approxPolyDP joins lines once more at the end, and then misses corners by up to 1.4 times the distance.
    wide = points.astype(np.int64)  # squares of large pictures' sides do not fit into 32 bits
    farthest = int(np.square(wide - wide[0]).sum(axis=1).argmax())
    kept, open_ended = {0, farthest}, [(0, farthest), (farthest, len(points))]
    closed = np.concatenate([wide, wide[:1]])
    while open_ended:
        begin, end = open_ended.pop()
        if end - begin < 2:
            continue
        between = _distances(closed[begin + 1 : end], closed[begin], closed[end])
        if between.max() > simplify_px:
            middle = begin + 1 + int(between.argmax())
            kept.add(middle)
            open_ended += [(begin, middle), (middle, end)]
    fewer = points[sorted(kept)]
    return fewer if len(fewer) >= 3 and cv2.contourArea(fewer) > 0 else points


def _distances(points, begin, end):
    """Distances of [n, 2] points from the line between two points, not from the endless one through them."""
    line = end - begin
    along = ((points - begin) @ line / max(int(line @ line), 1)).clip(0, 1)
    return np.linalg.norm(points - begin - along[:, np.newaxis] * line, axis=-1)
