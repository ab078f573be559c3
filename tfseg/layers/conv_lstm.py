"""Convolutional LSTM cell."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.projection import glorot_normal

FORGET_BIAS = 1.0


class ConvLSTMCell(keras.layers.Layer):
    """One convolutional LSTM layer without peepholes (Shi et al. 2015, arXiv:1506.04214, Sec. 3.1).

    i, f, o = sigmoid, g = tanh of W.[x, h] + b in the order i, f, g, o; 1.0 is added to f;
    c' = f * c + i * g; h' = o * tanh(c').

    The products with x and with h are one convolution over their concatenation. Each gate has its own: what follows
    it then reads a tensor that is still in the cache, and no product has to be cut in four. Whatever does not change
    between steps is not multiplied here: its product with its own kernel (`FeatureProjection`) is added as `invariant`.

    Args:
      filters: maps of c and h.
      input_channels: channels of x, the changing part of the input.
      invariant_channels: channels behind `invariant`; only the initialiser asks.
      kernel_size: side of the kernel.

    Attributes:
      as_matrix_products: whether a 1x1 kernel multiplies positions as a matrix, which is TensorFlow's faster way. Other
        programs are better served with convolutions.
    """

    def __init__(self, filters, input_channels, invariant_channels=0, kernel_size=1, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.filters, self.input_channels, self.kernel_size = filters, input_channels, kernel_size
        self.as_matrix_products = kernel_size == 1
        fan_in = kernel_size**2 * (input_channels + filters) + invariant_channels
        shape = [4, kernel_size, kernel_size, input_channels + filters, filters]
        initializer = glorot_normal(fan_in, kernel_size**2 * 4 * filters)
        self.kernel = self.add_weight("kernel", shape, initializer=initializer)
        self.bias = self.add_weight("bias", [4, filters], initializer="zeros", experimental_autocast=False)

    def gate_bias(self):
        """[4, filters] bias of the gates, with the forget gate's offset."""
        return self.bias + tf.constant([[0.0], [FORGET_BIAS], [0.0], [0.0]])

    def call(self, inputs, state, invariant=None):
        """One step.

        Args:
          inputs: [batch, h, w, input_channels], or None for zeros (the product is skipped).
          state: (h, c), each [batch, h, w, filters] float32, or None for zeros (the products are skipped).
          invariant: for each gate the [batch, h, w, filters] float32 product with the unchanging input, `gate_bias`
            included; or None.
        Returns:
          The new (h, c), float32.
        """
        if not self.as_matrix_products or (inputs is None and state is None):
            return self._step(inputs, state, invariant)
        # With a matrix product of positions TensorFlow fuses bias and sigmoid, with a convolution the bias alone.
        shape = _shape(inputs if state is None else state[0])[:3]
        flat = tf.nest.map_structure(_positions, (inputs, state, invariant))
        return tuple(tf.reshape(part, [*shape, self.filters]) for part in self._step(*flat))

    def _step(self, inputs, state, invariant):
        """`call`, on maps or on positions."""
        gate_i, gate_f, gate_g, gate_o = self._gates(inputs, state, invariant)
        cell = tf.sigmoid(gate_i) * tf.tanh(gate_g)
        if state is not None:
            cell += tf.sigmoid(gate_f) * state[1]
        return tf.sigmoid(gate_o) * tf.tanh(cell), cell

    def _gates(self, inputs, state, invariant):
        """Four tensors, before their sigmoids and tanh."""
        biases = tf.unstack(self.gate_bias()) if invariant is None else invariant
        if inputs is None and state is None:
            return biases
        kernel = tf.cast(self.kernel, self.compute_dtype)
        if state is None:
            kernel, values = kernel[:, :, :, : self.input_channels], inputs
        elif inputs is None:
            kernel, values = kernel[:, :, :, self.input_channels :], state[0]
        else:
            values = tf.concat([inputs, state[0]], axis=-1)
        values = tf.cast(values, self.compute_dtype)
        products = (tf.cast(_product(values, gate), tf.float32) for gate in tf.unstack(kernel))
        # What TensorFlow fuses is bias_add, not an addition.
        add = tf.nn.bias_add if invariant is None else tf.add
        return [add(product, bias) for product, bias in zip(products, biases, strict=True)]


def _product(values, kernel):
    """A convolution of maps; of positions [count, channels] the matrix product with a 1x1 kernel."""
    if values.shape.rank == 2:
        return tf.matmul(values, tf.reshape(kernel, kernel.shape[2:]))
    return tf.nn.conv2d(values, kernel, 1, "SAME")


def _positions(values):
    """[batch, h, w, channels] -> [batch * h * w, channels]; None stays None."""
    return None if values is None else tf.reshape(values, [-1, values.shape[-1]])


def _shape(values):
    dynamic = tf.shape(values)
    return [dynamic[axis] if length is None else length for axis, length in enumerate(values.shape)]
