"""Maps follow the picture, and fade where it does not fit."""

import cv2
import numpy as np
import pytest

from tfseg.inference.motion import Carrier, Motion, MotionEstimator, motion_image, moved, movement
from tfseg.models.segmenter import CarryConfig


def texture(height, width, down=0, across=0):
    """[height, width, 3] uint8: soft patches in a fixed plane, of which the view is shifted by whole pixels."""
    rows, columns = np.mgrid[:height, :width] + np.array([down, across])[:, np.newaxis, np.newaxis]
    waves = np.sin(rows / 7) * np.cos(columns / 9) + np.sin(rows / 17 + columns / 13)
    return np.repeat((128 + 55 * waves)[..., np.newaxis], 3, -1).astype(np.uint8)


def test_a_shift_of_the_picture_is_found():
    before, after = (motion_image(texture(96, 160, down, across)) for down, across in ((0, 0), (4, -6)))
    motion = MotionEstimator().between(before, after)
    inner = motion.offset[16:-16, 16:-16] * [160, 96]
    np.testing.assert_allclose(np.median(inner, (0, 1)), [-6, 4], atol=0.3)  # (across, down), to where it was
    assert np.median(motion.error) < 2


def test_a_large_picture_is_estimated_at_a_smaller_size():
    assert motion_image(texture(480, 960)).shape == (240, 480)
    assert motion_image(texture(100, 960)).shape == (100, 960)
    assert motion_image(texture(10, 12)).shape == (10, 12)


def test_a_picture_too_small_for_patches_has_no_motion():
    motion = MotionEstimator().between(motion_image(texture(9, 12)), motion_image(texture(9, 12, across=2)))
    assert not motion.offset.any() and motion.error.any()


def test_maps_move_by_the_offset():
    maps = np.arange(5 * 6 * 7, dtype=np.float32).reshape(5, 6, 7)
    offset = np.zeros((5, 6, 2), np.float32)
    offset[..., 0] = 1 / 6  # the content was one column further to the right
    result = moved(maps, movement(Motion(offset, np.zeros((5, 6), np.float32)), (5, 6), trust_scale=8))
    np.testing.assert_allclose(result[:, :-1], maps[:, 1:], rtol=1e-5)
    np.testing.assert_allclose(result[:, -1], maps[:, -1])  # beyond the border the last column is repeated


def test_a_value_between_positions_is_interpolated_as_opencv_does():
    random = np.random.default_rng(0)
    maps = random.normal(size=(9, 11, 4)).astype(np.float32)
    offset = random.uniform(-0.3, 0.3, (9, 11, 2)).astype(np.float32)
    columns, rows = np.meshgrid(np.arange(11, dtype=np.float32), np.arange(9, dtype=np.float32))
    places = columns + 11 * offset[..., 0], rows + 9 * offset[..., 1]
    expected = cv2.remap(maps, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    result = moved(maps, movement(Motion(offset, np.zeros((9, 11), np.float32)), (9, 11), trust_scale=8))
    np.testing.assert_allclose(result, expected, atol=0.1)  # OpenCV rounds places to 1/32 of a pixel
    assert result.dtype == np.float32


@pytest.mark.parametrize(("error", "kept"), [(0, 1), (8, np.exp(-1)), (16, np.exp(-4))])
def test_a_position_fades_with_the_error_of_the_picture(error, kept):
    motion = Motion(np.zeros((4, 4, 2), np.float32), np.full((4, 4), error, np.float32))
    maps = np.ones((4, 4, 3), np.float32)
    np.testing.assert_allclose(moved(maps, movement(motion, (4, 4), 8)), kept, rtol=1e-6)
    np.testing.assert_allclose(moved(maps, movement(motion, (4, 4), 0)), 1)


def test_answers_are_blended_where_the_moved_picture_fits():
    """Half of a map fits, the other half differs by two trust scales, of which e^-4 is left."""
    error = np.zeros((4, 6), np.float32)
    error[:, 3:] = 16.0
    motion = Motion(np.zeros((4, 6, 2), np.float32), error)
    canvas, before = np.full((4, 6, 2), 2.0, np.float32), np.full((4, 6, 2), 10.0, np.float32)
    found = Carrier(motion, CarryConfig(blend=0.5, trust_scale=8.0)).blended(canvas, before)
    np.testing.assert_allclose(found[:, :3], 6.0, rtol=1e-6)
    np.testing.assert_allclose(found[:, 3:], 2 + 0.5 * np.exp(-4) * 8, rtol=1e-6)
    still = Carrier(motion, CarryConfig(blend=0.25, with_motion=False)).blended(canvas, before)
    np.testing.assert_allclose(still, 4.0)


def test_a_start_is_scaled_moved_and_without_memory_if_that_is_not_carried():
    offset = np.zeros((4, 6, 2), np.float32)
    offset[..., 0] = 1 / 6  # the content was one column further to the right
    motion = Motion(offset, np.zeros((4, 6), np.float32))
    columns = np.tile(np.arange(6, dtype=np.float32)[:, np.newaxis], (1, 4, 1, 3))
    state = {"canvas": columns, "h1": columns}
    start = Carrier(motion, CarryConfig(scale=0.5)).start(state)
    np.testing.assert_allclose(start["canvas"][0, 0, :, 0], [0.5, 1, 1.5, 2, 2.5, 2.5])
    np.testing.assert_allclose(start["h1"], start["canvas"])
    assert not Carrier(motion, CarryConfig(with_memory=False)).start(state)["h1"].any()
