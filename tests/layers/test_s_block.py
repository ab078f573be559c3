"""The S-block uses one convolution twice, with a batch normalisation for each use and dropout between them."""

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.random_weights import randomize
from tfseg.layers.dropout import dropout
from tfseg.layers.s_block import EPSILON, SBlock

CHANNELS = 4


def inputs(*shape, seed=0):
    return tf.random.stateless_normal(shape, [seed, 1])


def built(**options):
    block = SBlock(CHANNELS, **options)
    block(inputs(1, 4, 4, CHANNELS))
    randomize(block)
    return block


def convolved(values, kernel, bias):
    """3x3 convolution with zeros around the map, position by position."""
    padded = np.pad(values, [[0, 0], [1, 1], [1, 1], [0, 0]])
    height, width = values.shape[1:3]
    windows = [padded[:, y : y + height, x : x + width] @ kernel[y, x] for y in range(3) for x in range(3)]
    return sum(windows) + bias


def normalised(values, norm):
    scale = norm.gamma.numpy() / np.sqrt(norm.moving_variance.numpy() + EPSILON)
    return (values - norm.moving_mean.numpy()) * scale + norm.beta.numpy()


@pytest.mark.parametrize("slope", [0.0, 0.01])
def test_it_computes_what_its_formula_says(slope):
    block = built(negative_slope=slope)
    values = inputs(2, 5, 6, CHANNELS).numpy()
    kernel, bias = block.conv.kernel.numpy(), block.conv.bias.numpy()
    first = normalised(convolved(values, kernel, bias), block.norm_1)
    second = normalised(convolved(np.where(first > 0, first, slope * first), kernel, bias), block.norm_2)
    np.testing.assert_allclose(block(values), np.maximum(values + second, 0), atol=1e-5)


def test_it_owns_one_kernel_and_two_normalisations():
    """9 c^2 weights and c biases once, and scale and shift of c channels twice: 9 c^2 + 5 c."""
    block = built()
    names = [variable.name.split("/", 1)[1] for variable in block.trainable_variables]
    assert names == [
        "conv/kernel:0",
        "conv/bias:0",
        *(f"norm_{i}/{name}:0" for i in (1, 2) for name in ("gamma", "beta")),
    ]
    assert block.conv.kernel.shape == (3, 3, CHANNELS, CHANNELS)
    assert sum(np.prod(variable.shape) for variable in block.trainable_variables) == 9 * CHANNELS**2 + 5 * CHANNELS
    unshared = built(is_shared=False)
    count = sum(np.prod(variable.shape) for variable in unshared.trainable_variables)
    assert count == 2 * (9 * CHANNELS**2 + CHANNELS) + 4 * CHANNELS


def test_the_gradient_of_the_kernel_is_the_sum_over_its_two_uses():
    shared, unshared = built(), built(is_shared=False)
    for layer, other in ((unshared.conv, shared.conv), (unshared.second_conv, shared.conv)):
        layer.set_weights(other.get_weights())
    for name in ("norm_1", "norm_2"):
        getattr(unshared, name).set_weights(getattr(shared, name).get_weights())
    values, direction = inputs(2, 5, 6, CHANNELS), inputs(2, 5, 6, CHANNELS, seed=1)
    with tf.GradientTape(persistent=True) as tape:
        outputs = [tf.reduce_sum(block(values, training=True) * direction) for block in (shared, unshared)]
    np.testing.assert_allclose(*outputs, rtol=1e-5)
    gradient = tape.gradient(outputs[0], shared.conv.kernel)
    parts = tape.gradient(outputs[1], [unshared.conv.kernel, unshared.second_conv.kernel])
    assert min(float(tf.norm(part)) for part in parts) > 0.1
    np.testing.assert_allclose(gradient, parts[0] + parts[1], rtol=1e-3, atol=1e-3)


def test_both_uses_of_the_convolution_follow_a_change_of_the_kernel():
    """Means of the two normalisations' inputs, measured in training, both move."""
    block, values = built(), inputs(2, 5, 6, CHANNELS)
    before = [norm.moving_mean.numpy() for norm in (block.norm_1, block.norm_2)]
    block.conv.kernel.assign(2 * block.conv.kernel)
    unchanged = built()
    for one in (block, unchanged):
        one(values, training=True)
    for name, start in zip(("norm_1", "norm_2"), before, strict=True):
        moved, other = (getattr(one, name).moving_mean.numpy() for one in (block, unchanged))
        assert np.abs(moved - start).max() > 1e-3
        assert np.abs(moved - other).max() > 1e-4


def test_the_two_normalisations_keep_statistics_of_their_own():
    block = SBlock(CHANNELS)
    block(inputs(2, 5, 6, CHANNELS), training=True)
    for name in ("moving_mean", "moving_variance"):
        first, second = (getattr(norm, name).numpy() for norm in (block.norm_1, block.norm_2))
        assert np.abs(first - second).max() > 1e-4


def test_dropout_runs_in_training_alone_and_depends_on_the_seed():
    block, values = built(dropout_rate=0.5), inputs(2, 5, 6, CHANNELS)
    np.testing.assert_array_equal(block(values, seed=[0, 1]), block(values, seed=[0, 2]))

    def trained(seed):
        return block(values, training=True, seed=seed).numpy()

    np.testing.assert_array_equal(trained([0, 1]), trained([0, 1]))
    assert np.abs(trained([0, 1]) - trained([0, 2])).max() > 0.01
    assert np.abs(trained([0, 1]) - trained(None)).max() > 0.01


def test_spatial_dropout_zeroes_whole_channels_of_an_image_and_the_other_kind_single_values():
    ones = tf.ones([20, 4, 5, 30])
    spatial, element = (dropout(ones, 0.25, kind, [3, 4]).numpy() for kind in ("spatial", "element"))
    assert set(np.unique(spatial)) == set(np.unique(element)) == {0, np.float32(4 / 3)}
    assert (spatial == spatial[:, :1, :1]).all()
    assert (spatial[:, 0, 0] == 0).mean() == pytest.approx(0.25, abs=0.05)
    assert (element == 0).mean() == pytest.approx(0.25, abs=0.02)
    assert 0 < (element[:, :, :, 0] == 0).mean() < 1
    assert (element != element[:, :1, :1]).any()
