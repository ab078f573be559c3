"""Convolutional LSTM cell."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.projection import glorot_normal
from tfseg.layers.resize import shape_of

FORGET_BIAS = 1.0


class ConvLSTMCell(keras.layers.Layer):
    """One convolutional LSTM layer without peepholes (Shi et al. 2015, arXiv:1506.04214, Sec. 3.1).

    The gates W.[x, h] + b are in the order i, f, g, o, and 1.0 is added to f. Then i, f and o go through a sigmoid, and
    g through tanh: c' = f * c + i * g; h' = o * tanh(c').

    For each gate, one convolution over the concatenation of x and h computes the products with both. With a convolution
    per gate, the operation after it reads a tensor that is still in the cache, and no product has to be split in four.
    Interpreters of exported files are faster with one convolution for all gates if the kernel is larger than 1x1.
    Inputs that do not change between steps are not multiplied here: their product with a kernel of their own
    (`FeatureProjection`) is added as `invariant`.

    Args:
      filters: channels of c and h.
      input_channels: channels of x, the changing part of the input.
      invariant_channels: channels of the inputs that `invariant` was computed from; only the initialiser uses it.
      kernel_size: side of the kernel.

    Attributes:
      is_exported: whether a graph for another program is traced: one convolution for all gates, or one for each if the
        kernel is 1x1. In TensorFlow itself, one matrix product over all positions is faster for a 1x1 kernel, and one
        convolution for each gate for larger ones. The function is the same.
    """

    def __init__(self, filters, input_channels, invariant_channels=0, kernel_size=1, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.filters, self.input_channels, self.kernel_size = filters, input_channels, kernel_size
        self.is_exported = False
        fan_in = kernel_size**2 * (input_channels + filters) + invariant_channels
        shape = [4, kernel_size, kernel_size, input_channels + filters, filters]
        initializer = glorot_normal(fan_in, kernel_size**2 * 4 * filters)
        self.kernel = self.add_weight("kernel", shape, initializer=initializer)
        self.bias = self.add_weight("bias", [4, filters], initializer="zeros", experimental_autocast=False)

    def gate_bias(self):
        """Returns the [4, filters] biases of the gates, the forget gate's offset included."""
        return self.bias + tf.constant([[0.0], [FORGET_BIAS], [0.0], [0.0]])

    def call(self, inputs, state, invariant=None):
        """Runs one step.

        Args:
          inputs: [batch, h, w, input_channels], or None for zeros (the product is skipped).
          state: (h, c), each [batch, h, w, filters] float32, or None for zeros (the products are skipped).
          invariant: four [batch, h, w, filters] float32 products with the unchanging input, one per gate, with
            `gate_bias` included; or None.
        Returns:
          The new (h, c), float32.
        """
        if self.is_exported or self.kernel_size > 1 or (inputs is None and state is None):
            return self._step(inputs, state, invariant)
        # TensorFlow fuses bias and sigmoid into a matrix product, but only the bias into a convolution.
        shape = shape_of(inputs if state is None else state[0])[:3]
        flat = tf.nest.map_structure(_positions, (inputs, state, invariant))  # each [batch * h * w, channels]
        # Two of [batch, h, w, filters]
        return tuple(tf.reshape(part, [*shape, self.filters]) for part in self._step(*flat))

    def _step(self, inputs, state, invariant):
        """Computes `call` on maps [batch, h, w, channels] or on positions [batch * h * w, channels]."""
        gate_i, gate_f, gate_g, gate_o = self._gates(inputs, state, invariant)
        cell = tf.sigmoid(gate_i) * tf.tanh(gate_g)
        if state is not None:
            cell += tf.sigmoid(gate_f) * state[1]
        return tf.sigmoid(gate_o) * tf.tanh(cell), cell

    def _gates(self, inputs, state, invariant):
        """Returns the four gates [..., filters], before their sigmoids and tanh."""
        biases = tf.unstack(self.gate_bias()) if invariant is None else invariant  # four of [filters] or [..., filters]
        if inputs is None and state is None:
            return biases
        kernel = tf.cast(self.kernel, self.compute_dtype)
        if state is None:
            kernel, values = kernel[:, :, :, : self.input_channels], inputs
        elif inputs is None:
            kernel, values = kernel[:, :, :, self.input_channels :], state[0]
        else:
            values = tf.concat([inputs, state[0]], axis=-1)  # [..., input_channels + filters]
        values = tf.cast(values, self.compute_dtype)
        if self.is_exported and self.kernel_size > 1:
            return _gates_of_one_product(values, kernel, biases)
        # tf.unstack gives each gate's kernel, [kernel_size, kernel_size, channels of values, filters].
        products = (tf.cast(_product(values, gate), tf.float32) for gate in tf.unstack(kernel))
        # TensorFlow fuses bias_add, but not a plain addition.
        add = tf.nn.bias_add if invariant is None else tf.add
        return [add(product, bias) for product, bias in zip(products, biases, strict=True)]


def _gates_of_one_product(values, kernel, biases):
    """Computes the four gates by one convolution; `biases` are four of [filters] or [batch, h, w, filters]."""
    product = tf.cast(tf.nn.conv2d(values, tf.concat(tf.unstack(kernel), -1), 1, "SAME"), tf.float32)
    if biases[0].shape.rank == 1:
        return tf.split(tf.nn.bias_add(product, tf.concat(biases, 0)), 4, -1)
    return [gate + bias for gate, bias in zip(tf.split(product, 4, -1), biases, strict=True)]


def _product(values, kernel):
    """Convolves maps, or multiplies positions [count, channels] by a 1x1 kernel as a matrix."""
    if values.shape.rank == 2:
        return tf.matmul(values, tf.reshape(kernel, kernel.shape[2:]))  # [count, filters]
    return tf.nn.conv2d(values, kernel, 1, "SAME")


def _positions(values):
    """[batch, h, w, channels] -> [batch * h * w, channels]; None stays None."""
    return None if values is None else tf.reshape(values, [-1, values.shape[-1]])
