"""Pooling over several scales of context: the atrous pyramid (ASPP) and the spatial pyramid (PSPNet)."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import ConvBatchNorm, SeparableConvBatchNorm
from tfseg.layers.resize import resize_bilinear

EPSILON = 1e-5  # batch normalisation's epsilon in DeepLab's head, whose checkpoints load here


class AtrousSpatialPyramid(keras.layers.Layer):
    """Atrous spatial pyramid pooling, ASPP (Chen et al. 2017, arXiv:1706.05587, Sec. 3.3).

    The branches are a 1x1 convolution, a dilated 3x3 convolution per rate, and the pooled image. They are concatenated
    and projected. Every branch and the projection have `filters` channels, batch normalisation and ReLU. Sub-layers
    carry the scope names of DeepLab's checkpoints, and the concatenation keeps the order used there: image pooling,
    1x1, then the rates.

    Args:
      filters: channels of every branch and of the result.
      rates: dilations of the 3x3 convolutions; empty for the mobile form.
      is_separable: whether each 3x3 convolution is split into a depthwise and a 1x1 one (DeepLabv3+, arXiv:1802.02611,
        Sec. 3.1).
    Input [batch, h, w, channels] -> [batch, h, w, filters].
    """

    def __init__(self, filters, rates, is_separable=False, **kwargs):
        super().__init__(**kwargs)
        convolution = SeparableConvBatchNorm if is_separable else ConvBatchNorm
        self.image_pooling = ConvBatchNorm(filters, epsilon=EPSILON, name="image_pooling")
        self.branches = [ConvBatchNorm(filters, epsilon=EPSILON, name="aspp0")] + [
            convolution(filters, 3, dilation=rate, epsilon=EPSILON, name=f"aspp{index}")
            for index, rate in enumerate(rates, 1)
        ]
        self.projection = ConvBatchNorm(filters, epsilon=EPSILON, name="concat_projection")

    def call(self, inputs, training=False):
        pooled = tf.reduce_mean(tf.cast(inputs, tf.float32), [1, 2], keepdims=True)  # [batch, 1, 1, channels]
        pooled = self.image_pooling(tf.cast(pooled, inputs.dtype), training=training)  # [batch, 1, 1, filters]
        branches = [branch(inputs, training=training) for branch in self.branches]
        branches.insert(0, tf.broadcast_to(pooled, tf.shape(branches[0])))  # each [batch, h, w, filters]
        # The concatenation is [batch, h, w, len(branches) * filters].
        return self.projection(tf.concat(branches, -1), training=training)

    def convolutions(self):
        """{scope in DeepLab's checkpoints: ConvBatchNorm}."""
        found = {}
        for layer in (self.image_pooling, *self.branches, self.projection):
            if isinstance(layer, SeparableConvBatchNorm):
                found |= {f"{layer.name}_{part.name}": part for part in (layer.depthwise, layer.pointwise)}
            else:
                found[layer.name] = layer
        return found


class SpatialPyramid(keras.layers.Layer):
    """Pyramid pooling (Zhao et al. 2017, arXiv:1612.01105, Sec. 3.2).

    Each level averages the map over a grid of bins x bins cells, reduces it by a 1x1 convolution with batch
    normalisation and ReLU, and enlarges it bilinearly. The levels' channels are appended to those of the map.

    Args:
      filters: channels of each level.
      bins: cells along a side of the grid, one number per level.
    Input [batch, h, w, channels], h and w at least 1 -> [batch, h, w, channels + len(bins) * filters].
    """

    def __init__(self, filters, bins, **kwargs):
        super().__init__(**kwargs)
        self.bins = bins
        self.levels = [ConvBatchNorm(filters, name=f"level_{count}") for count in bins]

    def call(self, inputs, training=False):
        size, outputs = tf.shape(inputs)[1:3], [inputs]
        for count, level in zip(self.bins, self.levels, strict=True):
            reduced = level(average_bins(inputs, count), training=training)  # [batch, count, count, filters]
            outputs.append(tf.cast(resize_bilinear(reduced, size), inputs.dtype))  # [batch, h, w, filters]
        static = [*inputs.shape[:3], inputs.shape[3] + sum(layer.conv.filters for layer in self.levels)]
        return tf.ensure_shape(tf.concat(outputs, -1), static)


def average_bins(inputs, count):
    """Averages a map over a grid that covers it: [batch, h, w, channels] -> [batch, count, count, channels].

    Cell i spans rows floor(i * h / count) to ceil((i + 1) * h / count), the last one excluded; columns likewise.
    Neighbouring cells share a row if h is not a multiple of `count`, and maps smaller than the grid repeat rows.
    """
    means = tf.cast(inputs, tf.float32)
    for axis in (1, 2):
        length = means.shape[axis] if means.shape[axis] is not None else tf.shape(means)[axis]
        cells = []
        for index in range(count):
            first, last = index * length // count, ((index + 1) * length + count - 1) // count
            cells.append(tf.reduce_mean(means[:, first:last] if axis == 1 else means[:, :, first:last], axis))
        means = tf.stack(cells, axis)  # [batch, count, w, channels], then [batch, count, count, channels]
    return tf.cast(means, inputs.dtype)
