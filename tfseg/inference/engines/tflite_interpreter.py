"""The interpreter of .tflite files: opens it, with or without XNNPACK, and describes inputs and outputs."""

import contextlib
import dataclasses
import importlib
import importlib.metadata
import importlib.util

import numpy as np

from tfseg.system.native_output import silenced_stderr

OPEN_SIDE = 64  # what stands for an open side of an image; networks with strides up to 64 divide it


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or an output.

    Attributes:
      shape: its sizes; None for a size that the file leaves open.
      dtype: NumPy's name of the type, e.g. "float32".
      scale, zero_point: real value = scale * (stored - zero_point); scale 0 means not quantised.
      index: its place among the tensors of its subgraph.
    """

    shape: tuple[int | None, ...]
    dtype: str
    scale: float
    zero_point: int
    index: int = dataclasses.field(default=-1, compare=False)


def interpreter(path, threads=1, has_delegates=True):
    """Returns an interpreter with allocated tensors: from ai-edge-litert if it is installed, else from TensorFlow.

    It reads whatever file it is given; `load` checks the file first.

    Args:
      path: the file's path.
      threads: number of threads.
      has_delegates: whether XNNPACK runs the operators that it knows. It is faster, but refuses some files that the
        interpreter's own kernels run.
    Raises:
      RuntimeError, ValueError: the interpreter refuses the file.
    """
    package = library()
    kernels = package.OpResolverType.AUTO if has_delegates else package.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with silenced_stderr():  # the kernels that it announces
        opened = package.Interpreter(model_path=str(path), num_threads=threads, experimental_op_resolver_type=kernels)
        # This must come first: otherwise signatures run without the XNNPACK kernels.
        opened.allocate_tensors()
    return opened


def first_that_runs(path, threads, prepare):
    """Returns `prepare(interpreter)` with the default delegates or, if that fails, without them.

    Args:
      path, threads: see `interpreter`.
      prepare: calls what is needed of an interpreter, and returns anything.
    Returns:
      (whether it is with delegates, what `prepare` returned).
    Raises:
      Whatever the first attempt raised, if both fail.
    """
    try:
        return True, prepare(interpreter(path, threads))
    except Exception as error:
        with contextlib.suppress(Exception):
            return False, prepare(interpreter(path, threads, has_delegates=False))
        raise error


def runtime() -> str:
    """Returns the interpreter's package and version: ai-edge-litert if it is installed, otherwise tensorflow."""
    package = "ai-edge-litert" if importlib.util.find_spec("ai_edge_litert") else "tensorflow"
    return f"{package} {importlib.metadata.version(package)}"


def zeros(tensor: Tensor) -> np.ndarray:
    """Returns an array that stands for the real value 0, in the tensor's shape and type.

    An open batch becomes 1, other open sides become OPEN_SIDE.
    """
    sides = [(OPEN_SIDE if axis else 1) if side is None else side for axis, side in enumerate(tensor.shape)]
    value = np.zeros(sides, tensor.dtype)
    return value + np.asarray(tensor.zero_point, tensor.dtype) if tensor.scale else value


def tensors_of(details) -> dict[str, Tensor]:
    """Returns {name: Tensor} of {name: what the interpreter tells about an input or output}."""
    return {name: tensor_of(detail) for name, detail in details.items()}


def tensor_of(detail) -> Tensor:
    """Returns an input or output as a Tensor, from what the interpreter tells about it."""
    open_shape = detail.get("shape_signature", detail["shape"])
    # Files from old converters do not say which sizes are open.
    shape = open_shape if len(open_shape) == len(detail["shape"]) else detail["shape"]
    scale, zero_point = detail["quantization"]
    return Tensor(
        tuple(int(side) if side >= 0 else None for side in shape),
        np.dtype(detail["dtype"]).name,
        float(scale),
        int(zero_point),
        int(detail["index"]),
    )


def invoke(opened, values):
    """Runs a file without signatures on {index of the input: array}; the sizes of open inputs follow the arrays."""
    sizes = {detail["index"]: tuple(detail["shape"]) for detail in opened.get_input_details()}
    others = [index for index, value in values.items() if value.shape != sizes[index]]
    for index in others:
        opened.resize_tensor_input(index, values[index].shape)
    if others:
        opened.allocate_tensors()
    for index, value in values.items():
        opened.set_tensor(index, value)
    opened.invoke()


def library():
    """Returns the module of the interpreter."""
    package = "ai_edge_litert" if importlib.util.find_spec("ai_edge_litert") else "tensorflow.lite.python"
    return importlib.import_module(f"{package}.interpreter")
