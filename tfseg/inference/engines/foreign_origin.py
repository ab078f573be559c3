"""What made the values of an output, read from the operators of a .tflite file."""

import dataclasses

import numpy as np

from tfseg.formats import tflite_file
from tfseg.labels import MAX_CLASSES

# Operators that keep values as they are, or among those around them; the first input is what they keep.
KEEPING = frozenset(
    (
        *("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "STRIDED_SLICE", "SLICE", "CAST", "QUANTIZE", "DEQUANTIZE"),
        *("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "BROADCAST_TO"),
    )
)
CHOOSING = frozenset(("ARG_MAX", "ARG_MIN", "TOPK_V2"))
COMPARING = frozenset(
    (
        *("GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "EQUAL", "NOT_EQUAL"),
        *("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT"),
    )
)
PRODUCTS = frozenset(("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"))
# Operators without which no values come about that add up to 1 in every pixel.
NORMALIZING = frozenset(
    (
        *("SOFTMAX", "LOGISTIC", "EXP", "DIV", "ONE_HOT", "SCATTER_ND", "SELECT", "SELECT_V2", "WHERE"),
        *("L2_NORMALIZATION", "CUSTOM", "WHILE", "IF", "CALL", "CALL_ONCE", "DELEGATE"),
    )
)
EIGHT_BITS = ("INT8", "UINT8")


@dataclasses.dataclass(frozen=True)
class Origin:
    """What made an output.

    Attributes:
      is_sigmoid: whether each value is the result of a sigmoid.
      is_linear: whether each value is the sum of a convolution, without an activation after it.
      may_normalize: whether the file has operators that can make probabilities.
      num_classes: number of classes among which class ids are chosen; None for other outputs and where it is not told.
      step: the largest difference of neighbouring values that 8 bits can store on the way; 0 without such tensors.
    """

    is_sigmoid: bool = False
    is_linear: bool = False
    may_normalize: bool = True
    num_classes: int | None = None
    step: float = 0.0


def origin_of(model, subgraph, tensor) -> Origin:
    """Follows an output back to what made its values.

    Args:
      model: the result of `tflite_file.read`.
      subgraph: index of the subgraph.
      tensor: index of the output among the subgraph's tensors.
    """
    graph = model.subgraphs[subgraph]
    makers = {int(index): operator for operator in graph.operators for index in operator.outputs}
    kinds = {tflite_file.kind(model, operator) for operator in graph.operators}
    step = _step(graph.tensors[tensor])
    maker = makers.get(tensor)
    while maker is not None and tflite_file.kind(model, maker) in KEEPING and len(maker.inputs):
        tensor = int(maker.inputs[0])
        step, maker = max(step, _step(graph.tensors[tensor])), makers.pop(tensor, None)
    what = "" if maker is None else tflite_file.kind(model, maker)
    return Origin(
        is_sigmoid=what == "LOGISTIC",
        is_linear=what in PRODUCTS and not getattr(maker.builtinOptions, "fusedActivationFunction", 0),
        may_normalize=any(one in NORMALIZING or one.startswith(("STABLEHLO", "number ")) for one in kinds),
        num_classes=_num_classes(model, graph, maker, what),
        step=step,
    )


def _step(tensor):
    scales = None if tensor.quantization is None else tensor.quantization.scale
    is_quantized = scales is not None and len(scales) == 1 and tflite_file.TYPES[tensor.type] in EIGHT_BITS
    return float(scales[0]) if is_quantized else 0.0


def _num_classes(model, graph, maker, what):
    if what in COMPARING:
        return 2
    if what not in CHOOSING or not len(maker.inputs):
        return None
    shape = tflite_file.shape_of(graph.tensors[maker.inputs[0]])
    axis = -1 if what == "TOPK_V2" or len(maker.inputs) < 2 else _number(model, graph.tensors[maker.inputs[1]])
    if axis is None or not -len(shape) <= axis < len(shape):
        return None
    return shape[axis] if 2 <= shape[axis] <= MAX_CLASSES else None


def _number(model, tensor):
    """Returns the value of a constant whole number; None for any other tensor."""
    data = model.buffers[tensor.buffer].data
    if not tflite_file.is_constant(model, tensor) or data is None or len(data) not in (4, 8):
        return None
    return int(np.frombuffer(bytes(data), "<i4" if len(data) == 4 else "<i8")[0])
