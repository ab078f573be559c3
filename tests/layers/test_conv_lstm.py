"""The ConvLSTM cell against Keras' ConvLSTM2D, and its shortcuts against the plain computation."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv_lstm import ConvLSTMCell


@pytest.mark.parametrize("kernel_size", [1, 3])
def test_cell_equals_keras_convlstm2d_step_by_step(kernel_size):
    filters, channels, steps = 5, 4, 6
    keras.utils.set_random_seed(1)
    cell = ConvLSTMCell(filters, channels, kernel_size=kernel_size)
    cell.bias.assign(tf.random.normal(cell.bias.shape))
    oracle = keras.layers.ConvLSTM2D(
        filters, kernel_size, padding="same", recurrent_activation="sigmoid", return_sequences=True
    )
    inputs = tf.random.normal([2, steps, 6, 7, channels])
    oracle.build(inputs.shape)
    # Keras starts b_f at 1; ours starts it at 0 and adds 1.
    forget = np.repeat([0.0, 1.0, 0.0, 0.0], filters)
    kernel = np.concatenate(cell.kernel.numpy(), -1)
    oracle.set_weights([kernel[:, :, :channels], kernel[:, :, channels:], cell.bias.numpy().ravel() + forget])
    expected = oracle(inputs)

    state = (tf.zeros([2, 6, 7, filters]), tf.zeros([2, 6, 7, filters]))
    for step in range(steps):
        state = cell(inputs[:, step], state)
        np.testing.assert_allclose(state[0], expected[:, step], atol=1e-5)


def test_a_missing_state_or_input_equals_zeros():
    keras.utils.set_random_seed(2)
    cell = ConvLSTMCell(3, 2)
    inputs, zeros = tf.random.normal([1, 4, 4, 2]), tf.zeros([1, 4, 4, 3])
    memory = (tf.random.normal([1, 4, 4, 3]), tf.random.normal([1, 4, 4, 3]))
    for given, plain in (
        (cell(inputs, None), cell(inputs, (zeros, zeros))),
        (cell(None, memory), cell(tf.zeros_like(inputs), memory)),
        (cell(None, None), cell(tf.zeros_like(inputs), (zeros, zeros))),
    ):
        for part, expected in zip(given, plain, strict=True):
            np.testing.assert_allclose(tf.broadcast_to(part, [1, 4, 4, 3]), expected, atol=1e-6)


@pytest.mark.parametrize("has_invariant", [False, True], ids=["of their own", "with features"])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_exported_operations_compute_the_same(kernel_size, has_invariant):
    keras.utils.set_random_seed(3)
    cell = ConvLSTMCell(3, 2, kernel_size=kernel_size)
    cell.bias.assign(tf.random.normal(cell.bias.shape))
    inputs, memory = tf.random.normal([1, 4, 5, 2]), (tf.random.normal([1, 4, 5, 3]), tf.random.normal([1, 4, 5, 3]))
    invariant = [tf.random.normal([1, 4, 5, 3]) for _ in range(4)] if has_invariant else None
    calls = [(inputs, memory), (inputs, None), (None, memory), (None, None)]
    expected = [cell(*given, invariant) for given in calls]
    cell.is_exported = True
    for given, parts in zip(calls, expected, strict=True):
        for part, wanted in zip(cell(*given, invariant), parts, strict=True):
            np.testing.assert_allclose(part, wanted, atol=1e-5)


def test_forget_gate_starts_half_open_towards_remembering():
    cell = ConvLSTMCell(1, 1)
    cell.kernel.assign(tf.zeros_like(cell.kernel))
    _, memory = cell(tf.zeros([1, 1, 1, 1]), (tf.zeros([1, 1, 1, 1]), tf.ones([1, 1, 1, 1])))
    # All gates see 0, so c' = sigmoid(0 + 1.0) * 1 + sigmoid(0) * tanh(0) = 0.7311
    np.testing.assert_allclose(memory, [[[[0.7310586]]]], atol=1e-6)
