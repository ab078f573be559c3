"""The transposed convolution doubles a map; its two paddings place the kernel as Keras and as PyTorch do."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import randomize
from tfseg.layers.conv import Conv2D
from tfseg.layers.transposed_conv import TransposedConv2D


def inputs(*shape):
    return tf.random.stateless_normal(shape, [0, 1])


def built(filters, channels, **options):
    layer = TransposedConv2D(filters, **options)
    layer(tf.zeros([1, 2, 2, channels]))
    return layer


def test_with_same_padding_it_equals_keras_layer():
    layer, values = built(4, 3), inputs(2, 5, 6, 3)
    theirs = keras.layers.Conv2DTranspose(4, 3, 2, "same")
    theirs.build(values.shape)
    layer.set_weights([inputs(3, 3, 4, 3), inputs(4)])
    theirs.set_weights(layer.get_weights())
    np.testing.assert_allclose(layer(values), theirs(values), atol=1e-5)


@pytest.mark.parametrize(("padding", "first"), [("same", 0), ("symmetric", -1)])
def test_a_single_position_writes_its_kernel_where_the_padding_says(padding, first):
    """Input (1, 2) of 4 x 4 writes rows 2 + first on and columns 4 + first on."""
    layer = built(1, 1, padding=padding)
    kernel = np.arange(1.0, 10).reshape(3, 3)
    layer.set_weights([kernel[:, :, np.newaxis, np.newaxis], np.array([0.5])])
    values, expected = np.zeros([1, 4, 4, 1], np.float32), np.full([8, 8], 0.5)
    values[0, 1, 2] = 1
    expected[2 + first : 5 + first, 4 + first : 7 + first] += kernel
    np.testing.assert_allclose(layer(values)[0, :, :, 0], expected)


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_it_is_the_transpose_of_the_strided_convolution_of_the_same_padding(padding):
    """<conv(x), y> = <x, transposed(y)> for the same kernel."""
    strided, transposed = Conv2D(2, 3, 2, padding=padding), built(3, 2, padding=padding)
    fine, coarse = inputs(1, 8, 6, 3), inputs(1, 4, 3, 2)
    strided(fine)
    randomize(strided)
    transposed.set_weights([strided.kernel.numpy(), np.zeros(3)])
    np.testing.assert_allclose(
        tf.reduce_sum(strided(fine) * coarse), tf.reduce_sum(fine * transposed(coarse)), rtol=1e-4
    )


def test_before_training_all_outputs_have_the_scale_of_the_input_times_the_gain():
    """Smooth input, 64 channels: no checkerboard of the four kinds of positions."""
    values = tf.broadcast_to(inputs(50, 1, 1, 64), [50, 6, 6, 64])
    for gain in (1.0, 0.5):
        outputs = built(64, 64, gain=gain)(values).numpy()[:, 2:-2, 2:-2]
        np.testing.assert_allclose(outputs, np.broadcast_to(outputs[:, :1, :1], outputs.shape), atol=1e-5)
        assert outputs.std() == pytest.approx(gain, rel=0.1)


def test_sizes_that_are_known_stay_known_and_others_may_be_open():
    layer = built(3, 2)
    run = tf.function(layer, input_signature=[tf.TensorSpec([None, None, None, 2])])
    assert run(inputs(2, 3, 5, 2)).shape == (2, 6, 10, 3)
    known = tf.function(layer).get_concrete_function(tf.TensorSpec([1, 3, 5, 2]))
    assert known.output_shapes == (1, 6, 10, 3)
