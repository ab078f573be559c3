"""What a .tflite model costs, counted from the shapes in its file."""

import dataclasses
import math

from tfseg.errors import InputError, shortened
from tfseg.formats.tflite_file import (
    called,
    is_constant,
    kind,
    num_bytes,
    shape_of,
    signature_of,
    subgraphs_of,
    tensor_name,
    text,
)
from tfseg.formats.tflite_memory import PASSES

# Products, and the positions of their operands (image, kernel); a bias comes after both.
PRODUCTS = {
    "CONV_2D": (0, 1),
    "DEPTHWISE_CONV_2D": (0, 1),
    "TRANSPOSE_CONV": (2, 1),
    "CONV_3D": (0, 1),
    "CONV_3D_TRANSPOSE": (2, 1),
    "FULLY_CONNECTED": (0, 1),
    "BATCH_MATMUL": (0, 1),
}
# Operators whose products cannot be counted from shapes, or whose form this count does not know.
UNCOUNTED = frozenset(
    (
        *("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "SVDF"),
        *("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"),
        *("CALL", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"),
        *("STABLEHLO_CONVOLUTION", "STABLEHLO_DOT_GENERAL", "STABLEHLO_CUSTOM_CALL", "STABLEHLO_WHILE"),
        *("STABLEHLO_REDUCE", "STABLEHLO_REDUCE_WINDOW", "STABLEHLO_SCATTER", "STABLEHLO_SORT"),
    )
)
# Operators whose result holds the elements of their input: if the two sizes disagree, they are not the real ones.
REARRANGING = frozenset(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SPACE_TO_BATCH_ND"))


@dataclasses.dataclass(frozen=True)
class Product:
    """One convolution or matrix product, like `flops.Operation`.

    Attributes:
      name: name of its result; inside a loop or a branch it begins with the name of the loop or branch.
      kind: TFLite's name for the operator, e.g. "CONV_2D".
      macs: multiply-accumulates over all executions.
      executions: how often it runs: the trips of the loop around it.
    """

    name: str
    kind: str
    macs: int
    executions: int


def operations(model, iterations=None, subgraph=0) -> list[Product]:
    """Returns the convolutions and matrix products of a subgraph, from static shapes; a batch of any size counts as 1.

    A loop's condition runs once more often than its body. If there are several branches, the most expensive one counts.
    Operators that run once, before the first image, do not count.

    Args:
      model: the result of `tflite_file.read`.
      iterations: the number up to which each loop counts, from the start of its counter, unless the file fixes it.
      subgraph: index of the subgraph.
    Raises:
      InputError: a cost cannot be counted: a size is not fixed, the trips of a loop are not known, a loop is inside
        another, or an operator is custom or hides its products. The message does not name the file.
    """
    graph = model.subgraphs[subgraph]
    for index in graph.inputs:
        _fixed_shape(graph.tensors[index])
    return _count(model, subgraph, iterations, "", 1)


def has_loop(model, subgraph) -> bool:
    """Whether a subgraph's cost depends on the trips of a loop."""
    graphs = (model.subgraphs[index] for index in subgraphs_of(model, subgraph))
    return any(kind(model, operator) == "WHILE" for graph in graphs for operator in graph.operators)


def parameters(model, subgraph=0) -> int:
    """Returns the number of elements in the kernels and biases of a subgraph's products, whatever their stored type.

    A constant that several products share counts once; the converter stores equal constants once.
    """
    return sum(_weights(model, subgraph, {}).values())


def _count(model, subgraph, iterations, prefix, executions):
    found, graph = [], model.subgraphs[subgraph]
    for operator in graph.operators:
        what = kind(model, operator)
        result = tensor_name(graph.tensors[operator.outputs[0]]) if len(operator.outputs) else what
        name = prefix + shortened(result)
        if what == "WHILE":
            trips = _trips(model, graph, operator, iterations, name)
            found += _count_loop(model, operator, trips, name, executions)
        elif what == "IF":
            branches = [_count(model, branch, iterations, f"{name}/", executions) for branch in called(model, operator)]
            found += max(branches, key=lambda products: sum(product.macs for product in products))
        elif what == "CUSTOM":
            code = text(model.operatorCodes[operator.opcodeIndex].customCode)
            raise InputError(f"{name}: its cost would be missed: {code} is a custom operator")
        elif what in UNCOUNTED or what.startswith("number "):
            raise InputError(f"{name}: its cost would be missed: the operator {what} cannot be counted")
        elif what in PRODUCTS:
            macs = _macs(what, operator, graph, name)
            found.append(Product(name, what, macs * executions, executions))
        elif what in REARRANGING:
            _check_rearranged(what, operator, graph, name)
    return found


def _trips(model, graph, operator, iterations, name):
    """Returns how often a loop's body runs; its condition compares a counter that starts at a constant with a limit."""
    condition = model.subgraphs[called(model, operator)[0]]
    outside = dict(zip(condition.inputs.tolist(), operator.inputs.tolist(), strict=True))
    tests = [one for one in condition.operators if kind(model, one) == "LESS" and one.inputs[0] in outside]
    if len(tests) != 1:
        raise InputError(f"{name}: how often this loop runs cannot be told")
    counter, limit = tests[0].inputs
    start = _number(model, graph.tensors[outside[counter]])
    known = _number(model, graph.tensors[outside[limit]] if limit in outside else condition.tensors[limit])
    if start is None:
        raise InputError(f"{name}: the start of this loop's counter is not in the file")
    if known is None and iterations is None:
        raise InputError(f"{name}: how often this loop runs is not in the file; give it, e.g. --iters=6")
    return max((iterations if known is None else known) - start, 0)


def _number(model, tensor):
    """Returns the value of a constant int32 scalar; None for any other tensor."""
    if not is_constant(model, tensor) or num_bytes(tensor) != 4:
        return None
    return int.from_bytes(bytes(model.buffers[tensor.buffer].data), "little", signed=True)


def _count_loop(model, operator, trips, name, executions):
    condition, body = called(model, operator)
    if has_loop(model, condition) or has_loop(model, body):
        raise InputError(f"{name}: a loop inside a loop cannot be counted")
    return [
        *_count(model, condition, None, f"{name}/", executions * (trips + 1)),
        *_count(model, body, None, f"{name}/", executions * trips),
    ]


def _macs(what, operator, graph, name):
    """Returns the multiply-accumulates of one execution. Raises InputError if shapes do not fit each other."""
    first, second = PRODUCTS[what]
    image, kernel, result = (
        _fixed_shape(graph.tensors[index])
        for index in (operator.inputs[first], operator.inputs[second], operator.outputs[0])
    )
    if what == "BATCH_MATMUL":
        options = operator.builtinOptions
        image = (*image[:-2], *image[:-3:-1]) if getattr(options, "adjX", False) else image
        kernel = (*kernel[:-2], *kernel[:-3:-1]) if getattr(options, "adjY", False) else kernel
    macs = _product(what, image, kernel, result)
    if macs is None:
        raise InputError(f"{name}: {what} of {list(image)} and {list(kernel)} cannot give {list(result)}")
    return macs


def _product(what, image, kernel, result):
    """Returns multiply-accumulates; None if shapes do not fit. A convolution's channels are those of one group."""
    fits = min(kernel, default=0) > 0 and len(image) > 1 < len(result) and image[0] == result[0]
    match what, kernel:
        case "CONV_2D", (filters, height, width, channels):
            fits = fits and len(image) == len(result) == 4 and image[3] % channels == 0 and result[3] == filters
            macs = math.prod(result) * height * width * channels
        case "DEPTHWISE_CONV_2D", (1, height, width, filters):
            fits = fits and len(image) == len(result) == 4 and result[3] == filters and filters % max(image[3], 1) == 0
            macs = math.prod(result) * height * width
        case "TRANSPOSE_CONV", (filters, height, width, channels):
            fits = fits and len(image) == len(result) == 4 and image[3] == channels and result[3] == filters
            macs = math.prod(image) * height * width * filters
        case "CONV_3D", (depth, height, width, channels, filters):
            fits = fits and len(image) == len(result) == 5 and image[4] % channels == 0 and result[4] == filters
            macs = math.prod(result) * depth * height * width * channels
        case "CONV_3D_TRANSPOSE", (depth, height, width, filters, channels):
            fits = fits and len(image) == len(result) == 5 and image[4] == channels and result[4] == filters
            macs = math.prod(image) * depth * height * width * filters
        case "FULLY_CONNECTED", (filters, channels):
            fits = math.prod(image) * filters == math.prod(result) * channels
            macs = math.prod(result) * channels
        case "BATCH_MATMUL", (*_, channels, filters):
            fits = len(image) > 1 and image[-1] == channels and result[-2:] == (image[-2], filters)
            macs = math.prod(result) * channels
        case _:
            return None
    return macs if fits else None


def _fixed_shape(tensor):
    signature = signature_of(tensor)
    if -1 in signature[1:]:
        sizes = "x".join("?" if size < 0 else str(size) for size in signature)
        name = shortened(tensor_name(tensor), 60)
        raise InputError(f"{name}: its size {sizes} is not fixed; export the model at a fixed size")
    return shape_of(tensor)


def _check_rearranged(what, operator, graph, name):
    """Refuses sizes that disagree: the converter writes 1 for an unknown size, even for a batch with axes folded in."""
    before, after = (math.prod(shape_of(graph.tensors[i])) for i in (operator.inputs[0], operator.outputs[0]))
    if before > after or (before < after and what != "SPACE_TO_BATCH_ND"):
        raise InputError(f"{name}: the size of this {what} is not fixed; export the model at a fixed size and batch")


def _weights(model, subgraph, given):
    """Returns {buffer: elements} of the kernels and biases; `given` {tensor: (buffer, elements)} come from outside."""
    graph = model.subgraphs[subgraph]
    known = dict(given)
    known |= {
        index: (tensor.buffer, math.prod(shape_of(tensor)))
        for index, tensor in enumerate(graph.tensors)
        if is_constant(model, tensor)
    }
    found = {}
    for operator in graph.operators:
        what, inputs = kind(model, operator), [int(index) for index in operator.inputs]
        if what in PASSES and inputs[0] in known:
            known[int(operator.outputs[0])] = known[inputs[0]]
        elif what in PRODUCTS:
            # The first input of a transposed convolution is the shape of its result.
            others = inputs if what == "BATCH_MATMUL" else inputs[1:]
            image = None if what == "BATCH_MATMUL" else inputs[PRODUCTS[what][0]]
            found |= dict(known[index] for index in others if index in known and index != image)
        elif what in ("WHILE", "IF"):
            passed = inputs[1:] if what == "IF" else inputs
            for inner in called(model, operator):
                found |= _weights(model, inner, _entering(model, inner, passed, known, what))
    return found


def _entering(model, subgraph, passed, known, what):
    """Returns {tensor: (buffer, elements)} of constants that enter a subgraph and that, in a loop, never change."""
    graph = model.subgraphs[subgraph]
    return {
        int(inside): known[outside]
        for position, (inside, outside) in enumerate(zip(graph.inputs, passed, strict=True))
        if outside in known and (what == "IF" or list(graph.outputs)[position : position + 1] == [inside])
    }
