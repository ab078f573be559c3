"""Runs .tflite files with TensorFlow's interpreter, in Python.

The interpreter trusts what it reads: a damaged file takes the whole process down. So it gets a file only after its
structure was verified, its sha256 was compared with the manifest, and its activations fit into memory. A file that is not
trusted is first tried in a separate process, which is this module, run as a program.
"""

import contextlib
import dataclasses
import importlib
import importlib.metadata
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed, shortened
from tfseg.formats import export_manifest
from tfseg.system import child_process
from tfseg.system.progress import say

# A trial runs each signature once. Images that take minutes of processor time are of no use to anybody, and loops that
# never end use it up as fast as the machine is free for them; the clock only ends what waits for ever.
TRIAL_PROCESSOR_SECONDS, TRIAL_SECONDS = 120, 600
# What a trial may allocate: some for any file, the rest in proportion to the activations and to the file, whose weights
# the interpreter may hold unpacked and repacked.
SPARE_BYTES, ACTIVATIONS_FACTOR, FILE_FACTOR = 2 << 30, 3, 6
OPEN_SIDE = 64  # what a trial takes for an open side of an image; networks with strides up to 64 divide it


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
      is_trusted: whether it runs in this process without a trial in another one.
    """

    def __init__(self, path, threads=1, trust=False):
        """See `load`."""
        # Imported here because they are slow to import and a child process does not need them.
        from tfseg.formats import tflite_bytes, tflite_file, tflite_memory

        self.path, self._threads = str(path), threads
        self.listed = export_manifest.check(path) if Path(path).is_file() else None
        self.model = tflite_file.read(path)
        self.content = tflite_bytes.content(path)
        tflite_memory.check(self.path, self.model)
        self.is_trusted = is_trusted(self.listed, trust)
        self._names, self._has_signatures = list(tflite_file.signatures(self.model)), bool(self.model.signatureDefs)
        self._has_delegates = self.is_trusted or _try(self.path, trial_bytes(self.model, len(self.content)))
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
                name: Signature(_tensors(runner.get_input_details()), _tensors(runner.get_output_details()))
                for name, runner in self._runners.items()
            }
            return
        details = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        self._indices = [{detail["name"]: detail["index"] for detail in part} for part in details]
        tensors = [_tensors({detail["name"]: detail for detail in part}) for part in details]
        self.signatures = {name: Signature(*tensors) for name in self._names}

    def _run_main(self, values):
        inputs, outputs = self._indices
        _invoke(self._interpreter, {inputs[name]: value for name, value in values.items()})
        return {name: self._interpreter.get_tensor(index) for name, index in outputs.items()}


def load(path, threads=1, trust=False) -> Program:
    """Opens a .tflite file.

    Args:
      path: the file's path.
      threads: number of threads of the interpreter.
      trust: whether to skip the trial in a separate process, which a file needs that no manifest lists.
    Raises:
      InputError: there is no such file, it is damaged, its sha256 is not that of the manifest, its activations would
        fill the memory, or the interpreter cannot run it.
    """
    return Program(path, threads, trust)


def is_trusted(listed, trust) -> bool:
    """Whether a file runs in this process without a trial: it is in a manifest (`listed`) or the user trusts it."""
    return listed is not None or trust


def trial_bytes(model, file_bytes) -> int:
    """Returns how much memory a trial of a file may allocate.

    Args:
      model: the result of `tflite_file.read`.
      file_bytes: size of the file.
    """
    from tfseg.formats import tflite_memory

    return SPARE_BYTES + ACTIVATIONS_FACTOR * tflite_memory.activation_bytes(model) + FILE_FACTOR * file_bytes


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
    library = _library()
    kernels = library.OpResolverType.AUTO if has_delegates else library.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    with _quiet():
        opened = library.Interpreter(model_path=str(path), num_threads=threads, experimental_op_resolver_type=kernels)
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
        int(detail["index"]),
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
    return f"{path}: the interpreter cannot run it ({shortened(reason) or type(reason).__name__})"


def _try(path, num_bytes):
    """Tries a file in another process; returns whether it runs with the default delegates."""
    job = {"path": path, "num_bytes": num_bytes}
    try:
        return child_process.run("tfseg.inference.engines.tflite_runtime", job, TRIAL_SECONDS)["has_delegates"]
    except child_process.ChildError as error:
        raise InputError(_refusal(path, error)) from error


def _trial(job):
    """Opens a file and calls everything in it once, with zeros."""
    _library()  # is not to count
    child_process.limit(job["num_bytes"], TRIAL_PROCESSOR_SECONDS)
    has_delegates, _ = first_that_runs(job["path"], 1, _call_all)
    return {"has_delegates": has_delegates}


def _call_all(opened):
    for name in opened.get_signature_list():
        runner = opened.get_signature_runner(name)
        details = _tensors(runner.get_input_details())
        runner(**{key: zeros(tensor) for key, tensor in details.items()})
    if not opened.get_signature_list():
        _invoke(opened, {detail["index"]: zeros(_tensor(detail)) for detail in opened.get_input_details()})


def _invoke(opened, values):
    """Runs a file without signatures on {index: array}, after a change of its inputs' sizes where need be."""
    sizes = {detail["index"]: tuple(detail["shape"]) for detail in opened.get_input_details()}
    others = [index for index, value in values.items() if value.shape != sizes[index]]
    for index in others:
        opened.resize_tensor_input(index, values[index].shape)
    if others:
        opened.allocate_tensors()
    for index, value in values.items():
        opened.set_tensor(index, value)
    opened.invoke()


def _library():
    """Returns the module of the interpreter."""
    package = "ai_edge_litert" if importlib.util.find_spec("ai_edge_litert") else "tensorflow.lite.python"
    return importlib.import_module(f"{package}.interpreter")


if __name__ == "__main__":
    child_process.answer(_trial)
