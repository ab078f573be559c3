"""The six aggregations: their weights, shapes, gradients, and identities that hold whatever the maps are."""

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.random_weights import randomize
from tfseg.models.cells.aggregations import aggregation
from tfseg.models.cells.genotype import AGGREGATIONS

PARAMETERS = {
    "sum": 128,
    "concat": 256 + 8_192,
    "predictive": 9 * 9 * 64 + 9,
    "affine": 2_080 + 198,
    "conv3d": 73_728 + 128,
    "attention": 0,
}
ASYMMETRIC = ("predictive", "affine", "attention")
FORMS = [*AGGREGATIONS, "global predictive"]


def maps(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, seed])


def of_name(name, *inputs, random=True):
    """The aggregation of a name; "global predictive" is the other form of "predictive"."""
    options = {"predictive": "global"} if name == "global predictive" else {}
    layer = aggregation(AGGREGATIONS.index(name.removeprefix("global ")), inputs[0].shape[-1], **options)
    layer(*inputs)
    if random:
        randomize(layer)
    return layer


def two_maps(height=5, width=6, channels=4, batch=2):
    return [maps(batch, height, width, channels, seed=seed) for seed in (1, 2)]


def parameters(layer):
    return sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables)


@pytest.mark.parametrize("name", FORMS)
def test_parameters(name):
    layer = of_name(name, *two_maps(channels=64))
    assert parameters(layer) == (PARAMETERS | {"global predictive": 37_440})[name]


@pytest.mark.parametrize("size", [(45, 60), (23, 30), (12, 15)])
@pytest.mark.parametrize("name", FORMS)
def test_the_shape_stays(name, size):
    x, y = two_maps(*size)
    assert of_name(name, x, y)(x, y).shape == x.shape


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_gradients_reach_both_inputs_and_every_weight(name, training):
    """Of the affine map after its last layer was randomised: while its kernel is 0, nothing before it learns."""
    x, y = two_maps()
    layer = of_name(name, x, y)
    with tf.GradientTape() as tape:
        tape.watch([x, y])
        total = tf.reduce_sum(layer(x, y, training=training) ** 2)
    for gradient in tape.gradient(total, [x, y, *layer.trainable_variables]):
        assert np.isfinite(gradient).all() and np.abs(gradient).max() > 0


@pytest.mark.parametrize("name", FORMS)
def test_a_size_that_is_known_only_at_run_time_gives_the_same(name):
    x, y = two_maps()
    layer = of_name(name, x, y)
    spec = tf.TensorSpec([None, None, None, 4])
    traced = tf.function(layer).get_concrete_function(spec, spec)
    np.testing.assert_allclose(traced(x, y), layer(x, y), atol=1e-5)


@pytest.mark.parametrize("name", FORMS)
def test_images_of_a_batch_do_not_mix(name):
    x, y = two_maps(batch=3)
    layer = of_name(name, x, y)
    alone = [layer(x[index : index + 1], y[index : index + 1]) for index in range(3)]
    np.testing.assert_allclose(layer(x, y), tf.concat(alone, 0), atol=1e-5)


@pytest.mark.parametrize("name", ASYMMETRIC)
def test_swapped_maps_give_another_result(name):
    x, y = two_maps()
    layer = of_name(name, x, y)
    assert np.abs(layer(x, y) - layer(y, x)).max() > 0.1


def test_the_sum_weighs_every_channel():
    x, y = two_maps(channels=2)
    layer = of_name("sum", x, y, random=False)
    np.testing.assert_array_equal(layer(x, y), x + y)
    layer.set_weights([np.float32([2, 0]), np.float32([-1, 3])])
    np.testing.assert_allclose(layer(x, y), tf.stack([2 * x[..., 0] - y[..., 0], 3 * y[..., 1]], -1), atol=1e-6)


def test_concatenation_normalises_before_it_reduces():
    x, y = two_maps(channels=2)
    layer = of_name("concat", x, y, random=False)
    kernel = layer.reduction.kernel[0, 0]
    by_hand = tf.nn.relu(tf.concat([x, y], -1) / np.sqrt(1 + 1e-5)) @ kernel
    np.testing.assert_allclose(layer(x, y), by_hand, atol=1e-5)


@pytest.mark.parametrize(("tap", "down", "across"), [(4, 0, 0), (5, 0, 1), (0, -1, -1)])
def test_a_predicted_kernel_of_one_tap_moves_y(tap, down, across):
    """The centre returns y itself; its right-hand neighbour reads one position to the right, 0 beyond the border."""
    x, y = two_maps()
    layer = of_name("predictive", x, y, random=False)
    layer.kernels.kernel.assign(tf.zeros_like(layer.kernels.kernel))
    layer.kernels.bias.assign(100.0 * tf.one_hot(tap, 9))
    framed = tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]])
    np.testing.assert_allclose(layer(x, y), framed[:, 1 + down : 6 + down, 1 + across : 7 + across], atol=1e-6)


def test_predicted_kernels_sum_to_one():
    """So a map of ones stays one, but at the border."""
    x, y = two_maps()
    layer = of_name("predictive", x, y)
    np.testing.assert_allclose(layer(x, tf.ones_like(y))[:, 1:-1, 1:-1], tf.ones([2, 3, 4, 4]), atol=1e-6)


def test_a_global_kernel_of_one_tap_returns_y():
    x, y = two_maps()
    layer = of_name("global predictive", x, y, random=False)
    taps = np.zeros([9, 4], np.float32)
    taps[4] = (1, 2, 0, -1)
    layer.kernels.set_weights([np.zeros([4, 36], np.float32), taps.reshape(-1)])
    np.testing.assert_allclose(layer(x, y), y * [1.0, 2.0, 0.0, -1.0], atol=1e-6)


@pytest.mark.parametrize("size", [(4, 8), (45, 60), (23, 30)])
def test_the_identity_of_the_start_returns_x(size):
    x, y = two_maps(*size)
    result = of_name("affine", x, y, random=False)(x, y)
    np.testing.assert_allclose(result, x, atol=0 if size == (4, 8) else 1e-4)


def affine(x, y, matrix):
    layer = of_name("affine", x, y, random=False)
    layer.matrix.bias.assign(np.float32(matrix).reshape(-1))
    return layer(x, y)


def test_a_translation_of_half_the_map_is_a_shift():
    """Coordinates are 2 from edge to edge, so 1 is half the width; what lies beyond is 0."""
    x, y = two_maps(4, 8)
    across = affine(x, y, [[1, 0, 1], [0, 1, 0]])
    np.testing.assert_allclose(across, tf.pad(x[:, :, 4:], [[0, 0], [0, 0], [0, 4], [0, 0]]), atol=1e-6)
    up = affine(x, y, [[1, 0, 0], [0, 1, -1]])
    np.testing.assert_allclose(up, tf.pad(x[:, :2], [[0, 0], [2, 0], [0, 0], [0, 0]]), atol=1e-6)


def test_affine_maps_that_mirror_and_transpose():
    x, y = two_maps(6, 6)
    np.testing.assert_allclose(affine(x, y, [[-1, 0, 0], [0, 1, 0]]), x[:, :, ::-1], atol=1e-5)
    np.testing.assert_allclose(affine(x, y, [[0, 1, 0], [1, 0, 0]]), tf.transpose(x, [0, 2, 1, 3]), atol=1e-5)


def test_an_affine_map_that_enlarges_twofold_sees_the_inner_half():
    """Of eight columns, the places are 1.75, 2.25, ... 5.25."""
    ramp = tf.broadcast_to(tf.reshape(tf.range(8.0), [1, 1, 8, 1]), [1, 4, 8, 1])
    result = affine(ramp, ramp, [[0.5, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(result[0, 0, :, 0], np.arange(1.75, 5.5, 0.5), atol=1e-5)


def test_the_affine_map_follows_the_mean_of_y_alone():
    x, y = two_maps()
    layer = of_name("affine", x, y)
    constant = tf.broadcast_to(tf.reduce_mean(y, [1, 2], keepdims=True), y.shape)
    np.testing.assert_allclose(layer(x, y), layer(x, constant), atol=1e-5)


def test_the_3d_convolution_is_tensorflows_and_the_sum_of_two_plain_ones():
    x, y = two_maps(channels=3)
    layer = of_name("conv3d", x, y)
    kernel = layer.convolution.kernel  # [3, 3, 6, 3]
    of_x, of_y = kernel[:, :, :3], kernel[:, :, 3:]
    stacked = tf.pad(tf.stack([x, y], 1), [[0, 0], [0, 0], [1, 1], [1, 1], [0, 0]])
    volume = tf.nn.conv3d(stacked, tf.stack([of_x, of_y]), [1] * 5, "VALID")
    ours = layer.convolution(tf.concat([x, y], -1))
    np.testing.assert_allclose(ours, volume[:, 0], atol=1e-5)
    plain = tf.nn.conv2d(x, of_x, 1, "SAME") + tf.nn.conv2d(y, of_y, 1, "SAME")
    np.testing.assert_allclose(ours, plain, atol=1e-5)
    np.testing.assert_allclose(layer(x, y), tf.nn.relu(layer.bn(ours)), atol=1e-6)


def test_attention_of_plus_and_minus_20_keeps_x_and_removes_it():
    x, y = two_maps()
    layer = of_name("attention", x, y)
    np.testing.assert_allclose(layer(x, tf.fill(y.shape, 20.0)), x, rtol=1e-6)
    np.testing.assert_allclose(layer(x, tf.fill(y.shape, -20.0)), tf.zeros_like(x), atol=1e-7)
    np.testing.assert_allclose(layer(x, tf.zeros_like(y)), x / 2, rtol=1e-6)
