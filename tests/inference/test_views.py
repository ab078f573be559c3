"""Scaled and mirrored views, and tiles that cover them."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.inference.views import Tiling, View, join, network_inputs, tiling_of, views_of


def test_a_scaled_side_keeps_both_border_pixels_on_the_grid():
    sizes = [view.size((513, 1025))[0] for view in views_of(multi_scale=True)]
    assert sizes == [257, 385, 513, 641, 769, 897]
    assert View(0.5).size((1, 2)) == (1, 1)


def test_views_double_with_flip_and_start_from_a_given_size():
    assert views_of() == (View(),)
    assert len(views_of(multi_scale=True, flip=True)) == 12
    assert views_of(flip=True, base_size=(65, 33))[1] == View(1.0, True, (65, 33))
    assert View(base_size=(65, 33)).size((500, 400)) == (65, 33)


def test_a_cityscapes_image_goes_in_one_piece_and_twelve_megapixels_in_tiles():
    assert tiling_of((1025, 2049)) == Tiling((1025, 2049), (1025, 2049))
    tiling = tiling_of((3000, 4000))
    assert tiling.tile == (1024, 1024)
    assert tiling.padded_size == (3008, 4000)
    assert len(tiling.corners) == 4 * 5


@pytest.mark.parametrize("size", [(3000, 4000), (1500, 1500), (7, 400_000), (1024, 3000), (1300, 2000)])
def test_tiles_lie_on_the_grid_cover_everything_and_overlap(size):
    tiling = tiling_of(size)
    for axis, starts in enumerate((tiling.tops, tiling.lefts)):
        assert starts[0] == 0
        assert all(start % 32 == 0 for start in starts)
        assert 0 <= tiling.padded_size[axis] - size[axis] < 32
        gaps = np.diff(starts)
        assert (gaps <= tiling.tile[axis] - 200).all()


def test_a_tile_is_padded_with_grey_and_mirrored_by_itself():
    image = np.zeros([7, 40, 3], np.uint8)
    image[:, 0] = 9
    tiling = Tiling((7, 40), (32, 32), (0,), (0, 32))
    first, second = network_inputs(image, View(is_flipped=True), tiling)
    assert first.shape == second.shape == (1, 32, 32, 3)
    np.testing.assert_array_equal(first[0, 0, :, 0], [0] * 31 + [9])
    np.testing.assert_array_equal(second[0, 0, :, 0], [127.5] * 24 + [0] * 8)
    np.testing.assert_array_equal(first[0, 7, :, 0], [127.5] * 32)


def test_joined_tiles_are_averaged_with_less_weight_at_their_borders():
    # Stride 32: two tiles of two positions that share the middle one, where both weigh 1/2.
    tiling = Tiling((32, 96), (32, 64), (0,), (0, 32))
    left, right = tf.constant([[[[1.0], [2.0]]]]), tf.constant([[[[4.0], [8.0]]]])
    np.testing.assert_allclose(join([left, right], tiling)[0, 0, :, 0], [1, 3, 8])
    # Four positions weigh 1/4, 1/2, 1/2, 1/4.
    tiling = Tiling((32, 192), (32, 128), (0,), (0, 64))
    left, right = tf.fill([1, 1, 4, 1], 0.0), tf.fill([1, 1, 4, 1], 3.0)
    np.testing.assert_allclose(join([left, right], tiling)[0, 0, :, 0], [0, 0, 1, 2, 3, 3])
