"""Deformable convolution, in operations that every exporter knows."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import Conv2D
from tfseg.layers.resize import shape_of
from tfseg.layers.sampling import bilinear_sample


class DeformableConv2D(keras.layers.Layer):
    """3x3 convolution that reads its inputs at learned offsets.

    It is version 2 (Zhu et al. 2019, "Deformable ConvNets v2", arXiv:1811.11168, Sec. 3.2), or version 1 without
    modulation (Dai et al. 2017, arXiv:1703.06211): at position p, tap k reads the input at p + p_k + offset_k(p),
    bilinearly, 0 outside the map, times modulation_k(p). Offsets and modulations come from a 3x3 convolution of the
    input that starts at zero, so that a new layer is half the plain convolution (a modulation is a sigmoid).

    Args:
      filters: output channels.
      has_modulation: whether taps are weighed.
    Input [batch, h, w, channels] -> [batch, h, w, filters]. Weights: `kernel` [3, 3, channels, filters], and `offsets`,
    a `Conv2D` with 27 (18) channels: two for every tap (down, across), then one modulation for every tap.
    """

    def __init__(self, filters, has_modulation=True, **kwargs):
        super().__init__(**kwargs)
        self.filters, self.has_modulation = filters, has_modulation
        self.offsets = Conv2D(27 if has_modulation else 18, 3, use_bias=True, initializer="zeros", name="offsets")

    def build(self, input_shape):
        shape = [3, 3, input_shape[-1], self.filters]
        self.kernel = self.add_weight("kernel", shape, initializer="he_normal")
        super().build(input_shape)

    def call(self, inputs):
        read = bilinear_sample(inputs, *self.places(inputs))  # [batch, h * w * 9, channels]
        channels = inputs.shape[-1]
        read = tf.reshape(read, [*shape_of(inputs)[:3], 9 * channels])
        kernel = tf.reshape(tf.cast(self.kernel, inputs.dtype), [1, 1, 9 * channels, self.filters])
        return tf.nn.conv2d(read, kernel, 1, "VALID")

    def places(self, inputs):
        """Returns where the taps read: rows, columns and modulations (perhaps None), [batch, h * w * 9] float32."""
        batch, height, width, _ = shape_of(inputs)
        found = tf.cast(self.offsets(inputs), tf.float32)  # [batch, h, w, 27]
        offset = tf.reshape(found[..., :18], [batch, height, width, 9, 2])
        taps = np.float32([(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)])
        offset += taps
        rows = offset[..., 0] + tf.reshape(tf.range(height, dtype=tf.float32), [1, -1, 1, 1])
        columns = offset[..., 1] + tf.reshape(tf.range(width, dtype=tf.float32), [1, 1, -1, 1])
        flat = [batch, height * width * 9]
        modulations = tf.reshape(tf.sigmoid(found[..., 18:]), flat) if self.has_modulation else None
        return tf.reshape(rows, flat), tf.reshape(columns, flat), modulations
