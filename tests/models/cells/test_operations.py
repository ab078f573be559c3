"""The six operations: their weights, shapes, gradients and meaning."""

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.random_weights import randomize
from tfseg.models.cells.genotype import OPERATIONS
from tfseg.models.cells.operations import operation

PARAMETERS = {
    "sep3": 576 + 4_096 + 128,
    "pool": 4_096 + 128,
    "sep3d3": 4_800,
    "sep5d6": 1_600 + 4_096 + 128,
    "skip": 0,
    "deformable": 36_864 + 15_579 + 128,
}


def of_name(name, inputs, **options):
    layer = operation(OPERATIONS.index(name), inputs.shape[-1], **options)
    layer(inputs)
    randomize(layer)
    return layer


def maps(*shape):
    return tf.random.stateless_normal(shape, [0, 0])


def parameters(layer):
    return sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables)


@pytest.mark.parametrize("name", OPERATIONS)
def test_parameters(name):
    assert parameters(of_name(name, maps(1, 3, 4, 64))) == PARAMETERS[name]


def test_parameters_of_options():
    assert parameters(of_name("sep3", maps(1, 3, 4, 64), repeats=2)) == 2 * 4_800
    assert parameters(of_name("deformable", maps(1, 3, 4, 64), has_modulation=False)) == 47_378


@pytest.mark.parametrize("size", [(45, 60), (23, 30), (12, 15)])
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_shape_stays(name, size):
    inputs = maps(2, *size, 4)
    assert of_name(name, inputs)(inputs).shape == inputs.shape


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_reach_the_input_and_every_weight(name, training):
    inputs = maps(3, 6, 5, 8)
    layer = of_name(name, inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(layer(inputs, training=training) ** 2)
    for gradient in tape.gradient(total, [inputs, *layer.trainable_variables]):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_skip_is_the_map_itself():
    inputs = maps(1, 3, 4, 2)
    assert operation(OPERATIONS.index("skip"), 2)(inputs) is inputs


def test_pool_is_the_same_everywhere_and_follows_the_mean():
    inputs = maps(2, 3, 4, 8)
    layer = of_name("pool", inputs)
    outputs = layer(inputs).numpy()
    assert (outputs == outputs[:, :1, :1]).all() and (outputs[0] != outputs[1]).any()
    constant = tf.broadcast_to(tf.reduce_mean(inputs, [1, 2], keepdims=True), inputs.shape)
    np.testing.assert_allclose(outputs, layer(constant), atol=1e-5)


@pytest.mark.parametrize(("name", "reach", "step"), [("sep3", 1, 1), ("sep3d3", 3, 3), ("sep5d6", 12, 6)])
def test_what_a_separable_convolution_sees(name, reach, step):
    """One position of the output depends on those of a grid around it: 3x3, 3x3 in steps of 3, 5x5 in steps of 6."""
    inputs = maps(1, 27, 27, 4)
    layer = of_name(name, inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(layer(inputs)[:, 13, 13])
    seen = np.argwhere(tf.reduce_any(tape.gradient(total, inputs)[0] != 0, -1)) - 13
    grid = range(-reach, reach + 1, step)
    assert seen.tolist() == [[row, column] for row in grid for column in grid]


def test_a_repeated_separable_convolution_has_weights_of_its_own():
    inputs = maps(1, 5, 6, 4)
    layer = of_name("sep3", inputs, repeats=2)
    between = layer.pointwise[0](layer.depthwise[0](inputs))
    np.testing.assert_allclose(layer(inputs), layer.pointwise[1](layer.depthwise[1](between)), atol=1e-6)
    assert (layer.depthwise[0].depthwise_kernel.numpy() != layer.depthwise[1].depthwise_kernel.numpy()).any()
