"""Outlines of masks: filled by other programs, they give the mask back."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from scipy import ndimage
from skimage.measure import grid_points_in_poly

from tfseg.postprocess.outlines import joined, outlines


def blobs(seed, size=(40, 53)):
    """A mask with parts, holes, islands in holes, and pixels that touch at corners."""
    noise = np.random.default_rng(seed).normal(size=size)
    return ndimage.gaussian_filter(noise, seed % 3) > 0


MASKS = {
    "one pixel": np.ones([1, 1], bool),
    "line": np.ones([1, 9], bool),
    "all": np.ones([7, 5], bool),
    "corners": np.array([[1, 0, 1], [0, 1, 0], [1, 0, 1]], bool),
    "diamond": np.array([[0, 1, 0], [1, 0, 1], [0, 1, 0]], bool),
    "island": np.pad(np.pad(np.pad(np.ones([1, 1], bool), 2), 2, constant_values=True), 1),
    **{f"blobs {seed}": blobs(seed) for seed in range(6)},
}
every_mask = pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS.keys())


def filled(ring, size):
    """The pixels whose centres are in a polygon, by scikit-image; centres are half a pixel from the corners."""
    return grid_points_in_poly(size, ring[:, ::-1] - 0.5)


def filled_by_coco(rings, size):
    """The pixels in any of the polygons, by pycocotools."""
    return coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([ring.ravel().tolist() for ring in rings], *size)))


@every_mask
def test_outer_outlines_less_their_holes_are_the_mask(mask):
    found = np.zeros(mask.shape, int)
    for part in outlines(mask):
        found += filled(part.outer, mask.shape)
        for hole in part.holes:
            found -= filled(hole, mask.shape)
    np.testing.assert_array_equal(found, mask)


@every_mask
def test_coco_fills_outlines_to_the_identical_mask(mask):
    without_holes = np.zeros(mask.shape, bool)
    for part in outlines(mask):
        one = filled_by_coco([part.outer], mask.shape)
        for hole in part.holes:
            one = one & ~filled_by_coco([hole], mask.shape).astype(bool)
        without_holes |= one.astype(bool)
    np.testing.assert_array_equal(without_holes, mask)


@every_mask
@pytest.mark.parametrize("fill", [filled, lambda ring, size: filled_by_coco([ring], size)], ids=["skimage", "coco"])
def test_parts_and_holes_joined_into_one_polygon_are_the_mask(mask, fill):
    np.testing.assert_array_equal(fill(joined(outlines(mask)), mask.shape), mask)


def test_outlines_run_along_the_edges_of_pixels():
    [part] = outlines(np.pad(np.ones([2, 3], bool), 1))
    assert {tuple(corner) for corner in part.outer.tolist()} == {(1, 1), (4, 1), (4, 3), (1, 3)}
    [part] = outlines(np.ones([2, 3], bool), offset=(10, 20))
    assert {tuple(corner) for corner in part.outer.tolist()} == {(10, 20), (13, 20), (13, 22), (10, 22)}


def test_holes_run_the_other_way_round():
    [part] = outlines(np.pad(np.zeros([2, 2], bool), 2, constant_values=True))
    signed = [cv2.contourArea(ring, oriented=True) for ring in (part.outer, *part.holes)]
    assert np.sign(signed[0]) == -np.sign(signed[1])
    assert [abs(area) for area in signed] == [36, 4]


def test_a_mask_without_pixels_has_no_outline():
    assert outlines(np.zeros([3, 4], bool)) == []


DISK = np.hypot(*(np.mgrid[:200, :200] - 99)) < 80
BLOB = ndimage.gaussian_filter(np.random.default_rng(9).normal(size=(150, 150)), 4) > 0


@pytest.mark.parametrize("mask", [DISK, BLOB], ids=["disk", "blobs"])
@pytest.mark.parametrize("simplify_px", [0.5, 1.0, 3.0])
def test_no_corner_that_is_left_out_is_farther_away_than_asked_for(mask, simplify_px):
    num_corners = [0, 0]
    for exact, simple in zip(outlines(mask), outlines(mask, simplify_px), strict=True):
        for corners, fewer in zip((exact.outer, *exact.holes), (simple.outer, *simple.holes), strict=True):
            distances = [cv2.pointPolygonTest(fewer, (float(x), float(y)), True) for x, y in corners]
            assert np.abs(distances).max() <= simplify_px + 1e-6
            num_corners[0] += len(corners)
            num_corners[1] += len(fewer)
    assert num_corners[1] < num_corners[0] * (0.98 if simplify_px == 0.5 else 0.5)


@pytest.mark.parametrize("simplify_px", [0.5, 1.0, 3.0])
def test_a_simpler_outline_changes_only_pixels_near_the_edge(simplify_px):
    [simple] = outlines(DISK, simplify_px)
    differs = filled(simple.outer, DISK.shape) != DISK
    inside, outside = ndimage.distance_transform_edt(DISK), ndimage.distance_transform_edt(~DISK)
    assert np.maximum(inside, outside)[differs].max(initial=0) <= simplify_px + 1


def test_what_is_too_small_to_be_simpler_keeps_its_corners():
    for mask in (np.ones([1, 1], bool), np.ones([1, 9], bool)):
        [exact], [simple] = outlines(mask), outlines(mask, 20)
        np.testing.assert_array_equal(exact.outer, simple.outer)
