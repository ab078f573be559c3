"""The S-block of ShelfNet (Zhuang et al. 2018, arXiv:1811.11254)."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import BatchNorm, Conv2D
from tfseg.layers.dropout import dropout

EPSILON = 1e-5  # batch normalisation's in all parts of a shelf
# A block starts as its input plus a little: a dozen blocks in a row would otherwise multiply the scale of the maps.
INITIAL_RESIDUAL_SCALE = 0.5


class SBlock(keras.layers.Layer):
    """Residual block that uses one 3x3 convolution twice, each time with a batch normalisation of its own.

    relu(x + norm_2(conv(dropout(activation(norm_1(conv(x))))))). Kernel and bias of `conv` are shared within the block,
    not between blocks.

    Args:
      filters: channels of input and output.
      is_shared: whether both uses share the convolution; otherwise the second has a kernel of its own.
      dropout_rate: share of the values between the two uses that are set to zero in training.
      dropout_kind: "spatial" (whole channels of an image) or "element".
      negative_slope: slope below zero of the first activation; 0 is ReLU.
    Call:
      inputs: [batch, h, w, filters].
      seed: [2] int32 seed of the dropout, a new one for each step; None for no dropout.
    Returns:
      [batch, h, w, filters].
    """

    def __init__(
        self, filters, is_shared=True, dropout_rate=0.25, dropout_kind="spatial", negative_slope=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.dropout_rate, self.dropout_kind, self.negative_slope = dropout_rate, dropout_kind, negative_slope
        self.conv = Conv2D(filters, 3, use_bias=True, name="conv")
        self.second_conv = None if is_shared else Conv2D(filters, 3, use_bias=True, name="second_conv")
        self.norm_1 = BatchNorm(epsilon=EPSILON, name="norm_1")
        self.norm_2 = BatchNorm(epsilon=EPSILON, initial_scale=INITIAL_RESIDUAL_SCALE, name="norm_2")

    def call(self, inputs, training=False, seed=None):
        outputs = self.norm_1(self.conv(inputs), training=training)
        outputs = tf.nn.leaky_relu(outputs, self.negative_slope) if self.negative_slope else tf.nn.relu(outputs)
        if training:
            outputs = dropout(outputs, self.dropout_rate, self.dropout_kind, seed)
        outputs = (self.second_conv or self.conv)(outputs)
        return tf.nn.relu(inputs + self.norm_2(outputs, training=training))
