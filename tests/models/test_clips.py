"""Clips that end with labelled images: made motion is undone, real frames take the places of made ones."""

import numpy as np
import pytest
import tensorflow as tf

from tests.inference.test_motion import texture
from tfseg.inference import motion as in_use
from tfseg.models import clips


def motion(zoom=1.0, down=0.0, across=0.0):
    return tf.constant([[zoom, down, across]])


def picture(height=64, width=96):
    return tf.constant(texture(height, width)[np.newaxis], tf.float32)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("move", [{"zoom": 1.05}, {"down": 1 / 16}, {"across": -1 / 24}, {"zoom": 0.97, "down": 0.02}])
def test_moving_along_undoes_the_motion_of_the_frames_before(move, steps):
    images = picture()
    maps = clips.earlier_frame(images, motion(**move), steps)
    for _ in range(steps):
        maps = clips.moved_state(maps, motion(**move))
    inner = np.s_[0, 16:-16, 24:-24]
    np.testing.assert_allclose(maps[inner], images[inner], atol=4)
    assert np.abs(clips.earlier_frame(images, motion(**move), steps)[inner] - images[inner]).max() > 8


def test_a_shift_of_whole_pixels_is_exact_and_what_comes_into_view_is_zero():
    images = picture()
    before = clips.earlier_frame(images, motion(down=4 / 64), 1)
    np.testing.assert_allclose(before[0, 4:], images[0, :-4])
    moved = clips.moved_state(before, motion(down=4 / 64))
    np.testing.assert_allclose(moved[0, :-4], images[0, :-4])
    assert not moved[0, -4:].numpy().any()


def test_a_canvas_moves_as_its_picture():
    """A map of an eighth of the sides moves by an eighth of the pixels."""
    canvas = tf.reshape(tf.range(8 * 12, dtype=tf.float32), [1, 8, 12, 1])
    moved = clips.moved_state(canvas, motion(across=8 / 96))
    np.testing.assert_allclose(moved[0, :, :-1], canvas[0, :, 1:])


def test_maps_move_by_an_estimated_flow_as_in_use():
    random = np.random.default_rng(0)
    maps, offset = random.normal(size=(9, 11, 5)), random.uniform(-0.4, 0.4, (9, 11, 2))
    error = random.uniform(0, 20, (9, 11))
    maps, offset, error = (one.astype(np.float32) for one in (maps, offset, error))
    expected = in_use.moved(maps, in_use.movement(in_use.Motion(offset, error), (9, 11), 8.0))
    result = clips.moved_by_flow(maps[np.newaxis], offset[np.newaxis], error[np.newaxis], 8.0)
    np.testing.assert_allclose(result[0], expected, atol=1e-5)


def test_a_finer_estimate_is_averaged_over_the_canvas():
    maps = tf.random.stateless_normal([1, 4, 6, 3], [0, 0])
    offset = np.zeros((1, 8, 12, 2), np.float32)
    offset[..., 0] = 1 / 6  # the content was one position further to the right
    error = np.zeros((1, 8, 12), np.float32)
    result = clips.moved_by_flow(maps, offset, error, 8.0)
    np.testing.assert_allclose(result[:, :, :-1], maps[:, :, 1:], atol=1e-5)


def test_real_frames_take_the_places_of_made_ones_and_made_ones_continue_them():
    """Three images with 0, 1 and 2 real frames before them; nothing moves, so a frame shows what it was made from."""
    image = tf.fill([3, 8, 8, 3], 30.0)
    has = tf.constant([[False, False], [False, True], [True, True]])
    # As the pipeline fills missing places: by the frame after them.
    previous = [[30.0, 30.0], [20.0, 20.0], [10.0, 20.0]]
    batch = {
        "image": image,
        "has_previous": has,
        "previous_images": tf.constant(previous)[:, :, tf.newaxis, tf.newaxis, tf.newaxis] * tf.ones([3, 2, 8, 8, 3]),
    }
    still = tf.repeat(motion(), 3, 0)
    found = [[float(one[0, 0, 0]) for one in clips.frame_before(batch, still, steps)] for steps in (3, 2, 1)]
    assert np.transpose(found).tolist() == [[30, 30, 30], [20, 20, 20], [10, 10, 20]]
    alone = clips.frame_before({"image": image}, still, 2)
    np.testing.assert_array_equal(alone, image)


def test_a_made_frame_before_a_real_one_continues_the_motion():
    images = picture()
    shifted = motion(down=4 / 64)
    batch = {"image": images, "has_previous": tf.constant([[True]]), "previous_images": images[:, tf.newaxis]}
    np.testing.assert_array_equal(clips.frame_before(batch, shifted, 1), images)
    np.testing.assert_allclose(clips.frame_before(batch, shifted, 3), clips.earlier_frame(images, shifted, 2))
