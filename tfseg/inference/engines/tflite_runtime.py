"""Runs .tflite files with TensorFlow's interpreter, in Python.

The interpreter trusts what it reads: a damaged file takes the whole process down. So it gets a file only after its
structure was verified, its sha256 was compared with the manifest, if one lists it, and its activations fit into memory.
A file that nobody vouches for is first tried in a separate process.
"""

import dataclasses
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed, shortened
from tfseg.formats import export_manifest
from tfseg.inference.engines import tflite_interpreter, tflite_trial
from tfseg.inference.engines.tflite_interpreter import Tensor, interpreter, tensors_of, zeros
from tfseg.system import child_process
from tfseg.system.progress import say


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
        # Imported here because they are slow to import and a child process does not need them.
        from tfseg.formats import tflite_file, tflite_memory

        self.path, self._threads = str(path), threads
        self.listed = export_manifest.check(path) if Path(path).is_file() else None
        self.content = tflite_file.content(path)
        self.model = tflite_file.parsed(self.content, path)
        tflite_memory.check(self.path, self.model)
        self._names, self._has_signatures = list(tflite_file.signatures(self.model)), bool(self.model.signatureDefs)
        self._has_delegates = trust or _try(self.path, self.model)
        try:
            self._open()
        except Exception as error:  # the interpreter raises what it likes
            self._leave_delegates(error)
        if not self._has_delegates:
            self._say_without_delegates()

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
            raise InputError(
                f"{self.path}: has no signature {shortened(signature, 30)}, only {listed(self.signatures)}"
            )
        wanted = self.signatures[signature]
        if unknown := set(inputs) - set(wanted.inputs):
            raise InputError(f"{self.path}: {shortened(signature, 30)} has no input {listed(sorted(unknown))}")
        values = {name: _stored(tensor, inputs.get(name), name, self.path) for name, tensor in wanted.inputs.items()}
        try:
            outputs = self._call(signature, values)
        except Exception as error:  # the interpreter raises what it likes
            self._leave_delegates(error)
            try:
                outputs = self._call(signature, values)
            except Exception:
                self._has_delegates = True
                self._open()
                raise InputError(_refusal(self.path, error)) from error
            self._say_without_delegates()
        return {name: _real(wanted.outputs[name], value) for name, value in outputs.items()}

    def _call(self, signature, values):
        return self._runners[signature](**values) if self._has_signatures else self._run_main(values)

    def _leave_delegates(self, error):
        """Opens the file without delegates. Raises InputError with `error` if there are none or that fails, too."""
        if not self._has_delegates:
            raise InputError(_refusal(self.path, error)) from error
        self._has_delegates = False
        try:
            self._open()
        except Exception:
            raise InputError(_refusal(self.path, error)) from error

    def _say_without_delegates(self):
        say(f"note: {self.path}: the interpreter's faster kernels refuse it; it runs with the plain ones")

    def _open(self):
        self._interpreter = interpreter(self.path, self._threads, self._has_delegates)
        if self._has_signatures:
            self._runners = {name: self._interpreter.get_signature_runner(name) for name in self._names}
            self.signatures = {
                name: Signature(tensors_of(runner.get_input_details()), tensors_of(runner.get_output_details()))
                for name, runner in self._runners.items()
            }
            return
        details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._indices = [{detail["name"]: detail["index"] for detail in part} for part in details]
        tensors = [tensors_of({detail["name"]: detail for detail in part}) for part in details]
        self.signatures = {name: Signature(*tensors) for name in self._names}

    def _run_main(self, values):
        inputs, outputs = self._indices
        tflite_interpreter.invoke(self._interpreter, {inputs[name]: value for name, value in values.items()})
        return {name: self._interpreter.get_tensor(index) for name, index in outputs.items()}


def load(path, threads=1, trust=False) -> Program:
    """Opens a .tflite file.

    Args:
      path: the file's path.
      threads: number of threads of the interpreter.
      trust: whether to skip the trial in a separate process, because the file was made on this machine or the user
        vouches for it. A manifest beside the file does not.
    Raises:
      InputError: there is no such file, it is damaged, its sha256 is not that of the manifest, its activations would
        fill the memory, or the interpreter cannot run it.
    """
    return Program(path, threads, trust)


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
    return value.astype(dtype, copy=False)


def _real(tensor, value):
    if not tensor.scale or np.dtype(tensor.dtype).kind not in "iu":
        return value
    return np.float32(tensor.scale) * (value.astype(np.float32) - tensor.zero_point)


def _refusal(path, reason):
    return f"{path}: the interpreter cannot run it ({shortened(reason, 150) or type(reason).__name__})"


def _try(path, model):
    """Tries a file in another process; returns whether it runs with the default delegates."""
    try:
        return tflite_trial.run(path, model)
    except child_process.ChildError as error:
        raise InputError(_refusal(path, error)) from error
