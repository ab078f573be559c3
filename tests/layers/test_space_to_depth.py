"""Blocks of pixels as channels: their order, and maps whose sides are not multiples of the block."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.layers.space_to_depth import depth_to_space, space_to_depth

SIDES = [*range(1, 71), 84, 125, 181, 361]


@pytest.mark.parametrize("sides", [(SIDES, SIDES[::-1]), (SIDES[::3], [4] * len(SIDES[::3]))])
def test_there_and_back_is_the_same_map_to_the_bit(sides):
    for height, width in zip(*sides, strict=True):
        values = np.random.default_rng(height).normal(size=[1, height, width, 3]).astype(np.float32)
        blocks = space_to_depth(values, 4)
        assert blocks.shape == (1, -(-height // 4), -(-width // 4), 48)
        np.testing.assert_array_equal(depth_to_space(blocks, 4, (height, width)), values)


def test_channels_go_row_by_row_through_the_block():
    """Pixels 0 1 2 3 / 4 5 6 7 / 8 ...; a second channel has the same values plus 100; blocks of 2 x 2."""
    values = np.arange(16.0).reshape(1, 4, 4, 1) + np.float32([0, 100])
    np.testing.assert_array_equal(space_to_depth(values, 2)[0, 0, 1], [2, 102, 3, 103, 6, 106, 7, 107])
    np.testing.assert_array_equal(space_to_depth(values, 2)[0, 1, 0], [8, 108, 9, 109, 12, 112, 13, 113])


def test_what_is_missing_to_a_block_is_zero_at_the_bottom_and_right():
    blocks = space_to_depth(np.ones([1, 3, 5, 1], np.float32), 4)
    ones = np.zeros([4, 4])
    ones[:3, :1] = 1
    np.testing.assert_array_equal(blocks[0, 0, 1], ones.reshape(-1))


@pytest.mark.parametrize("side", [333, 500, 720, 721, 1441])
def test_the_blocks_of_a_stride_4_map_are_the_grid_of_stride_16(side):
    fine = -(-side // 4)
    assert space_to_depth(tf.zeros([1, fine, 1, 1]), 4).shape[1] == -(-side // 16)


def test_it_is_the_same_when_the_size_is_known_only_at_run_time():
    values = np.random.default_rng(0).normal(size=[2, 7, 5, 3]).astype(np.float32)

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3])])
    def both(inputs):
        blocks = space_to_depth(inputs, 4)
        return blocks, depth_to_space(blocks, 4, tf.shape(inputs)[1:3])

    blocks, back = both(values)
    np.testing.assert_array_equal(blocks, space_to_depth(values, 4))
    np.testing.assert_array_equal(back, values)


def test_equals_numpys_transposition_of_blocks():
    values = np.random.default_rng(1).normal(size=[2, 8, 12, 3]).astype(np.float32)
    blocks = values.reshape(2, 2, 4, 3, 4, 3).transpose(0, 1, 3, 2, 4, 5).reshape(2, 2, 3, 48)
    np.testing.assert_array_equal(space_to_depth(values, 4), blocks)
