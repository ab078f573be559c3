"""Turns a traced function into a graph in which every shape is known, so that `flops` can count it.

A function from a SavedModel calls other functions, whose variables are handles without a shape. Its loops keep sizes
that were unknown when it was exported.
"""

import types

from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2_as_graph
from tensorflow.python.framework.func_graph import FuncGraph
from tensorflow.python.framework.function_def_to_graph import function_def_to_graph
from tensorflow.python.framework.importer import import_graph_def

from tfseg.profiling import flops
from tfseg.system.native_output import silenced_stderr

# A process knows functions by their names, so changed functions need new names.
RENAMED = "_counted"


def freeze(function):
    """Inlines a function's calls and turns its variables into constants. The result can be counted, but not run.

    Args:
      function: tf.ConcreteFunction with static shapes.
    Returns:
      An object with a `graph`, as `flops.count` takes it.
    Raises:
      ValueError: a loop changes the shape of a tensor that it carries, so its cost does not follow from one trip.
    """
    with silenced_stderr():  # TensorFlow 2.20 counts GPUs there, whatever its level of logging
        frozen, graph_def = convert_variables_to_constants_v2_as_graph(
            function, lower_control_flow=False, aggressive_inlining=True
        )
    for called in graph_def.library.function:
        _open(called.node_def)
        for argument in called.arg_attr.values():
            argument.attr.pop("_output_shapes", None)
        called.signature.name += RENAMED
    _open(graph_def.node)
    graph = FuncGraph("frozen")
    with graph.as_default():
        import_graph_def(graph_def, name="")
    graph.outputs = [graph.get_tensor_by_name(tensor.name) for tensor in frozen.outputs]
    _check_loops(graph)
    return types.SimpleNamespace(graph=graph)


def _open(nodes):
    """Removes from nodes, in place, what would keep shapes and numbers of trips from being derived from the inputs."""
    for node in nodes:
        node.attr.pop("_output_shapes", None)
        # Control inputs would make the number of trips depend on the rest of a loop's body.
        values = [name for name in node.input if not name.startswith("^")]
        del node.input[:]
        node.input.extend(values)
        for value in node.attr.values():
            for called in (*([value.func] if value.HasField("func") else ()), *value.list.func):
                called.name += RENAMED
        if node.op in flops.LOOPS:
            # A loop without shapes of its own takes those of its inputs.
            node.attr["output_shapes"].list.Clear()
            node.attr["output_shapes"].list.SetInParent()


def peak_activation_bytes(function) -> int:
    """`flops.peak_activation_bytes` for the result of `freeze`; the peak inside a loop counts if it is higher."""
    peak = flops.peak_activation_bytes(function)
    for op in _loops(function.graph):
        body = _body(op)
        weights = 0
        for before, inside, after in zip(op.inputs, body.inputs, body.outputs, strict=True):
            is_unchanged = _source(after) is inside
            if is_unchanged and _source(before).op.type == "Const":
                weights += before.shape.num_elements() * before.dtype.size
        peak = max(peak, peak_activation_bytes(types.SimpleNamespace(graph=body)) - weights)
    return peak


def _check_loops(graph):
    for op in _loops(graph):
        body = _body(op)
        for before, after in zip(op.inputs, body.outputs, strict=True):
            if not before.shape.is_compatible_with(after.shape):
                raise ValueError(f"{op.name}: this loop changes a shape, from {before.shape} to {after.shape}")
        _check_loops(body)


def _loops(graph):
    return [op for op in graph.get_operations() if op.type in flops.LOOPS]


def _body(op):
    """Returns the graph of one trip of a loop, with the shapes that enter it."""
    function = op.graph._get_function(op.get_attr("body").name)
    with op.graph.as_default():
        return function_def_to_graph(
            function.cached_definition,
            input_shapes=[tensor.shape for tensor in op.inputs],
            include_library_functions=True,
        )


def _source(tensor):
    while tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor
