"""Transposed convolution that doubles a map's sides."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfseg.layers.resize import map_size


class BilinearMix(keras.initializers.Initializer):
    """Initialiser of a [3, 3, out, in] kernel that enlarges bilinearly and mixes channels at random.

    Independent values would give the four kinds of output positions, which see 1, 2, 2 and 4 weights of a channel, four
    different scales. This kernel gives all of them `gain` times the scale of the input (variance 1 / in, as no ReLU
    follows).
    """

    def __init__(self, gain=1.0):
        self.gain = gain

    def __call__(self, shape, dtype=None, **kwargs):
        mix = keras.initializers.LecunNormal()([1, 1, shape[3], shape[2]], dtype)  # [1, 1, in, out]
        tent = np.outer([0.5, 1, 0.5], [0.5, 1, 0.5])[:, :, np.newaxis, np.newaxis]
        return tf.transpose(mix, [0, 1, 3, 2]) * tf.cast(self.gain * tent, mix.dtype)


class TransposedConv2D(keras.layers.Layer):
    """3x3 transposed convolution of stride 2 with bias: [batch, h, w, c] -> [batch, 2 h, 2 w, filters].

    Args:
      filters: output channels.
      padding: "same" (input i writes to outputs 2i to 2i + 2, as Keras' layer) or "symmetric" (2i - 1 to 2i + 1, as
        PyTorch's with padding 1 and output padding 1); it undoes a strided 3x3 convolution of the same padding.
      gain: scale of the output before training, as a factor on that of the input.
    """

    def __init__(self, filters, padding="same", gain=1.0, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.padding, self.gain = filters, padding, gain

    def build(self, input_shape):
        shape = [3, 3, self.filters, input_shape[-1]]
        self.kernel = self.add_weight("kernel", shape, initializer=BilinearMix(self.gain))
        self.bias = self.add_weight("bias", [self.filters], initializer="zeros")
        super().build(input_shape)

    def call(self, inputs):
        is_same, (height, width) = self.padding == "same", map_size(inputs, 1)
        extra = 0 if is_same else 1
        size = [tf.shape(inputs)[0], 2 * height + extra, 2 * width + extra, self.filters]
        kernel = tf.cast(self.kernel, inputs.dtype)
        outputs = tf.nn.conv2d_transpose(inputs, kernel, size, 2, "SAME" if is_same else "VALID")
        outputs = outputs if is_same else outputs[:, 1:, 1:]
        return tf.nn.bias_add(outputs, tf.cast(self.bias, outputs.dtype))
