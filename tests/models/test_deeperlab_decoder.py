"""DeeperLab's decoders and heads, with weights set by hand and against Keras' layers."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfseg.models.deeperlab_decoder import Decoder, Head


def test_the_space_to_depth_decoder_convolves_blocks_of_detail_beside_the_context():
    decoder, block = Decoder("space_to_depth", 2, 1, block=4, low_level_width=1), np.zeros([1, 2, 3, 4], np.float32)
    detail = np.random.default_rng(0).uniform(1, 2, [1, 7, 10, 1]).astype(np.float32)
    decoder(block, detail)
    decoder.reduction.conv.kernel.assign([[[[1.0]]]])
    first, second = decoder.convolutions
    # 4 channels of context, then 16 of detail -> 32: pixel k of a block into channels 2k, and 3 times it into 2k + 1.
    kernel = np.zeros([1, 1, 20, 32], np.float32)
    for pixel in range(16):
        kernel[0, 0, 4 + pixel, 2 * pixel : 2 * pixel + 2] = 1, 3
    first.pointwise.conv.kernel.assign(kernel)
    second.pointwise.conv.kernel.assign(np.eye(32, dtype=np.float32)[None, None])
    for convolution in (first, second):
        convolution.depthwise.conv.depthwise_kernel.assign(tf.ones_like(convolution.depthwise.conv.depthwise_kernel))
    # Batch normalisation divides by sqrt(1 + 0.001), five times.
    np.testing.assert_allclose(decoder(block, detail), detail * [1, 3] * 1.001**-2.5, rtol=1e-5)


def test_the_bilinear_decoder_enlarges_the_context_with_cell_i_on_cell_4i():
    decoder = Decoder("bilinear", 1, 1, block=4, low_level_width=1)
    context = np.float32([[0, 4], [8, 12]]).reshape(1, 2, 2, 1)
    detail = np.zeros([1, 5, 5, 1], np.float32)
    decoder(context, detail)
    for layer in decoder.convolutions:
        layer.depthwise.conv.depthwise_kernel.assign(tf.ones_like(layer.depthwise.conv.depthwise_kernel))
        layer.pointwise.conv.kernel.assign(tf.ones_like(layer.pointwise.conv.kernel))
    rows, columns = np.mgrid[:5, :5]
    np.testing.assert_allclose(decoder(context, detail)[0, :, :, 0], (2 * rows + columns) * 1.001**-2, rtol=1e-5)


def test_a_head_is_a_separable_convolution_and_a_1x1_one():
    """Against Keras' layers, with the same weights."""
    head, values = Head(3, 4, 7), np.random.default_rng(0).normal(size=[1, 9, 8, 5]).astype(np.float32)
    head(values)
    depthwise = keras.layers.DepthwiseConv2D(7, padding="same", use_bias=False)
    pointwise, last = keras.layers.Conv2D(4, 1, use_bias=False), keras.layers.Conv2D(3, 1)
    ours = (head.hidden.depthwise.conv, head.hidden.pointwise.conv, head.projection)
    reference = [depthwise, pointwise, last]
    for layer, source, channels in zip(reference, ours, (5, 5, 4), strict=True):
        layer.build([None, None, None, channels])
        layer.set_weights(source.get_weights())
    hidden = tf.nn.relu(depthwise(values) * 1.001**-0.5)
    hidden = tf.nn.relu(pointwise(hidden) * 1.001**-0.5)
    np.testing.assert_allclose(head(values), last(hidden), atol=1e-4)
