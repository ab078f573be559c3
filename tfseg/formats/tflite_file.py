"""Reads .tflite files without an interpreter, which would crash on a damaged one."""

from tensorflow.lite.python.schema_py_generated import BuiltinOperator, ModelT, TensorType
from tensorflow.lite.python.schema_util import get_builtin_code_from_operator_code

from tfseg.errors import InputError, shortened
from tfseg.formats import tflite_bytes
from tfseg.system.files import open_regular

VERSION = 3
# Sums over all signatures and calls of subgraphs, which a few bytes can multiply; networks have some 10,000.
MAX_OPERATORS, MAX_INDICES, MAX_DEPTH, MAX_RANK = 100_000, 1_000_000, 16, 16
KINDS = {code: name for name, code in vars(BuiltinOperator).items() if isinstance(code, int)}
TYPES = {code: name for name, code in vars(TensorType).items() if isinstance(code, int)}
BITS = {"FLOAT16": 16, "FLOAT32": 32, "FLOAT64": 64, "COMPLEX64": 64, "COMPLEX128": 128, "BOOL": 8, "INT4": 4}
BITS |= {f"{sign}INT{bits}": bits for sign in ("", "U") for bits in (8, 16, 32, 64)}
# Operators whose result depends on their first inputs, and the number of these inputs.
OPERANDS = {
    **dict.fromkeys(("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_3D", "FULLY_CONNECTED", "BATCH_MATMUL"), 2),
    **dict.fromkeys(("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE"), 3),
    **dict.fromkeys(("RESHAPE", "SQUEEZE", "EXPAND_DIMS", "TRANSPOSE", "SPACE_TO_BATCH_ND"), 1),
    **dict.fromkeys(("QUANTIZE", "DEQUANTIZE", "CAST", "DENSIFY"), 1),
}
# Fields of an operator's options that are subgraphs.
CALLED = {
    "WHILE": ("condSubgraphIndex", "bodySubgraphIndex"),
    "IF": ("thenSubgraphIndex", "elseSubgraphIndex"),
    "CALL_ONCE": ("initSubgraphIndex",),
}


def read(path) -> ModelT:
    """Reads the model in a .tflite file: `parsed` of `content`, whose errors it raises."""
    return parsed(content(path), path)


def content(path) -> bytes:
    """Reads the bytes of a file. Raises InputError if there is no such file, or it cannot be read."""
    try:
        with open_regular(path) as file:
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def parsed(data: bytes, path) -> ModelT:
    """Parses the bytes of a .tflite file, and checks every offset, index and buffer.

    Args:
      data: the whole file.
      path: the file's path, for messages.
    Returns:
      tensorflow.lite.python.schema_py_generated.ModelT; vectors that the file lacks are empty.
    Raises:
      InputError: the file is damaged or has another format.
    """
    try:
        model = tflite_bytes.unpacked(data)
        _check_model(model, len(data))
    except ValueError as error:
        reason = shortened(error, 150)
        raise InputError(f"{path}: damaged, or not a .tflite file ({reason}); export or download it again") from error
    return model


def kind(model, operator) -> str:
    """Returns the operator's name in the schema, e.g. "CONV_2D"; "number N" if the schema does not have it."""
    code = get_builtin_code_from_operator_code(model.operatorCodes[operator.opcodeIndex])
    return KINDS.get(code, f"number {code}")


def is_constant(model, tensor) -> bool:
    """Whether the tensor's values are in the file."""
    return _num_bytes(model.buffers[tensor.buffer]) > 0


def tensor_name(tensor) -> str:
    """Returns a tensor's name; if the converter fused several names, the first."""
    return text(tensor.name).split(";")[0]


def text(name) -> str:
    """Decodes a string of the file."""
    return (name or b"").decode("utf-8", "replace")


def called(model, operator) -> list[int]:
    """Returns the subgraphs that an operator runs: WHILE's condition and body, IF's two branches, CALL_ONCE's one."""
    return [getattr(operator.builtinOptions, field) for field in CALLED.get(kind(model, operator), ())]


def subgraphs_of(model, subgraph) -> list[int]:
    """Returns a subgraph and all those that it runs, also indirectly, for every image; not those that run only once."""
    found, waiting = {subgraph: None}, [subgraph]
    while waiting:
        for operator in model.subgraphs[waiting.pop()].operators:
            others = called(model, operator) if kind(model, operator) != "CALL_ONCE" else ()
            waiting += [other for other in others if other not in found]
            found |= dict.fromkeys(others)
    return list(found)


def signatures(model) -> dict[str, int]:
    """Returns {name: subgraph} of the file's signatures; {"main": 0} for a file without signatures."""
    return {text(one.signatureKey): one.subgraphIndex for one in model.signatureDefs} or {"main": 0}


def inputs(model, signature) -> dict[str, object]:
    """Returns {name: TensorT} of a signature's inputs; in a file without signatures, names are the tensors' own."""
    for one in model.signatureDefs:
        if text(one.signatureKey) == signature:
            tensors = model.subgraphs[one.subgraphIndex].tensors
            return {text(item.name): tensors[item.tensorIndex] for item in one.inputs}
    graph = model.subgraphs[0]
    return {tensor_name(graph.tensors[index]): graph.tensors[index] for index in graph.inputs}


def _check_model(model, num_bytes):
    _check(model.version == VERSION, f"its version is {model.version}, not {VERSION}")
    _check(model.subgraphs, "it has no subgraph")
    for buffer in model.buffers:
        is_outside = buffer.offset > 1
        _check(not is_outside or buffer.offset + buffer.size <= num_bytes, "a buffer lies outside of it")
    for index in (*model.metadataBuffer, *(item.buffer for item in model.metadata)):
        _check(0 <= index < len(model.buffers), f"there is no buffer {index}")
    indices = (len(part) for graph in model.subgraphs for one in graph.operators for part in (one.inputs, one.outputs))
    ends = (len(part) for graph in model.subgraphs for part in (graph.inputs, graph.outputs))
    _check(sum(indices) + sum(ends) <= MAX_INDICES, f"its operators have more than {MAX_INDICES} inputs and outputs")
    for index, graph in enumerate(model.subgraphs):
        _check_tensors(model, graph, f"subgraph {index}")
        _check_operators(model, graph, f"subgraph {index}")
    for signature in model.signatureDefs:
        index = signature.subgraphIndex
        _check(index < len(model.subgraphs), f"there is no subgraph {index}")
        tensors = [item.tensorIndex for item in (*signature.inputs, *signature.outputs)]
        _check_indices(tensors, model.subgraphs[index], f"signature {shortened(text(signature.signatureKey), 60)}")
    _check_calls(model)


def _check_tensors(model, graph, where):
    for tensor in graph.tensors:
        name = f"{where}, tensor {shortened(tensor_name(tensor), 60)}"
        _check(tensor.type in TYPES, f"{name}: TensorFlow does not know its type {tensor.type}")
        _check(tensor.buffer < len(model.buffers), f"{name}: there is no buffer {tensor.buffer}")
        rank = max(0 if sizes is None else len(sizes) for sizes in (tensor.shape, tensor.shapeSignature))
        _check(rank <= MAX_RANK, f"{name}: it has {rank} axes, more than {MAX_RANK}")
        shape, signature = shape_of(tensor), signature_of(tensor)
        _check(min(shape, default=0) >= 0, f"{name}: its shape is {shape}")
        _check(len(signature) == len(shape) and min(signature, default=0) >= -1, f"{name}: its shape is {signature}")
        size, wanted = _num_bytes(model.buffers[tensor.buffer]), num_bytes(tensor)
        is_checked = size and tensor.sparsity is None and TYPES[tensor.type] in BITS
        _check(not is_checked or size == wanted, f"{name}: has {size} bytes, its shape needs {wanted}")


def _check_operators(model, graph, where):
    """Checks indices, and that every tensor is made before it is used."""
    _check_indices((*graph.inputs, *graph.outputs), graph, where)
    known = {int(index) for index in graph.inputs}
    known |= {i for i, t in enumerate(graph.tensors) if is_constant(model, t) or t.isVariable or 0 in shape_of(t)}
    for number, operator in enumerate(graph.operators):
        name = f"{where}, operator {number}"
        _check(operator.opcodeIndex < len(model.operatorCodes), f"{name}: its kind is missing")
        wanted = OPERANDS.get(kind(model, operator), 0)
        is_whole = list(operator.inputs[:wanted]).count(-1) == 0 and len(operator.inputs) >= wanted
        _check(is_whole and (not wanted or len(operator.outputs) == 1), f"{name}: inputs or outputs are missing")
        used = [int(index) for index in operator.inputs if index != -1]  # -1 stands for an omitted input
        _check_indices((*used, *operator.outputs), graph, name)
        for index in used:
            _check(index in known, f"{name} uses tensor {index}, which nothing before it makes")
        known |= {int(index) for index in operator.outputs}
        for field in CALLED.get(kind(model, operator), ()):
            index = getattr(operator.builtinOptions, field, -1)
            _check(0 <= index < len(model.subgraphs), f"{name}: there is no subgraph {index}")
    for index in graph.outputs:
        _check(index in known, f"{where}: nothing makes its output {index}")


def _check_calls(model):
    """Checks that no subgraph runs itself or too many others, and that loops and branches fit what they run."""
    calls = [[other for operator in graph.operators for other in called(model, operator)] for graph in model.subgraphs]
    for index, graph in enumerate(model.subgraphs):
        for operator in graph.operators:
            passed = len(operator.inputs) - (kind(model, operator) == "IF")  # its condition is not passed on
            for other in called(model, operator):
                wanted = len(model.subgraphs[other].inputs)
                _check(passed == wanted, f"subgraph {index} gives {passed} inputs to subgraph {other}, not {wanted}")
    callers, missing = [[] for _ in calls], [len(others) for others in calls]
    for index, others in enumerate(calls):
        for other in others:
            callers[other].append(index)
    costs, depths = [len(graph.operators) for graph in model.subgraphs], [0] * len(calls)
    ready = [index for index, count in enumerate(missing) if not count]
    for index in ready:
        for caller in callers[index]:
            missing[caller] -= 1
            costs[caller] = min(costs[caller] + costs[index], MAX_OPERATORS + 1)
            depths[caller] = max(depths[caller], depths[index] + 1)
            if not missing[caller]:
                ready.append(caller)
    _check(len(ready) == len(calls), "its subgraphs run each other")
    _check(max(depths) <= MAX_DEPTH, f"its loops and branches lie {max(depths)} deep, more than {MAX_DEPTH}")
    total = sum(costs[one.subgraphIndex] for one in model.signatureDefs)
    _check(max(total, costs[0]) <= MAX_OPERATORS, f"its signatures run more than {MAX_OPERATORS} operators")


def _check_indices(indices, graph, what):
    for index in indices:
        _check(0 <= index < len(graph.tensors), f"{what}: there is no tensor {index}")


def shape_of(tensor) -> tuple[int, ...]:
    """Returns the tensor's sizes; an axis of unknown size is 1."""
    return () if tensor.shape is None else tuple(map(int, tensor.shape))


def signature_of(tensor) -> tuple[int, ...]:
    """Returns the tensor's sizes; an axis of unknown size is -1."""
    return shape_of(tensor) if tensor.shapeSignature is None else tuple(map(int, tensor.shapeSignature))


def num_bytes(tensor) -> int:
    """Returns the size of the tensor's values in bytes; 0 for a type without a fixed size, such as strings."""
    bits = BITS.get(TYPES[tensor.type], 0)
    for size in shape_of(tensor):
        bits *= size
    return -(-bits // 8)


def _num_bytes(buffer):
    if buffer.offset > 1:
        return buffer.size
    return 0 if buffer.data is None else len(buffer.data)


def _check(condition, reason):
    if not condition:
        raise ValueError(reason)
