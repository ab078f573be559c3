"""Columns of a shelf against the same formulas written down here, with blocks that are tested elsewhere."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.random_weights import randomize
from tfseg.layers.s_block import SBlock
from tfseg.layers.shelf_columns import AttentionStep, DownColumn, TransposedStep, UpColumn

WIDTHS = (2, 3, 4)


def maps(seed=0):
    """Of 12x16, 6x8 and 3x4."""
    shapes = [(2, 12 >> level, 16 >> level, width) for level, width in enumerate(WIDTHS)]
    return [tf.random.stateless_normal(shape, [seed, level]) for level, shape in enumerate(shapes)]


def built(column):
    column(maps())
    randomize(column)
    return column


def up(**options):
    step = functools.partial(TransposedStep, block=SBlock, padding="same")
    return built(UpColumn(WIDTHS, SBlock, step, **options))


def down(has_bridge=True):
    return built(DownColumn(WIDTHS, SBlock, has_bridge, "same"))


def test_the_column_up_sums_what_comes_from_below_and_the_lateral_map_before_each_block():
    column, (a, b, c) = up(), maps()
    c_out = column.bottom(c)
    b_out = column.steps[1].block(column.steps[1].enlargement(c_out) + b)
    a_out = column.steps[0].block(column.steps[0].enlargement(b_out) + a)
    for actual, expected in zip(column(maps()), (a_out, b_out, c_out), strict=True):
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("has_bridge", [True, False])
def test_the_column_down_sums_what_comes_from_above_and_the_lateral_map_and_ends_with_its_reduction(has_bridge):
    column, (a, b, _) = down(has_bridge), maps()
    assert (column.bridge is not None) == has_bridge
    a_out = column.blocks[0](a + column.bridge(a) if has_bridge else a)
    b_out = column.blocks[1](tf.nn.relu(column.reductions[0](a_out)) + b)
    c_out = tf.nn.relu(column.reductions[1](b_out))
    for actual, expected in zip(column(maps()), (a_out, b_out, c_out), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_a_lateral_map_alone_arrives_unchanged():
    """Blocks that add nothing and steps that carry nothing leave the sums: positive maps go straight through."""
    laterals = [tf.abs(values) for values in maps()]
    column = up()
    for variable in column.trainable_variables:
        variable.assign(tf.zeros_like(variable))
    for norm in (block.norm_2 for block in (column.bottom, *(step.block for step in column.steps))):
        norm.moving_mean.assign(tf.zeros_like(norm.moving_mean))
    for actual, expected in zip(column(laterals), laterals, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_the_coarsest_map_is_not_read_on_the_way_down():
    column, (a, b, c) = down(), maps()
    for actual, expected in zip(column([a, b, c + 1]), column([a, b, c]), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_every_block_of_a_column_drops_other_values():
    """All blocks get the same maps of ones, as if they stood side by side."""
    column = UpColumn(
        (8, 8),
        functools.partial(SBlock, dropout_rate=0.5),
        functools.partial(TransposedStep, block=SBlock, padding="same"),
    )
    seeds = []

    def noted(inputs, training=False, seed=None):
        seeds.append(tuple(seed.numpy()))
        return inputs

    column([tf.ones([1, 4, 4, 8]), tf.ones([1, 2, 2, 8])])
    column.bottom.call = column.steps[0].block.call = noted
    column([tf.ones([1, 4, 4, 8]), tf.ones([1, 2, 2, 8])], training=True, seed=tf.constant([0, 1]))
    assert len(set(seeds)) == 2


def test_the_light_step_weighs_channels_doubles_by_nearest_neighbours_and_mixes_the_sum():
    step = AttentionStep(3)
    coarse, lateral = tf.random.stateless_normal([2, 3, 4, 5], [0, 1]), tf.random.stateless_normal([2, 6, 8, 3], [0, 2])
    step(coarse, lateral)
    randomize(step)
    features = step.attention.conv(coarse).numpy()
    gate = step.attention.gate.bn(step.attention.gate.conv(tf.constant(features.mean((1, 2), keepdims=True)))).numpy()
    weighed = features / (1 + np.exp(-gate))
    expected = step.fusion(tf.constant(weighed.repeat(2, 1).repeat(2, 2)) + lateral)
    np.testing.assert_allclose(step(coarse, lateral), expected, atol=1e-5)
    assert (features < 0).any() and features.min() > -0.1  # leaky: a hundredth below zero
