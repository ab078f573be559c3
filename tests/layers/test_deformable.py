"""Deformable convolution beside plain ones, a loop over positions, and finite differences."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import randomize
from tfseg.layers.deformable import DeformableConv2D


def maps(batch=1, height=5, width=7, channels=4):
    return tf.random.stateless_normal([batch, height, width, channels], [0, 0])


def layer_of(inputs, filters=3, has_modulation=True, random=False):
    layer = DeformableConv2D(filters, has_modulation)
    layer(inputs)
    if random:
        randomize(layer)
    return layer


def offset_bias(layer, down=0.0, across=0.0):
    """Moves all taps of every position alike."""
    bias = np.zeros(layer.offsets.bias.shape, np.float32)
    bias[0:18:2], bias[1:18:2] = down, across
    layer.offsets.bias.assign(bias)


def by_hand(layer, inputs):
    """The formula, position by position and tap by tap."""
    found = layer.offsets(inputs).numpy()
    kernel, inputs = layer.kernel.numpy(), inputs.numpy()
    batch, height, width, _ = inputs.shape
    result = np.zeros([batch, height, width, layer.filters])
    for image, row, column, tap in np.ndindex(batch, height, width, 9):
        down, across = found[image, row, column, 2 * tap : 2 * tap + 2]
        y, x = row + tap // 3 - 1 + down, column + tap % 3 - 1 + across
        value = np.zeros(inputs.shape[-1])
        for i in range(height):
            for j in range(width):
                value += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * inputs[image, i, j]
        modulation = 1 / (1 + np.exp(-found[image, row, column, 18 + tap])) if layer.has_modulation else 1
        result[image, row, column] += modulation * value @ kernel[tap // 3, tap % 3]
    return result


@pytest.mark.parametrize("has_modulation", [True, False])
def test_it_is_the_papers_formula(has_modulation):
    inputs = maps(batch=2)
    layer = layer_of(inputs, has_modulation=has_modulation, random=True)
    np.testing.assert_allclose(layer(inputs), by_hand(layer, inputs), atol=1e-5)


def test_a_new_layer_is_half_the_plain_convolution():
    """The modulation is sigmoid(0). In the interior and on the border."""
    inputs = maps()
    layer = layer_of(inputs)
    np.testing.assert_allclose(layer(inputs), 0.5 * tf.nn.conv2d(inputs, layer.kernel, 1, "SAME"), atol=1e-6)


def test_without_modulation_a_new_layer_is_the_plain_convolution():
    inputs = maps()
    layer = layer_of(inputs, has_modulation=False)
    np.testing.assert_allclose(layer(inputs), tf.nn.conv2d(inputs, layer.kernel, 1, "SAME"), atol=1e-6)


@pytest.mark.parametrize(("down", "across"), [(0, 1), (0, -1), (1, 0), (-2, 3)])
def test_a_constant_offset_is_the_convolution_of_the_shifted_map(down, across):
    inputs = maps()
    layer = layer_of(inputs, has_modulation=False)
    offset_bias(layer, down, across)
    far = tf.pad(inputs, [[0, 0], [4, 4], [4, 4], [0, 0]])
    shifted = far[:, 3 + down : 3 + down + 5 + 2, 3 + across : 3 + across + 7 + 2]  # with one position all around
    np.testing.assert_allclose(layer(inputs), tf.nn.conv2d(shifted, layer.kernel, 1, "VALID"), atol=1e-6)


def test_half_an_offset_is_the_mean_of_two_shifts():
    inputs = maps()
    layer = layer_of(inputs, has_modulation=False)
    results = []
    for across in (0.0, 1.0, 0.5):
        offset_bias(layer, across=across)
        results.append(layer(inputs))
    np.testing.assert_allclose(results[2], (results[0] + results[1]) / 2, atol=1e-6)


@pytest.mark.parametrize("offset", [20.0, 1e6, -1e9, 1e30])
def test_far_outside_is_zero_and_has_finite_gradients(offset):
    inputs = maps()
    layer = layer_of(inputs)
    offset_bias(layer, offset, -offset)
    with tf.GradientTape() as tape:
        outputs = layer(inputs)
        total = tf.reduce_sum(outputs)
    assert not outputs.numpy().any()
    assert all(np.isfinite(one).all() for one in tape.gradient(total, layer.trainable_variables))


def test_gradients_of_fractional_offsets_match_finite_differences():
    """In each offset alone the layer is linear between whole places, so that differences are exact but for rounding."""
    inputs = maps()
    layer = layer_of(inputs)
    bias = np.random.default_rng(0).uniform(0.2, 0.8, 27).astype(np.float32) - np.float32(np.arange(27) % 2)
    weights = tf.random.stateless_normal([1, 5, 7, 3], [1, 1])

    def score(values):
        layer.offsets.bias.assign(values)
        return tf.reduce_sum(layer(inputs) * weights)

    with tf.GradientTape() as tape:
        total = score(bias)
    gradient = tape.gradient(total, layer.offsets.bias)
    step = 1 / 16
    ways = step * np.eye(27, dtype=np.float32)
    differences = [float(score(bias + way) - score(bias - way)) / (2 * step) for way in ways]
    np.testing.assert_allclose(gradient[:18], differences[:18], atol=1e-3)
    np.testing.assert_allclose(gradient[18:], differences[18:], rtol=1e-2, atol=1e-3)
    assert np.abs(differences).min() > 1e-2


def test_gradients_reach_every_weight_and_the_inputs():
    inputs = maps()
    layer = layer_of(inputs, random=True)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        total = tf.reduce_sum(layer(inputs) ** 2)
    for gradient in tape.gradient(total, [inputs, *layer.trainable_variables]):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


def test_images_of_a_batch_do_not_mix():
    inputs = maps(batch=3)
    layer = layer_of(inputs, random=True)
    alone = [layer(inputs[index : index + 1]) for index in range(3)]
    np.testing.assert_allclose(layer(inputs), tf.concat(alone, 0), atol=1e-6)


def test_a_size_that_is_known_only_at_run_time_gives_the_same():
    inputs = maps(batch=2)
    layer = layer_of(inputs, random=True)
    traced = tf.function(layer).get_concrete_function(tf.TensorSpec([None, None, None, 4]))
    np.testing.assert_allclose(traced(inputs), layer(inputs), atol=1e-5)


@pytest.mark.parametrize(("policy", "error"), [("mixed_float16", 5e-3), ("mixed_bfloat16", 5e-2)])
def test_it_runs_in_16_bits(policy, error):
    """Offsets of a quarter position, which both 16-bit types hold exactly."""
    inputs = maps()
    results = []
    for one in ("float32", policy):
        keras.mixed_precision.set_global_policy(one)
        try:
            layer = layer_of(inputs)
            layer.kernel.assign(tf.random.stateless_normal([3, 3, 4, 3], [1, 1]) / 6)
            offset_bias(layer, 0.25, -0.75)
            results.append(layer(inputs))
        finally:
            keras.mixed_precision.set_global_policy("float32")
    assert results[1].dtype == policy.removeprefix("mixed_")
    np.testing.assert_allclose(tf.cast(results[1], tf.float32), results[0], atol=error)


@pytest.mark.parametrize(("has_modulation", "channels"), [(True, 27), (False, 18)])
def test_parameters(has_modulation, channels):
    layer = layer_of(maps(channels=64), 64, has_modulation)
    assert layer.count_params() == 9 * 64 * 64 + 9 * 64 * channels + channels
