"""What a network costs, counted by TensorFlow's profiler on the graph that runs."""

import contextlib

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2_as_graph

# Operations that multiply and accumulate; the profiler counts two FLOPs for each such pair.
MAC_OPERATIONS = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul", "BatchMatMul", "BatchMatMulV2")


def executed_gmacs(network, size, iterations) -> list[float]:
    """10^9 multiply-accumulates of one image after 1, 2, ..., `iterations` iterations, as executed.

    That is with the features' products hoisted and with the products of the zero state skipped in the first iteration.
    From the second iteration on each costs the same.

    Args:
      network: has `encode` and `refine`; a feed-forward network has one entry.
      size: (height, width) of the image.
    """
    counts = [_gmacs(network, size, count) for count in ((1, 2) if network.is_recurrent and iterations > 1 else (1,))]
    return [counts[0] + index * (counts[-1] - counts[0]) for index in range(iterations if network.is_recurrent else 1)]


def _gmacs(network, size, iterations):
    def run(image):
        features, state = network.encode(image, training=False), None
        for _ in range(iterations):
            state = network.refine(features, state)
        return state["canvas"]

    # Shapes must be static: the profiler counts an operation of unknown shape as nothing.
    function = tf.function(run).get_concrete_function(tf.TensorSpec([1, *size, 3], tf.float32))
    graph_def = convert_variables_to_constants_v2_as_graph(function)[1]
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(graph_def, name="")
        options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
        options |= {"output": "none"}
        with _deprecation_silenced():
            profile = tf.compat.v1.profiler.profile(graph, cmd="op", options=options)
    return _macs(profile.children) / 1e9


@contextlib.contextmanager
def _deprecation_silenced():
    """The profiler's own registry calls a deprecated function, and says so."""
    level = tf.get_logger().level
    tf.get_logger().setLevel("ERROR")
    try:
        yield
    finally:
        tf.get_logger().setLevel(level)


def _macs(nodes):
    """The profiler's "op" view is a chain: each kind of operation is a child of the one before."""
    return sum((node.float_ops // 2 if node.name in MAC_OPERATIONS else 0) + _macs(node.children) for node in nodes)
