"""Runs .tflite files with TensorFlow's interpreter, in Python.

The interpreter trusts what it reads: a damaged file takes the whole process down. So it gets a file only after its
structure was verified and its sha256 compared with the manifest; one that no manifest lists is first tried in a process
of its own, which is this module, run as a program.
"""

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np

from tfseg.errors import InputError
from tfseg.formats import export_manifest
from tfseg.system import child_process

TRIAL_SECONDS = 1800  # for a file that hangs the interpreter, also on a busy machine


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or an output.

    Attributes:
      shape: sizes; None for one that the file leaves open.
      dtype: as NumPy has it, e.g. "float32".
      scale, zero_point: real value = scale * (stored - zero_point); scale 0 is not quantised.
    """

    shape: tuple[int | None, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclasses.dataclass(frozen=True)
class Signature:
    """What can be called: {name: Tensor} of its inputs and outputs."""

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class Program:
    """A .tflite file that is ready to run. Not for several threads at once.

    Attributes:
      path: of the file.
      content: its bytes.
      model: tensorflow.lite.python.schema_py_generated.ModelT.
      signatures: {name: Signature}; of a file without any, {"main": of its first subgraph}.
      listed: `manifest.Listed`, or None if no manifest lists the file.
    """

    def __init__(self, path, threads=1, trust=False):
        """See `load`."""
        # Slow to import, and not wanted in a child process.
        from tfseg.formats import tflite_file

        self.path = str(path)
        self.listed = export_manifest.check(path) if Path(path).is_file() else None
        self.model = tflite_file.read(path)
        self.content = Path(path).read_bytes()
        self._has_signatures = bool(self.model.signatureDefs)
        if self.listed is None and not trust:
            _try(self.path)
        try:
            self._interpreter = interpreter(self.path, threads)
            self._open(tflite_file.signatures(self.model))
        except Exception as error:  # the interpreter raises what it likes
            raise InputError(_refusal(self.path, error)) from error

    def run(self, signature, inputs) -> dict[str, np.ndarray]:
        """Calls a signature.

        Args:
          inputs: {name: array}, of the type that the file has, or for a quantised tensor of real values as float32.
            Those that are left out are zeros.
        Returns:
          {name: array}; of quantised outputs the real values, float32.
        Raises:
          InputError: there is no such signature or input, an array has another shape, or the interpreter fails.
        """
        if signature not in self.signatures:
            raise InputError(f"{self.path}: has no signature {signature}, only {', '.join(self.signatures)}")
        wanted = self.signatures[signature]
        if unknown := set(inputs) - set(wanted.inputs):
            raise InputError(f"{self.path}: {signature} has no input {', '.join(sorted(unknown))}")
        values = {name: _stored(tensor, inputs.get(name), name, self.path) for name, tensor in wanted.inputs.items()}
        try:
            outputs = self._runners[signature](**values) if self._has_signatures else self._run_main(values)
        except Exception as error:  # the interpreter raises what it likes
            raise InputError(_refusal(self.path, error)) from error
        return {name: _real(wanted.outputs[name], value) for name, value in outputs.items()}

    def _open(self, names):
        if self._has_signatures:
            self._runners = {name: self._interpreter.get_signature_runner(name) for name in names}
            self.signatures = {
                name: Signature(_tensors(runner.get_input_details()), _tensors(runner.get_output_details()))
                for name, runner in self._runners.items()
            }
            return
        details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._indices = [{detail["name"]: detail["index"] for detail in part} for part in details]
        tensors = [_tensors({detail["name"]: detail for detail in part}) for part in details]
        self.signatures = {name: Signature(*tensors) for name in names}

    def _run_main(self, values):
        inputs, outputs = self._indices
        for name, value in values.items():
            self._interpreter.set_tensor(inputs[name], value)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(index) for name, index in outputs.items()}


def load(path, threads=1, trust=False) -> Program:
    """Opens a .tflite file.

    Args:
      threads: of the interpreter.
      trust: a file that no manifest lists is not tried in a process of its own first.
    Raises:
      InputError: there is no such file, it is damaged, its sha256 is not that of the manifest, or the interpreter
        cannot run it.
    """
    return Program(path, threads, trust)


def interpreter(path, threads=1):
    """An interpreter whose tensors are allocated: that of ai-edge-litert where installed, else TensorFlow's.

    It reads whatever it is given; `load` checks a file before.

    Raises:
      RuntimeError, ValueError: it refuses the file.
    """
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    else:
        from tensorflow.lite.python.interpreter import Interpreter
    with _quiet():
        opened = Interpreter(model_path=str(path), num_threads=threads)
        # First of all: without it, signatures run without the XNNPACK kernels.
        opened.allocate_tensors()
    return opened


def runtime() -> str:
    """The interpreter's package and version: ai-edge-litert where it is installed, otherwise TensorFlow."""
    package = "ai-edge-litert" if importlib.util.find_spec("ai_edge_litert") else "tensorflow"
    return f"{package} {importlib.metadata.version(package)}"


def zeros(tensor: Tensor) -> np.ndarray:
    """Real values 0 of a tensor's shape; 1 where the file leaves a size open."""
    value = np.zeros([1 if side is None else side for side in tensor.shape], tensor.dtype)
    return value + np.asarray(tensor.zero_point, tensor.dtype) if tensor.scale else value


@contextlib.contextmanager
def _quiet():
    """Nothing on stderr, where the interpreter, which is not Python, announces its kernels; its errors are raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _tensors(details):
    return {name: _tensor(detail) for name, detail in details.items()}


def _tensor(detail):
    open_shape = detail.get("shape_signature", detail["shape"])
    # Files of old converters have no shape with open sizes.
    shape = open_shape if len(open_shape) == len(detail["shape"]) else detail["shape"]
    scale, zero_point = detail["quantization"]
    return Tensor(
        tuple(int(side) if side >= 0 else None for side in shape),
        np.dtype(detail["dtype"]).name,
        float(scale),
        int(zero_point),
    )


def _stored(tensor, value, name, path):
    """An input as the file has it."""
    if value is None:
        return zeros(tensor)
    value = np.asarray(value)
    fits = len(value.shape) == len(tensor.shape) and all(
        wanted in (None, side) for wanted, side in zip(tensor.shape, value.shape, strict=True)
    )
    if not fits:
        wanted = "x".join("?" if side is None else str(side) for side in tensor.shape)
        raise InputError(f"{path}: {name} has the shape {'x'.join(map(str, value.shape))}, wanted is {wanted}")
    dtype = np.dtype(tensor.dtype)
    if value.dtype != dtype and tensor.scale and dtype.kind in "iu":
        limits = np.iinfo(dtype)
        value = np.clip(np.rint(value / tensor.scale) + tensor.zero_point, limits.min, limits.max)
    return value.astype(dtype)


def _real(tensor, value):
    if not tensor.scale or np.dtype(tensor.dtype).kind not in "iu":
        return value
    return np.float32(tensor.scale) * (value.astype(np.float32) - tensor.zero_point)


def _refusal(path, reason):
    lines = [line.strip() for line in str(reason).splitlines() if line.strip()]
    return f"{path}: the interpreter cannot run it ({lines[0][:300] if lines else type(reason).__name__})"


def _try(path):
    try:
        child_process.run("tfseg.inference.engines.tflite_runtime", {"path": path}, TRIAL_SECONDS)
    except child_process.ChildError as error:
        raise InputError(_refusal(path, error)) from error


def _run_all(job):
    """Opens a file and calls everything in it once, on zeros."""
    opened = interpreter(job["path"])
    for name in opened.get_signature_list():
        runner = opened.get_signature_runner(name)
        details = _tensors(runner.get_input_details())
        runner(**{key: zeros(tensor) for key, tensor in details.items()})
    if not opened.get_signature_list():
        for detail in opened.get_input_details():
            opened.set_tensor(detail["index"], zeros(_tensor(detail)))
        opened.invoke()
    return {}


if __name__ == "__main__":
    child_process.answer(_run_all)
