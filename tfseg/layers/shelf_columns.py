"""The columns of a shelf: maps of several levels, from fine to coarse, which go up or down one after another.

The shelf is that of Zhuang et al. 2018, arXiv:1811.11254; its light form is that of their ICCV Workshops paper of 2019.
"""

import functools

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import Conv2D, ConvBatchNorm
from tfseg.layers.dropout import split_seed
from tfseg.layers.resize import map_size
from tfseg.layers.s_block import EPSILON
from tfseg.layers.transposed_conv import TransposedConv2D

LEAKY = functools.partial(tf.nn.leaky_relu, alpha=0.01)


class UpColumn(keras.layers.Layer):
    """Goes from the coarsest level to the finest: a block at the coarsest, then a step for each finer one.

    Args:
      widths: channels of the levels, from fine to coarse.
      block: (channels, name=) -> `SBlock`.
      step: (channels, name=) -> layer with call (coarse map, lateral map, training, seed).
    Call:
      maps: the levels' maps from fine to coarse, each half the size of the one before.
    Returns:
      The column's maps, in the shapes of the maps that went in.
    """

    def __init__(self, widths, block, step, **kwargs):
        super().__init__(**kwargs)
        self.bottom = block(widths[-1], name="bottom")
        self.steps = [step(width, name=f"step_{level}") for level, width in enumerate(widths[:-1])]

    def call(self, maps, training=False, seed=None):
        *seeds, bottom_seed = split_seed(seed, len(maps))
        found = [self.bottom(maps[-1], training=training, seed=bottom_seed)]
        for step, lateral, step_seed in zip(self.steps[::-1], maps[-2::-1], seeds[::-1], strict=True):
            found.insert(0, step(found[0], lateral, training=training, seed=step_seed))
        return found


class DownColumn(keras.layers.Layer):
    """Goes from the finest level to the coarsest but one: strided convolution, sum with the lateral map, block.

    Args:
      widths: channels of the levels, from fine to coarse.
      block: (channels, name=) -> `SBlock`.
      has_bridge: whether a block, added to its input, comes before the finest level.
      padding: padding mode of the strided convolutions.
    Call:
      maps: the levels' maps from fine to coarse; the coarsest is not read, as the shelf has no edge there.
    Returns:
      The column's maps, and last its strided convolution at the coarsest level, from which the next column starts.
    """

    def __init__(self, widths, block, has_bridge, padding, **kwargs):
        super().__init__(**kwargs)
        self.bridge = block(widths[0], name="bridge") if has_bridge else None
        self.blocks = [block(width, name=f"block_{level}") for level, width in enumerate(widths[:-1])]
        self.reductions = [
            Conv2D(width, 3, 2, padding=padding, use_bias=True, name=f"reduction_{level}")
            for level, width in enumerate(widths[1:], 1)
        ]

    def call(self, maps, training=False, seed=None):
        bridge_seed, *seeds = split_seed(seed, len(maps))
        values = maps[0]
        if self.bridge is not None:
            values += self.bridge(values, training=training, seed=bridge_seed)
        found = []
        for level, (block, reduction) in enumerate(zip(self.blocks, self.reductions, strict=True)):
            values = values + maps[level] if level else values
            found.append(block(values, training=training, seed=seeds[level]))
            values = tf.nn.relu(reduction(found[-1]))
        return [*found, values]


class TransposedStep(keras.layers.Layer):
    """Transposed convolution, sum with the lateral map, block.

    ([batch, h, w, c], [batch, 2 h, 2 w, filters]) -> [batch, 2 h, 2 w, filters].
    """

    def __init__(self, filters, block, padding, **kwargs):
        super().__init__(**kwargs)
        # What comes from below is added to the lateral map, and should not outweigh it at first.
        self.enlargement = TransposedConv2D(filters, padding, gain=0.5, name="enlargement")
        self.block = block(filters, name="block")

    def call(self, coarse, lateral, training=False, seed=None):
        return self.block(self.enlargement(coarse) + lateral, training=training, seed=seed)


class AttentionStep(keras.layers.Layer):
    """The light form's step: attention, nearest neighbours, sum with the lateral map, 3x3 convolution.

    ([batch, h, w, c], [batch, 2 h, 2 w, filters]) -> [batch, 2 h, 2 w, filters].
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.attention = AttentionRefinement(filters, name="attention")
        self.fusion = ConvBatchNorm(filters, 3, activation=LEAKY, epsilon=EPSILON, name="fusion")

    def call(self, coarse, lateral, training=False, seed=None):
        del seed  # nothing is dropped here
        values = self.attention(coarse, training=training)
        values = tf.image.resize(values, [2 * side for side in map_size(values, 1)], "nearest")
        return self.fusion(values + lateral, training=training)


class AttentionRefinement(keras.layers.Layer):
    """Attention refinement (Yu et al. 2018, "BiSeNet", arXiv:1808.00897, Sec. 3.2) after a 3x3 convolution.

    Each channel is multiplied by a number between 0 and 1, which comes from the means of all channels over the image.
    [batch, h, w, c] -> [batch, h, w, filters].
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.conv = ConvBatchNorm(filters, 3, activation=LEAKY, epsilon=EPSILON, name="conv")
        self.gate = ConvBatchNorm(filters, activation="sigmoid", epsilon=EPSILON, name="gate")

    def call(self, inputs, training=False):
        values = self.conv(inputs, training=training)
        means = tf.reduce_mean(tf.cast(values, tf.float32), [1, 2], keepdims=True)  # [batch, 1, 1, filters]
        return values * self.gate(tf.cast(means, values.dtype), training=training)
