"""Convolutions and batch normalisation against Keras', and over two replicas against one."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.hanging import HANG_SECONDS
from tfseg.layers.conv import (
    BatchNorm,
    Conv2D,
    ConvBatchNorm,
    DepthwiseConv2D,
    growing_decay,
    pad_symmetric,
    statistics_after,
)


def values(*shape, seed=0):
    return np.random.default_rng(seed).normal(1, 2, shape).astype(np.float32)


@pytest.mark.parametrize("size", [(9, 12), (17, 17)])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2), (1, 4)])
def test_native_dilation_equals_keras_dilated_convolution(size, stride, dilation):
    inputs = values(2, *size, 5)
    ours = Conv2D(7, 3, stride, dilation, use_bias=True)
    reference = keras.layers.Conv2D(7, 3, stride, "same", dilation_rate=dilation, bias_initializer="ones")
    expected = reference(inputs)
    ours.build(inputs.shape)
    ours.set_weights(reference.get_weights())
    np.testing.assert_allclose(ours(inputs), expected, atol=1e-5)


@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (2, 1), (1, 2)])
def test_depthwise_equals_keras_depthwise_convolution(stride, dilation):
    inputs = values(2, 11, 14, 5)
    ours = DepthwiseConv2D(5, stride, dilation, use_bias=True)
    reference = keras.layers.DepthwiseConv2D(5, stride, "same", dilation_rate=dilation, bias_initializer="ones")
    expected = reference(inputs)
    ours.build(inputs.shape)
    ours.set_weights(reference.get_weights())
    np.testing.assert_allclose(ours(inputs), expected, atol=1e-5)


def test_a_dilated_convolution_is_one_operation_without_space_to_batch():
    layer = Conv2D(4, 3, dilation=2)
    layer.build([1, 9, 9, 3])
    graph = tf.function(layer.call).get_concrete_function(tf.TensorSpec([1, 9, 9, 3])).graph
    kinds = [operation.type for operation in graph.get_operations()]
    assert kinds.count("Conv2D") == 1 and "SpaceToBatchND" not in kinds


def test_symmetric_padding_puts_half_the_dilated_kernel_on_every_side():
    ones = tf.ones([1, 2, 2, 1])
    assert pad_symmetric(ones, kernel_size=3, dilation=2).shape == (1, 6, 6, 1)
    assert pad_symmetric(ones, kernel_size=1, dilation=4).shape == (1, 2, 2, 1)
    even = pad_symmetric(ones, kernel_size=2, dilation=1)[0, :, :, 0]  # 0 before, 1 after
    np.testing.assert_array_equal(even, [[1, 1, 0], [1, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("kind", [lambda **kw: Conv2D(1, 3, 2, **kw), lambda **kw: DepthwiseConv2D(3, 2, **kw)])
def test_at_even_sizes_same_and_symmetric_sample_other_pixels(kind):
    """With a kernel that copies its centre, "same" samples pixels 1 and 3 of 0..3, and "symmetric" 0 and 2."""
    ramp = tf.reshape(tf.range(4.0), [1, 4, 1, 1]) * tf.ones([1, 4, 4, 1])
    centre = np.float32([[0, 0, 0], [0, 1, 0], [0, 0, 0]])[:, :, None, None]
    rows = {}
    for padding in ("same", "symmetric"):
        layer = kind(padding=padding)
        layer.build(ramp.shape)
        layer.set_weights([centre])
        rows[padding] = layer(ramp)[0, :, 0, 0].numpy().tolist()
    assert rows == {"same": [1, 3], "symmetric": [0, 2]}


def test_another_padding_is_refused():
    with pytest.raises(ValueError, match="'same' or 'symmetric', not 'valid'"):
        Conv2D(1, padding="valid")


def batch_norm_pair(inputs):
    ours = BatchNorm(momentum=0.9, epsilon=1e-3)
    reference = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-3)
    ours.build(inputs.shape)
    reference.build(inputs.shape)
    weights = [np.float32(w) for w in ([1, 2, 3], [0.1, 0.2, 0.3], [1, 0, -1], [0.5, 1, 2])]
    ours.set_weights(weights)
    reference.set_weights(weights)
    return ours, reference


def test_batch_norm_equals_keras_in_inference_and_training():
    inputs = values(4, 3, 5, 3)
    ours, reference = batch_norm_pair(inputs)
    np.testing.assert_allclose(ours(inputs), reference(inputs), atol=1e-5)
    gradients = []
    for layer in (ours, reference):
        variable = tf.Variable(inputs)
        with tf.GradientTape() as tape:
            outputs = layer(variable, training=True)
            loss = tf.reduce_sum(outputs**3)
        gradients.append([outputs, *tape.gradient(loss, [variable, layer.gamma, layer.beta])])
    for actual, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(ours.moving_mean, reference.moving_mean, atol=1e-5)


def test_the_moving_variance_takes_the_biased_one():
    """0 and 2 have the biased variance 1 (unbiased: 2), so a moving variance of 1 stays 1 with momentum 0.9."""
    layer = BatchNorm(momentum=0.9)
    layer(np.float32([0, 2]).reshape(2, 1, 1, 1), training=True)
    np.testing.assert_allclose(layer.moving_mean, [0.1], atol=1e-6)
    np.testing.assert_allclose(layer.moving_variance, [1.0], atol=1e-6)


def test_frozen_batch_norm_uses_and_keeps_the_moving_statistics():
    inputs = values(4, 3, 5, 3)
    layer, reference = batch_norm_pair(inputs)
    layer.trainable = False
    np.testing.assert_allclose(layer(inputs, training=True), reference(inputs, training=False), atol=1e-5)
    np.testing.assert_array_equal(layer.moving_mean, [1, 0, -1])


@pytest.mark.parametrize("known", [True, False])
def test_a_single_value_is_normalised_with_the_moving_statistics(known):
    """Its own mean would make it 0, and its variance of 0 would teach the moving variance a wrong value."""
    layer = BatchNorm(momentum=0.9, epsilon=0.0)
    layer.build([None, None, None, 2])
    layer.set_weights(np.float32([[1, 1], [0, 0], [1, 1], [4, 4]]))  # gamma, beta, moving mean and moving variance
    run = tf.function(
        lambda values: layer(values, training=True),
        input_signature=[tf.TensorSpec([1, 1, 1, 2] if known else [None, None, None, 2])],
    )
    np.testing.assert_allclose(run(np.float32([[[[5, -3]]]])), [[[[2, -2]]]], atol=1e-5)
    assert [list(weight) for weight in layer.get_weights()] == [[1, 1], [0, 0], [1, 1], [4, 4]]
    if not known:
        np.testing.assert_allclose(run(np.float32([[[[5, -3]]], [[[7, -3]]]]))[..., 0].numpy().ravel(), [-1, 1])


def test_a_growing_decay_forgets_the_start():
    assert [float(growing_decay(count, 0.9)) for count in (0, 8, 71, 10**6)] == pytest.approx([0.1, 0.5, 72 / 81, 0.9])


def test_moving_statistics_of_a_short_training_are_those_of_its_batches():
    """After 20 steps, the mean 0 of the start would still weigh 82 % of the mean 5 with a momentum of 0.99."""
    layer = BatchNorm(momentum=0.99)
    for step in range(20):
        with statistics_after(tf.constant(step)):
            layer(np.float32([4, 6]).reshape(2, 1, 1, 1), training=True)
    np.testing.assert_allclose(layer.moving_mean, [5.0], rtol=1e-3)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_keeps_statistics_in_float32(policy):
    inputs = values(4, 8, 8, 3)
    full = ConvBatchNorm(6, 3, name="full")
    keras.mixed_precision.set_global_policy(policy)
    half = ConvBatchNorm(6, 3, name="half")
    keras.mixed_precision.set_global_policy("float32")
    full(inputs), half(inputs)
    half.set_weights(full.get_weights())
    expected, outputs = full(inputs, training=True), half(tf.cast(inputs, half.compute_dtype), training=True)
    assert outputs.dtype == half.compute_dtype
    np.testing.assert_allclose(tf.cast(outputs, tf.float32), expected, atol=0.05)
    assert {weight.dtype for weight in half.weights} == {tf.float32}
    np.testing.assert_allclose(half.bn.moving_mean, full.bn.moving_mean, atol=1e-3)


TWO_REPLICAS = """
import numpy as np
import tfseg
import tensorflow as tf
from tfseg.layers.conv import BatchNorm

tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
)
inputs = np.random.default_rng(0).normal(1, 2, (4, 3, 5, 6)).astype(np.float32)


def run(strategy):
    with strategy.scope():
        layer = BatchNorm(momentum=0.9)
        layer.build([None, None, None, 6])

    def step(batch):
        with tf.GradientTape() as tape:
            outputs = layer(batch, training=True)
            loss = tf.reduce_sum(outputs ** 3)
        gradients = tape.gradient(loss, [layer.gamma, layer.beta])
        return outputs, tf.distribute.get_replica_context().all_reduce("sum", gradients)

    per_replica = len(inputs) // strategy.num_replicas_in_sync
    batches = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(inputs[context.replica_id_in_sync_group * per_replica :][:per_replica])
    )
    outputs, gradients = tf.function(lambda: strategy.run(step, [batches]))()
    outputs = tf.concat(strategy.experimental_local_results(outputs), 0)
    gradients = [strategy.experimental_local_results(gradient)[0] for gradient in gradients]
    return [outputs, *gradients, *layer.get_weights()]


one = run(tf.distribute.OneDeviceStrategy("CPU:0"))
two = run(tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]))
assert len(two[0]) == 4
for actual, expected in zip(two, one, strict=True):
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-4)
print("equal")
"""


def test_two_synchronized_replicas_equal_one():
    """Outputs, gradients and moving statistics; in its own process, because devices are split before first use."""
    done = subprocess.run([sys.executable, "-c", TWO_REPLICAS], capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.stdout.endswith("equal\n"), done.stderr[-2000:]
