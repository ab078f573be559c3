"""Graphs whose shapes are made known, so that they can be counted."""

import pytest
import tensorflow as tf

from tests.export.toy_exports import kernel
from tfseg.profiling import flops, frozen_graph

IMAGE = [1, 4, 4, 8]


def traced(run):
    return tf.function(run).get_concrete_function(tf.TensorSpec(IMAGE))


def test_variables_in_functions_of_open_size_count():
    weights = tf.Variable(kernel(3, 3, 8, 5))

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 8])])
    def inner(x):
        return tf.nn.conv2d(x, weights, 1, "SAME")

    frozen = frozen_graph.freeze(traced(lambda x: tf.nn.relu(inner(x))))
    assert sum(operation.macs for operation in flops.count(frozen)) == 16 * 9 * 8 * 5
    # The image and its convolution; the kernel is not an activation.
    assert frozen_graph.peak_activation_bytes(frozen) == 4 * 16 * (8 + 5)


def in_loop(body):
    """Three trips."""

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 8]), tf.TensorSpec([], tf.int32)])
    def inner(x, limit):
        invariants = (tf.TensorShape([]), tf.TensorShape([None, None, None, 8]))
        return tf.while_loop(lambda i, _: i < limit, lambda i, x: (i + 1, body(x)), (0, x), invariants)[1]

    return traced(lambda x: inner(x, tf.constant(3)))


def test_a_variable_in_a_loop_of_open_size_counts_with_its_trips():
    weights = tf.Variable(kernel(3, 3, 8, 8))
    frozen = frozen_graph.freeze(in_loop(lambda x: tf.nn.conv2d(x, weights, 1, "SAME")))
    assert [(op.macs, op.executions) for op in flops.count(frozen) if op.macs] == [(3 * 16 * 9 * 8 * 8, 3)]


def test_memory_inside_a_loop_counts_without_its_weights():
    weights = tf.Variable(kernel(3, 3, 8, 40)), tf.Variable(kernel(3, 3, 40, 8))

    def body(x):
        return tf.nn.conv2d(tf.nn.conv2d(x, weights[0], 1, "SAME"), weights[1], 1, "SAME")

    peak = frozen_graph.peak_activation_bytes(frozen_graph.freeze(in_loop(body)))
    # The wide map with its input or its result, and the loop's few numbers.
    assert 4 * 16 * (40 + 8) <= peak <= 4 * 16 * (40 + 8 + 8) + 100


def test_a_loop_that_changes_a_shape_is_an_error():
    with pytest.raises(ValueError, match="this loop changes a shape, from .1, 4, 4, 8. to .1, 8, 4, 8."):
        frozen_graph.freeze(in_loop(lambda x: tf.concat([x, x], 1)))
