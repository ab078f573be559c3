"""Convolutional LSTM cell."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.projection import glorot_normal

FORGET_BIAS = 1.0


class ConvLSTMCell(keras.layers.Layer):
    """One convolutional LSTM layer without peepholes (Shi et al. 2015, arXiv:1506.04214, Sec. 3.1).

    i, f, o = sigmoid, g = tanh of W.[x, h] + b in the order i, f, g, o; 1.0 is added to f;
    c' = f * c + i * g; h' = o * tanh(c').

    The product with x and with h is one convolution over their concatenation. Whatever does not change between steps
    is not multiplied here: its product with its own kernel (`FeatureProjection`) is added as `invariant`.

    Args:
      filters: maps of c and h.
      input_channels: channels of x, the changing part of the input.
      invariant_channels: channels behind `invariant`; only the initialiser asks.
      kernel_size: side of the kernel.
    """

    def __init__(self, filters, input_channels, invariant_channels=0, kernel_size=1, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.filters, self.input_channels, self.kernel_size = filters, input_channels, kernel_size
        fan_in = kernel_size**2 * (input_channels + filters) + invariant_channels
        shape = [kernel_size, kernel_size, input_channels + filters, 4 * filters]
        initializer = glorot_normal(fan_in, kernel_size**2 * 4 * filters)
        self.kernel = self.add_weight("kernel", shape, initializer=initializer)
        self.bias = self.add_weight("bias", [4 * filters], initializer="zeros", experimental_autocast=False)

    def gate_bias(self):
        """[4 * filters] bias with the forget gate's offset."""
        offset = tf.constant([0.0, FORGET_BIAS, 0.0, 0.0])
        return self.bias + tf.repeat(offset, self.filters)

    def call(self, inputs, state, invariant=None):
        """One step.

        Args:
          inputs: [batch, h, w, input_channels], or None for zeros (the product is skipped).
          state: (h, c), each [batch, h, w, filters] float32, or None for zeros (the products are skipped).
          invariant: [batch, h, w, 4 * filters] float32 product of the unchanging input, `gate_bias` included, or None.
        Returns:
          The new (h, c), float32.
        """
        gates = self._gates(inputs, state)
        if invariant is None:
            invariant = self.gate_bias()
        gates = invariant if gates is None else gates + invariant
        gate_i, gate_f, gate_g, gate_o = tf.split(gates, 4, axis=-1)
        cell = tf.sigmoid(gate_i) * tf.tanh(gate_g)
        if state is not None:
            cell += tf.sigmoid(gate_f) * state[1]
        return tf.sigmoid(gate_o) * tf.tanh(cell), cell

    def _gates(self, inputs, state):
        kernel = tf.cast(self.kernel, self.compute_dtype)
        if inputs is None and state is None:
            return None
        if state is None:
            kernel, values = kernel[:, :, : self.input_channels], inputs
        elif inputs is None:
            kernel, values = kernel[:, :, self.input_channels :], state[0]
        else:
            values = tf.concat([inputs, state[0]], axis=-1)
        product = tf.nn.conv2d(tf.cast(values, self.compute_dtype), kernel, 1, "SAME")
        return tf.cast(product, tf.float32)
