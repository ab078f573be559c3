"""Costs of graphs, against counts by hand and against TensorFlow's profiler."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_backbone import tiny
from tfseg import architectures, backbones
from tfseg.backbones import BackboneConfig
from tfseg.layers.conv import Conv2D, dilation_by_space_to_batch
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.fcn import FCNConfig
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import flops

BACKBONE = tiny()
IMAGE = tf.zeros([2, 9, 7, 4])


def counted(run, *inputs):
    function = tf.function(run).get_concrete_function(*(tf.TensorSpec(value.shape, value.dtype) for value in inputs))
    return flops.count(function)


def macs(run, *inputs):
    return sum(operation.macs for operation in counted(run, *inputs))


def zeros(*shape):
    return tf.constant(np.zeros(shape, np.float32))


PRODUCTS = {
    # 2 images x positions of the result x kernel area x input channels x output channels.
    "convolution": (lambda x: tf.nn.conv2d(x, zeros(3, 3, 4, 5), 1, "SAME"), 2 * 9 * 7 * 9 * 4 * 5),
    "strided": (lambda x: tf.nn.conv2d(x, zeros(3, 3, 4, 5), 2, "VALID"), 2 * 4 * 3 * 9 * 4 * 5),
    "dilated": (lambda x: tf.nn.conv2d(x, zeros(3, 3, 4, 5), 1, "SAME", dilations=4), 2 * 9 * 7 * 9 * 4 * 5),
    # The kernel's last axis is the number of maps per channel.
    "depthwise": (
        lambda x: tf.nn.depthwise_conv2d(x, zeros(3, 3, 4, 2), [1, 1, 1, 1], "SAME"),
        2 * 9 * 7 * 9 * 4 * 2,
    ),
    # Runs between SpaceToBatchND and BatchToSpaceND: 9 x 7 is padded to 12 x 8, multiples of the dilation 4.
    "dilated depthwise": (
        lambda x: tf.nn.depthwise_conv2d(x, zeros(3, 3, 4, 1), [1, 1, 1, 1], "SAME", dilations=[4, 4]),
        2 * 12 * 8 * 9 * 4,
    ),
    # Every input position is multiplied by the whole kernel.
    "transposed": (
        lambda x: tf.nn.conv2d_transpose(x, zeros(2, 2, 5, 4), [2, 18, 14, 5], 2, "SAME"),
        2 * 9 * 7 * 4 * 4 * 5,
    ),
    "grouped": (lambda x: tf.nn.conv2d(x, zeros(3, 3, 2, 6), 1, "SAME"), 2 * 9 * 7 * 9 * 2 * 6),
    "batched": (lambda x: tf.matmul(x, zeros(2, 9, 4, 5)), 2 * 9 * 7 * 4 * 5),
    "matrix": (lambda x: tf.matmul(tf.reshape(x, [126, 4]), zeros(4, 5)), 126 * 4 * 5),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_costs_what_it_multiplies(name):
    run, expected = PRODUCTS[name]
    assert macs(run, IMAGE) == expected


def test_by_space_to_batch_a_dilated_convolution_costs_its_padded_map():
    layer = Conv2D(5, 3, dilation=4)
    layer(IMAGE)
    assert macs(layer, IMAGE) == 2 * 9 * 7 * 9 * 4 * 5
    values = tf.random.stateless_normal(IMAGE.shape, [0, 1])
    with dilation_by_space_to_batch():
        assert macs(layer, IMAGE) == 2 * 12 * 8 * 9 * 4 * 5
        by_space_to_batch = layer(values)
    np.testing.assert_allclose(by_space_to_batch, layer(values), atol=1e-5)


def in_while_loop(trips):
    def run(x):
        kernel = zeros(1, 1, 4, 4)
        return tf.while_loop(lambda i, _: i < trips, lambda i, x: (i + 1, tf.nn.conv2d(x, kernel, 1, "SAME")), (0, x))[
            1
        ]

    return run


def in_range(trips):
    @tf.function
    def run(x):
        for _ in tf.range(trips):
            x = tf.nn.conv2d(x, zeros(1, 1, 4, 4), 1, "SAME")
        return x

    return run


def in_loops_in_calls(trips):
    inner = tf.function(in_while_loop(trips // 2))

    def run(x):
        return tf.while_loop(lambda i, _: i < 2, lambda i, x: (i + 1, tf.ensure_shape(inner(x), x.shape)), (0, x))[1]

    return run


def with_limit_from_outside(trips):
    """A loop whose limit is an input of the inner function and a tensor of the outer one, as in a served model."""

    @tf.function(input_signature=[tf.TensorSpec([2, 9, 7, 4]), tf.TensorSpec([None], tf.int32)])
    def inner(x, iterations):
        return in_while_loop(tf.reduce_max(iterations))(x)

    return lambda x: inner(x, tf.constant([1, trips]))


@pytest.mark.parametrize("make", [in_while_loop, in_range, in_loops_in_calls, with_limit_from_outside])
@pytest.mark.parametrize("trips", [2, 6])
def test_a_loop_costs_its_body_as_often_as_it_runs(make, trips):
    assert macs(make(trips), IMAGE) == trips * 2 * 9 * 7 * 4 * 4


def test_a_loop_that_never_runs_costs_nothing():
    assert macs(in_while_loop(0), IMAGE) == 0


def test_a_loop_with_a_largest_number_of_trips_stops_there():
    def run(x):
        kernel = zeros(1, 1, 4, 4)
        body = lambda i, x: (i + 2, tf.nn.conv2d(x, kernel, 1, "SAME"))  # noqa: E731
        return tf.while_loop(lambda i, _: i <= 8, body, (0, x), maximum_iterations=3)[1]

    assert macs(run, IMAGE) == 3 * 2 * 9 * 7 * 4 * 4


def test_the_dearer_branch_counts():
    def branches(x):
        def branch(filters):
            return lambda: tf.reduce_sum(tf.nn.conv2d(x, zeros(1, 1, 4, filters), 1, "SAME"))

        return tf.cond(x[0, 0, 0, 0] > 0, branch(3), branch(7))

    assert macs(branches, IMAGE) == 2 * 9 * 7 * 4 * 7


@pytest.mark.parametrize(
    "run,message",
    [
        (lambda x: tf.einsum("bhwc,cd->bhwd", x, zeros(4, 5)), "cannot count Einsum"),
        (
            lambda x: tf.nn.conv2d(x[:, : tf.cast(x[0, 0, 0, 0], tf.int32)], zeros(1, 1, 4, 5), 1, "SAME"),
            "unknown shape",
        ),
        (lambda x: tf.while_loop(lambda x: x[0, 0, 0, 0] < 1, lambda x: (x + 1,), (x,)), "does not follow from const"),
    ],
)
def test_what_would_be_missed_is_an_error(run, message):
    with pytest.raises(ValueError, match=message):
        counted(run, IMAGE)


@pytest.mark.parametrize("config", [RNNConfig(BACKBONE, widths=(8, 6)), DeepLabV3Config(BACKBONE, width=8)])
def test_without_loops_the_count_is_the_profilers(config):
    function = flops.trace(architectures.build(config, 5), (64, 96), 2)
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation() | {"output": "none"}
    profile = tf.compat.v1.profiler.profile(function.graph, cmd="op", options=options)
    assert flops.gflops(flops.count(function)) * 1e9 == pytest.approx(profile.total_float_ops)


RESNET_BLOCKS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


def resnet_macs(depth, output_stride, side):
    """Multiply-accumulates of ResNet-V1's convolutions, from its table (He et al. 2015, Table 1)."""
    half, side = math.ceil(side / 2), math.ceil(side / 4)
    total, channels = half**2 * 49 * 3 * 64, 64
    stride = 4
    for block, units in enumerate(RESNET_BLOCKS[depth]):
        width = 64 * 2**block
        for unit in range(units):
            is_strided = unit == units - 1 and block < 3 and stride < output_stride
            after = math.ceil(side / 2) if is_strided else side
            total += side**2 * channels * width + after**2 * (9 * width * width + width * 4 * width)
            total += after**2 * channels * 4 * width if unit == 0 else 0
            side, channels, stride = after, 4 * width, stride * (2 if is_strided else 1)
    return total


SLOW_RESNETS = ((50, 16), (101, 8), (101, 16), (101, 32))


@pytest.mark.parametrize(
    ("depth", "output_stride"),
    [(50, 8), (50, 32), *(pytest.param(*one, marks=pytest.mark.slow) for one in SLOW_RESNETS)],
)
def test_resnets_cost_what_their_table_says(depth, output_stride):
    backbone = backbones.build(BackboneConfig(f"resnet{depth}_v1", output_stride))
    spec = tf.TensorSpec([1, 513, 513, 3])
    function = tf.function(lambda image: backbone(image, training=False)["last"]).get_concrete_function(spec)
    assert flops.gmacs(flops.count(function)) == pytest.approx(resnet_macs(depth, output_stride, 513) / 1e9, rel=1e-3)


def test_the_published_form_multiplies_features_and_zeros_in_every_iteration():
    config = RNNConfig(BACKBONE, widths=(8, 6), hoist=False)
    network = architectures.build(config, 5)
    channels = network.projection.kernels[0].shape[2]
    counts = flops.published_gmacs(network, (64, 96), 3)
    iteration = 24 * 4 * (8 * (channels + 5 + 8) + 6 * (8 + 6) + 5 * (6 + 5))
    # Biases, gates and the canvas' sum are counted too, at half: about 20 operations per map.
    assert iteration < (counts[2] - counts[1]) * 1e9 < iteration + 24 * 20 * (8 + 6 + 5)
    assert counts[2] - counts[1] == pytest.approx(counts[1] - counts[0], rel=1e-6)
    hoisted = architectures.build(dataclasses.replace(config, hoist=True), 5)
    executed = flops.executed_gmacs(hoisted, (64, 96), 3)
    assert executed[2] - executed[1] == pytest.approx((iteration - 24 * 4 * 8 * channels) / 1e9, rel=1e-6)


def test_a_chain_needs_the_memory_of_two_neighbours():
    def run(x):
        wide = tf.nn.relu(tf.concat([x, x, x], -1))
        return tf.reshape(tf.reduce_sum(wide, -1), [-1])

    function = tf.function(run).get_concrete_function(tf.TensorSpec(IMAGE.shape))
    # While the ReLU runs: its input and its result, three times the image each.
    assert flops.peak_activation_bytes(function) == 6 * 4 * 2 * 9 * 7 * 4


def test_a_tensor_that_is_used_later_stays_in_memory():
    def run(x):
        return tf.nn.relu(tf.nn.relu(tf.nn.relu(x))) + x

    function = tf.function(run).get_concrete_function(tf.TensorSpec(IMAGE.shape))
    assert flops.peak_activation_bytes(function) == 3 * 4 * 2 * 9 * 7 * 4


@pytest.mark.parametrize("widths", [(8, 6), (16, 6)])
def test_an_iteration_costs_the_three_gate_products_at_every_position(widths):
    network = architectures.build(RNNConfig(BACKBONE, widths=widths), 5)
    counts = flops.executed_gmacs(network, (64, 96), 3)
    first, second = widths
    # 4 gates per map over [canvas 5 | h1], [h1 | h2], [h2 | h3] at 4 x 6 positions.
    iteration = 24 * 4 * (first * (5 + first) + second * (first + second) + 5 * (second + 5))
    assert counts[1] - counts[0] == pytest.approx(iteration / 1e9, rel=1e-6)
    assert counts[2] - counts[1] == pytest.approx(iteration / 1e9, rel=1e-6)


def test_a_hand_counted_network():
    """The first iteration skips the products with the zero canvas and the zero h."""
    network = architectures.build(RNNConfig(BACKBONE, widths=(8, 6)), 5)
    [first] = flops.executed_gmacs(network, (64, 96), 1)
    feed_forward = architectures.build(FCNConfig(BACKBONE, widths=(32,)), 5)
    [other] = flops.executed_gmacs(feed_forward, (64, 96), 1)
    # Both have the same backbone and projection to 32 channels. The RNN adds gates of layers 2 and 3; FCN, 5 logits.
    assert first - other == pytest.approx(24 * (4 * (6 * 8 + 5 * 6) - 32 * 5) / 1e9, rel=1e-6)


def test_features_are_multiplied_once_and_only_once():
    """Two widths of the first layer differ by the hoisted product, 128 features into 4 gates per map."""
    costs = []
    for width in (8, 16):
        network = architectures.build(RNNConfig(BACKBONE, widths=(width, 6)), 5)
        first = flops.executed_gmacs(network, (64, 96), 1)[0]
        costs.append(first - 24 * 4 * (6 * width + 5 * 6) / 1e9)
    channels = network.projection.kernels[0].shape[2]
    assert costs[1] - costs[0] == pytest.approx(24 * 4 * 8 * channels / 1e9, rel=1e-6)


def test_a_feed_forward_network_has_one_cost():
    network = architectures.build(FCNConfig(BACKBONE, widths=(8, 8)), 5)
    [cost] = flops.executed_gmacs(network, (64, 96), 6)
    assert cost > 0
