"""A head of two convolutions, as PyTorch's networks have it."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import Conv2D, ConvBatchNorm
from tfseg.layers.dropout import dropout

EPSILON = 1e-5  # PyTorch's default for batch normalisation


def initial_logits():
    """Returns the initialiser of a kernel whose logits start near 0, whatever the scale of its input."""
    return keras.initializers.TruncatedNormal(stddev=0.01)


class ConvHead(keras.layers.Layer):
    """3x3 convolution with batch normalisation, dropout of whole channels, and logits.

    Args:
      num_classes: number of channels of the logits.
      width: channels of the 3x3 convolution; None is a quarter of the input's, as FCN heads have.
      kernel_size: side of the last convolution's kernel.
      use_bias: whether the logits have a bias.
      activation: activation after the batch normalisation.
      dropout_rate: share of the channels that are set to zero in a training step.
    Call:
      inputs: [batch, h, w, channels].
      seed: [2] int32 seed of the dropout, a new one for each step; None for no dropout.
    Returns:
      [batch, h, w, num_classes] float32.
    """

    def __init__(
        self, num_classes, width=None, kernel_size=1, use_bias=True, activation="relu", dropout_rate=0.0, **kwargs
    ):
        super().__init__(**kwargs)
        self.width, self.activation, self.dropout_rate, self.hidden = width, activation, dropout_rate, None
        self.logits = Conv2D(
            num_classes,
            kernel_size,
            use_bias=use_bias,
            initializer=initial_logits(),
            dtype=tf.float32,
            name="logits",
        )

    def build(self, input_shape):
        width = self.width or max(input_shape[-1] // 4, 1)
        self.hidden = ConvBatchNorm(width, 3, activation=self.activation, epsilon=EPSILON, name="hidden")
        super().build(input_shape)

    def call(self, inputs, training=False, seed=None):
        values = self.hidden(inputs, training=training)
        if training:
            values = dropout(values, self.dropout_rate, "spatial", seed)
        return self.logits(tf.cast(values, tf.float32))
