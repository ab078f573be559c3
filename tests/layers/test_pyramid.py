"""Pyramids of context: averages over cells, dilated branches, and their names in a checkpoint."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.layers.pyramid import AtrousSpatialPyramid, SpatialPyramid, average_bins


def test_cells_are_averages_that_cover_the_map():
    values = tf.reshape(tf.range(24.0), [1, 4, 6, 1])
    # Columns 0-2 and 3-5, rows 0-1 and 2-3: the means of [0 1 2 6 7 8] and so on.
    np.testing.assert_allclose(average_bins(values, 2)[0, ..., 0], [[4, 7], [16, 19]])
    np.testing.assert_allclose(average_bins(values, 1)[0, ..., 0], [[11.5]])


def test_neighbouring_cells_share_a_row_where_the_side_is_no_multiple():
    values = tf.reshape(tf.constant([0.0, 3.0, 6.0, 9.0, 12.0]), [1, 5, 1, 1])
    # Rows 0-2 and 2-4.
    np.testing.assert_allclose(average_bins(values, 2)[0, :, 0, 0], [3, 9])
    assert average_bins(values, 6).shape == (1, 6, 6, 1)


@pytest.mark.parametrize("size", [(7, 9), (3, 2), (12, 12)])
@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_cells_equal_averages_over_the_floor_and_ceiling_of_their_borders(size, count):
    values = np.random.default_rng(0).normal(size=[2, *size, 3]).astype(np.float32)
    borders = [[(i * n // count, -(-(i + 1) * n // count)) for i in range(count)] for n in size]
    expected = [[values[:, a:b, c:d].mean((1, 2)) for c, d in borders[1]] for a, b in borders[0]]
    np.testing.assert_allclose(average_bins(values, count), np.transpose(expected, [2, 0, 1, 3]), atol=1e-5)


def test_cells_are_the_same_when_the_size_is_known_only_at_run_time():
    values = np.random.default_rng(0).normal(size=[1, 7, 5, 2]).astype(np.float32)
    dynamic = tf.function(lambda x: average_bins(x, 3), input_signature=[tf.TensorSpec([1, None, None, 2])])
    np.testing.assert_allclose(dynamic(values), average_bins(values, 3), atol=1e-6)


def test_the_spatial_pyramid_keeps_the_map_and_adds_its_levels():
    layer, values = SpatialPyramid(4, (1, 2)), tf.random.stateless_normal([2, 6, 8, 3], [0, 1])
    outputs = layer(values)
    assert outputs.shape == (2, 6, 8, 11)
    np.testing.assert_array_equal(outputs[..., :3], values)
    # The first level has one cell, so it is the same everywhere.
    np.testing.assert_allclose(outputs[..., 3:7], np.broadcast_to(outputs[:, :1, :1, 3:7], [2, 6, 8, 4]), atol=1e-6)
    assert np.ptp(outputs[..., 7:], axis=(1, 2)).max() > 0.1


def test_an_atrous_branch_sees_as_far_as_its_rate():
    layer = AtrousSpatialPyramid(2, (3,))
    values = tf.Variable(tf.random.stateless_normal([1, 9, 9, 2], [0, 1]))
    layer(values)
    for convolution in layer.convolutions().values():
        convolution.activation = tf.identity
    layer.image_pooling.conv.kernel.assign(tf.zeros_like(layer.image_pooling.conv.kernel))
    with tf.GradientTape() as tape:
        centre = tf.reduce_sum(layer(values)[0, 4, 4])
    seen = np.argwhere(np.abs(tape.gradient(centre, values)[0]).sum(-1) > 0)
    assert {tuple(position) for position in seen} == {(y, x) for y in (1, 4, 7) for x in (1, 4, 7)}


def test_without_rates_a_pixel_sees_itself_and_the_mean():
    layer, values = AtrousSpatialPyramid(3, ()), tf.random.stateless_normal([1, 4, 5, 2], [0, 1])
    outputs = layer(values)
    pooled = layer.image_pooling(tf.reduce_mean(values, [1, 2], keepdims=True))
    expected = layer.projection(tf.concat([tf.tile(pooled, [1, 4, 5, 1]), layer.branches[0](values)], -1))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_branches_have_deeplabs_scopes_in_its_order():
    layer = AtrousSpatialPyramid(4, (6, 12, 18))
    assert list(layer.convolutions()) == ["image_pooling", "aspp0", "aspp1", "aspp2", "aspp3", "concat_projection"]
