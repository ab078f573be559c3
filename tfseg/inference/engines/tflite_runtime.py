"""Runs .tflite files with TensorFlow's interpreter, in Python.

The interpreter trusts what it reads: a damaged file takes the whole process down. So it gets a file only after its
structure was verified and its sha256 was compared with the manifest. A file that no manifest lists is first tried in a
separate process, which is this module, run as a program.
"""

import contextlib
import dataclasses
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed
from tfseg.formats import export_manifest
from tfseg.system import child_process

TRIAL_SECONDS = 1800  # after this time a file counts as one that hangs the interpreter, even on a busy machine


@dataclasses.dataclass(frozen=True)
class Tensor:
    """An input or an output.

    Attributes:
      shape: its sizes; None for a size that the file leaves open.
      dtype: NumPy's name of the type, e.g. "float32".
      scale, zero_point: real value = scale * (stored - zero_point); scale 0 means not quantised.
    """

    shape: tuple[int | None, ...]
    dtype: str
    scale: float
    zero_point: int


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function that can be called.

    Attributes:
      inputs, outputs: {name: Tensor} each.
    """

    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]


class Program:
    """A .tflite file that is ready to run. Only one thread may use it at a time.

    Attributes:
      path: the file's path.
      content: the file's bytes.
      model: the parsed file, a tensorflow.lite.python.schema_py_generated.ModelT.
      signatures: {name: Signature}. For a file without signatures, "main" is its first subgraph.
      listed: the file's `export_manifest.Listed`; None if no manifest lists the file.
    """

    def __init__(self, path, threads=1, trust=False):
        """See `load`."""
        # Imported here because it is slow to import and a child process does not need it.
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
          signature: the signature's name.
          inputs: {name: array} of the type that the file has. For a quantised tensor, float32 real values are possible,
            too. Omitted inputs are zeros.
        Returns:
          {name: array}; quantised outputs are converted to float32 real values.
        Raises:
          InputError: there is no such signature or input, an array has another shape, or the interpreter fails.
        """
        if signature not in self.signatures:
            raise InputError(f"{self.path}: has no signature {signature}, only {listed(self.signatures)}")
        wanted = self.signatures[signature]
        if unknown := set(inputs) - set(wanted.inputs):
            raise InputError(f"{self.path}: {signature} has no input {listed(sorted(unknown))}")
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
      path: the file's path.
      threads: number of threads of the interpreter.
      trust: whether to skip the trial in a separate process, which a file needs that no manifest lists.
    Raises:
      InputError: there is no such file, it is damaged, its sha256 is not that of the manifest, or the interpreter
        cannot run it.
    """
    return Program(path, threads, trust)


def interpreter(path, threads=1):
    """Returns an interpreter with allocated tensors: from ai-edge-litert if it is installed, else from TensorFlow.

    It reads whatever file it is given; `load` checks the file first.

    Raises:
      RuntimeError, ValueError: the interpreter refuses the file.
    """
    if importlib.util.find_spec("ai_edge_litert"):
        from ai_edge_litert.interpreter import Interpreter
    else:
        from tensorflow.lite.python.interpreter import Interpreter
    with _quiet():
        opened = Interpreter(model_path=str(path), num_threads=threads)
        # This must come first: otherwise signatures run without the XNNPACK kernels.
        opened.allocate_tensors()
    return opened


def runtime() -> str:
    """Returns the interpreter's package and version: ai-edge-litert if it is installed, otherwise tensorflow."""
    package = "ai-edge-litert" if importlib.util.find_spec("ai_edge_litert") else "tensorflow"
    return f"{package} {importlib.metadata.version(package)}"


def zeros(tensor: Tensor) -> np.ndarray:
    """Returns an array that stands for the real value 0, in the tensor's shape and type; open sizes become 1."""
    value = np.zeros([1 if side is None else side for side in tensor.shape], tensor.dtype)
    return value + np.asarray(tensor.zero_point, tensor.dtype) if tensor.scale else value


@contextlib.contextmanager
def _quiet():
    """Silences stderr, on which the interpreter's C++ code announces its kernels. Errors are still raised."""
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
    # Files from old converters do not say which sizes are open.
    shape = open_shape if len(open_shape) == len(detail["shape"]) else detail["shape"]
    scale, zero_point = detail["quantization"]
    return Tensor(
        tuple(int(side) if side >= 0 else None for side in shape),
        np.dtype(detail["dtype"]).name,
        float(scale),
        int(zero_point),
    )


def _stored(tensor, value, name, path):
    """Returns an input in the type that the file stores, quantised if need be; zeros if `value` is None."""
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
    """Opens a file and calls everything in it once, with zeros."""
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
