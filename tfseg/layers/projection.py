"""Projection of feature maps of several strides onto one grid."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.resize import upsample


def glorot_normal(fan_in, fan_out):
    """Glorot-normal initialiser for a kernel that is part of a wider product (Keras would count only the part)."""
    # A standard normal cut off at two deviations has a deviation of 0.8796; Keras divides by it as well.
    return keras.initializers.TruncatedNormal(stddev=(2 / (fan_in + fan_out)) ** 0.5 / 0.87962566103423978)


class FeatureProjection(keras.layers.Layer):
    """Sum of linear projections of feature maps, on the grid of one stride.

    A map coarser than the grid is projected, then enlarged (projection and bilinear resizing commute, and projecting
    the small map is cheaper). A finer map is projected by a convolution whose kernel side and stride are the ratio of
    the two strides. With symmetric padding that convolution is centred on the positions of the grid at every size.

    Args:
      filters: output channels.
      strides: stride of each feature map, a multiple or a divisor of `grid_stride`.
      grid_stride: stride of the result.
      padding: padding mode of the strided convolutions that computed the features, see `upsample`.
      fan_in_extra: channels of further inputs whose products are added to the result elsewhere; only the initialiser
        uses it.
    Call:
      features: list of [batch, ceil(H / stride), ceil(W / stride), channels].
      size: (height, width) of the result, ceil(H / grid_stride) and ceil(W / grid_stride).
    Returns:
      [batch, *size, filters], float32.
    """

    def __init__(self, filters, strides, grid_stride, padding="same", fan_in_extra=0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.filters, self.grid_stride, self.padding = filters, grid_stride, padding
        self.fan_in_extra = fan_in_extra
        self.strides, self.ratios = strides, [max(grid_stride // stride, 1) for stride in strides]

    def build(self, input_shape):
        shapes = [
            [ratio, ratio, shape[-1], self.filters] for ratio, shape in zip(self.ratios, input_shape, strict=True)
        ]
        fan_in = sum(height * width * channels for height, width, channels, _ in shapes) + self.fan_in_extra
        self.kernels = [
            self.add_weight(f"kernel_stride_{stride}", shape, initializer=glorot_normal(fan_in, self.filters))
            for stride, shape in zip(self.strides, shapes, strict=True)
        ]

    def call(self, features, size):
        total = None
        for values, kernel, stride, ratio in zip(features, self.kernels, self.strides, self.ratios, strict=True):
            values, kernel = tf.cast(values, self.compute_dtype), tf.cast(kernel, self.compute_dtype)
            if ratio > 1 and self.padding == "symmetric":
                margin = [(ratio - 1) // 2, ratio - 1]
                values = tf.pad(values, [[0, 0], margin, margin, [0, 0]])
                projected = tf.nn.conv2d(values, kernel, ratio, "VALID")[:, : size[0], : size[1]]  # [b, *size, filters]
            else:
                projected = tf.nn.conv2d(values, kernel, ratio, "SAME")
            projected = tf.cast(projected, tf.float32)
            if stride > self.grid_stride:
                projected = upsample(projected, size, stride // self.grid_stride, self.padding)
            total = projected if total is None else total + projected
        return total
