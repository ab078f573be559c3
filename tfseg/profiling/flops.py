"""What a network costs, counted by TensorFlow's own statistics on the graph that runs.

Two units are used and never mixed: GMACs are 10^9 multiply-accumulates of convolutions and matrix products. GFLOPs are
10^9 floating point operations as TensorFlow's profiler counts them: 2 for a multiply-accumulate, plus those of every
other operation that it knows (additions, products, pooling, but neither sigmoid nor resizing).
"""

import dataclasses

import tensorflow as tf
from tensorflow.python.framework import ops
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph

from tfseg.layers.conv import dilation_by_space_to_batch
from tfseg.system.native_output import silenced_stderr

# Operations whose FLOPs come in pairs of a multiplication and an addition.
MAC_OPERATIONS = frozenset(
    ("Conv2D", "Conv2DBackpropInput", "Conv3D", "DepthwiseConv2dNative", "MatMul", "BatchMatMul", "BatchMatMulV2")
)
# Products for which TensorFlow has no statistic: they would count as 0.
UNCOUNTED = frozenset(
    ("Einsum", "BatchMatMulV3", "XlaCallModule", "XlaLaunch", "_FusedConv2D", "_FusedMatMul", "SparseTensorDenseMatMul")
)
CALLS, LOOPS, BRANCHES = (
    ("PartitionedCall", "StatefulPartitionedCall"),
    ("While", "StatelessWhile"),
    ("If", "StatelessIf", "Case", "StatelessCase"),
)
# Operations whose result shares their input's memory.
ALIASES = ("Identity", "Reshape", "Squeeze", "ExpandDims", "ReadVariableOp", "StopGradient")
# Loops are followed for at most this many trips, and integer tensors up to this many elements.
MAX_TRIPS, MAX_ELEMENTS = 10_000, 1024


@dataclasses.dataclass(frozen=True)
class Operation:
    """One operation of the graph.

    Attributes:
      name: name in the graph; inside a called function or a loop's body it begins with the caller's name.
      kind: TensorFlow's name for the operation, e.g. "Conv2D".
      flops: FLOPs as TensorFlow counts them, over all executions.
      executions: how often the operation runs: the trips of the loops around it.
    """

    name: str
    kind: str
    flops: int
    executions: int

    @property
    def macs(self) -> int:
        """Multiply-accumulates over all executions; 0 unless the operation is a convolution or matrix product."""
        return self.flops // 2 if self.kind in MAC_OPERATIONS else 0


def count(function) -> list[Operation]:
    """Returns the operations of a concrete function that cost something in TensorFlow's statistics.

    Called functions are included. A loop's body counts as often as it runs; the number of trips must follow from
    constants. If there are several branches, the most expensive one counts.

    Args:
      function: tf.ConcreteFunction with static shapes.
    Raises:
      ValueError: the cost of an operation cannot be counted: a product of unknown shape or without a statistic, or a
        loop whose number of trips is not known.
    """
    return _count_graph(function.graph, {}, "", 1)


def gmacs(operations) -> float:
    """Returns the sum of the operations' multiply-accumulates, in 10^9."""
    return sum(operation.macs for operation in operations) / 1e9


def gflops(operations) -> float:
    """Returns the sum of the operations' FLOPs as TensorFlow counts them, in 10^9."""
    return sum(operation.flops for operation in operations) / 1e9


def trace(network, size, iterations, from_zeros=False):
    """Returns the concrete function from one image to the last canvas, unrolled, with static shapes.

    Args:
      network: has `encode` and `refine`.
      size: (height, width) of the image.
      iterations: number of iterations of a recurrent network; 1 for other networks.
      from_zeros: whether a network that keeps a state starts from tensors of zeros, which cost what the state of the
        frame before does, instead of from the state None.
    """

    def run(image):
        features = network.encode(image, training=False)
        state = _zeros(network, features) if from_zeros and network.state_spec() else None
        for _ in range(iterations):
            state = network.refine(features, state)
        return state["canvas"]

    return tf.function(run).get_concrete_function(tf.TensorSpec([1, *size, 3], tf.float32))


def _zeros(network, features):
    start = network.initial_state(features)
    if "error" in network.start_spec():
        start["error"] = tf.zeros_like(start["canvas"][..., :1])
    return network.gated(features, start)


def executed_gmacs(network, size, iterations) -> list[float]:
    """Returns the executed 10^9 multiply-accumulates of one image after 1, 2, ..., `iterations` iterations.

    The features' products are hoisted, and the first iteration skips the products of the zero state.

    Args:
      network: has `encode` and `refine`; a feed-forward network has one entry.
      size: (height, width) of the image.
      iterations: largest number of iterations.
    """
    return _by_iteration(network, iterations, lambda n: gmacs(count(trace(network, size, n))))


def tensorflow_gflops(network, size, iterations, is_seeded=False) -> list[float]:
    """Returns 10^9 FLOPs as TensorFlow's profiler counts all operations it knows; arguments as in `executed_gmacs`.

    Pass a network with `hoist=False`, so that the function is counted as the papers write it down. The zero state is
    multiplied like any other state, so that a recurrent network costs the same if a frame is seeded, which is to say
    starts from the one before.
    """
    from_zeros = is_seeded or network.starts_from_zeros
    return _by_iteration(network, iterations, lambda n: gflops(count(trace(network, size, n, from_zeros))))


def published_gmacs(network, size, iterations, is_seeded=False) -> list[float]:
    """Returns 10^9 multiply-accumulates in the convention of the papers' tables; arguments as in `executed_gmacs`.

    They are half of TensorFlow's count on a graph whose dilated convolutions run between SpaceToBatchND and
    BatchToSpaceND, on maps padded to a multiple of the dilation. Pass a network with `hoist=False`.
    """
    with dilation_by_space_to_batch():
        return [value / 2 for value in tensorflow_gflops(network, size, iterations, is_seeded)]


def _by_iteration(network, iterations, cost):
    """Returns [cost(1), ..., cost(iterations)]; counts only two, as all iterations from the second on cost the same."""
    if not network.is_recurrent:
        return [cost(1)]
    counts = [cost(number) for number in range(1, min(iterations, 2) + 1)]
    return [counts[0] + index * (counts[-1] - counts[0]) for index in range(iterations)]


def peak_activation_bytes(function) -> int:
    """Returns the largest total size of tensors that are live at one moment, without weights.

    It is computed, not measured: operations run in the graph's order, a tensor lives from its creation to its last use,
    and a tensor that shares another one's memory under a new shape costs nothing. Buffers inside kernels are not
    counted. Operations inside called functions and loops are not examined.
    """
    operations = [op for op in function.graph.get_operations() if op.type != "Const"]
    owner, last_use = {}, {}
    for moment, op in enumerate(operations):
        for tensor in op.inputs:
            last_use[owner.get(tensor.ref(), tensor.ref())] = moment
        if op.type in ALIASES and op.inputs:
            owner[op.outputs[0].ref()] = owner.get(op.inputs[0].ref(), op.inputs[0].ref())
    for tensor in function.graph.outputs:
        last_use[owner.get(tensor.ref(), tensor.ref())] = len(operations)
    released = {}
    for reference, moment in last_use.items():
        released.setdefault(moment, []).append(reference.deref())
    live = peak = 0
    for moment, op in enumerate(operations):
        live += sum(_bytes(tensor) for tensor in op.outputs if tensor.ref() not in owner and tensor.ref() in last_use)
        peak = max(peak, live)
        live -= sum(_bytes(tensor) for tensor in released.get(moment, ()) if tensor.op.type != "Const")
    return peak


def _bytes(tensor):
    if tensor.dtype in (tf.resource, tf.variant, tf.string):
        return 0
    return (tensor.shape.num_elements() or 0) * tensor.dtype.size


def _count_graph(graph, known, prefix, executions):
    """Returns the operations of a graph; placeholders in `known` ({name: value}) are treated as constants."""
    found = []
    for op in graph.get_operations():
        name = prefix + op.name
        if op.type in CALLS:
            found += _count_called(graph, op, op.get_attr("f").name, known, name, executions)
        elif op.type in LOOPS:
            trips = _trips(graph, op, known, name)
            body = op.get_attr("body").name
            found += _count_called(graph, op, body, known, name, executions * trips) if trips else []
        elif op.type in BRANCHES:
            found += _count_branches(graph, op, known, name, executions)
        else:
            flops = _flops(graph, op, name)
            if flops:
                found.append(Operation(name, op.type, flops * executions, executions))
    return found


def _flops(graph, op, name):
    """Returns TensorFlow's count for one execution; 0 for an operation that it does not count."""
    if op.type in UNCOUNTED:
        raise ValueError(f"{name}: TensorFlow cannot count {op.type}; its cost would be missed")
    if op.type in MAC_OPERATIONS and not all(tensor.shape.is_fully_defined() for tensor in (*op.inputs, *op.outputs)):
        raise ValueError(
            f"{name}: {op.type} has an unknown shape; its cost would be missed. Trace it with static shapes"
        )
    return int(ops.get_stats_for_node_def(graph, op.node_def, "flops").value or 0)


def _count_called(graph, op, function_name, known, name, executions, skipped_inputs=0):
    inputs = list(op.inputs)[skipped_inputs:]
    called = _called_graph(graph, function_name, inputs)
    # Values that enter a loop's first trip may differ in the other trips.
    inner = {} if op.type in LOOPS else _known_inputs(called, _evaluate(graph, inputs, known))
    return _count_graph(called, inner, f"{name}/", executions)


def _count_branches(graph, op, known, name, executions):
    branches = (
        [op.get_attr(key) for key in ("then_branch", "else_branch")] if "If" in op.type else op.get_attr("branches")
    )
    counted = [_count_called(graph, op, b.name, known, name, executions, skipped_inputs=1) for b in branches]
    return max(counted, key=lambda operations: sum(operation.flops for operation in operations))


def _called_graph(graph, name, inputs):
    """Returns the graph of a function, with the shapes that its caller passes in."""
    function = graph._get_function(name)
    with graph.as_default():
        return function_def_to_graph(
            function.cached_definition,
            input_shapes=[tensor.shape for tensor in inputs],
            include_library_functions=True,
        )


def _trips(graph, op, known, name):
    """Returns how often a loop runs; evaluates its condition trip by trip, from the loop's small integers alone."""
    inputs = list(op.inputs)
    condition = _called_graph(graph, op.get_attr("cond").name, inputs)
    body = _called_graph(graph, op.get_attr("body").name, inputs)
    values = _evaluate(graph, inputs, known)
    for trip in range(MAX_TRIPS):
        [is_going_on] = _evaluate(condition, condition.outputs, _known_inputs(condition, values))
        if is_going_on is None:
            break
        if not is_going_on:
            return trip
        values = _evaluate(body, body.outputs, _known_inputs(body, values))
    raise ValueError(f"{name}: how often this loop runs does not follow from constants")


def _known_inputs(graph, values):
    return {tensor.name: value for tensor, value in zip(graph.inputs, values, strict=True) if value is not None}


def _evaluate(graph, tensors, known):
    """Returns values of small integer tensors that follow from constants and `known` placeholders, None for others."""
    constants = {tensor.name for tensor in tensors if _follows(tensor, known)}
    with silenced_stderr(), tf.compat.v1.Session(graph=graph) as session:  # TensorFlow 2.20 announces its passes
        return [session.run(tensor.name, known) if tensor.name in constants else None for tensor in tensors]


def _follows(tensor, known):
    if not tensor.dtype.is_integer and not tensor.dtype.is_bool:
        return False
    if (tensor.shape.num_elements() or 1) > MAX_ELEMENTS:
        return False
    waiting, seen = [tensor], set()
    while waiting:
        value = waiting.pop()
        if value.name in known or value.name in seen:
            continue
        seen.add(value.name)
        if value.op.type == "Placeholder" or value.op.op_def.is_stateful:
            return False
        waiting += value.op.inputs
    return True
