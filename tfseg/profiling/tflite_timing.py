"""Times the signatures of a .tflite file in a separate process, so that a broken file crashes only that process."""

import functools

import numpy as np

from tfseg.errors import InputError
from tfseg.inference.engines import tflite_interpreter, tflite_trial
from tfseg.profiling.measurement import MATRIX_SIDE, resident_growth, timed
from tfseg.system import child_process
from tfseg.system.progress import say

TIMEOUT = 900  # seconds; a measurement normally ends by itself soon after a minute


def run(path, calls, rounds, threads, num_bytes):
    """Measures time and memory of calls, in turn with a product of two matrices on as many threads.

    Args:
      path: the .tflite file's path.
      calls: {key: (signature, iterations)}; keys are strings. The signature is its name, or None in a file without
        signatures. Iterations is the value of the input "iterations", or None if there is no such input. Other inputs
        are random.
      rounds: number of timing rounds, at least 1.
      threads: number of threads of the interpreter and of the matrix product.
      num_bytes: how much memory the process may take, see `tflite_trial.allowed_bytes`.
    Returns:
      The same as `measurement.measure`; the product is NumPy's.
    Raises:
      InputError: the interpreter refuses the file, crashes, takes longer than TIMEOUT, or as long for the first calls
        as no trial may take.
    """
    job = {"path": str(path), "calls": calls, "rounds": rounds, "threads": threads, "num_bytes": num_bytes}
    environment = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    try:
        answer = child_process.run("tfseg.profiling.tflite_timing", job, TIMEOUT, environment)
    except child_process.ChildError as error:
        raise InputError(f"{path}: the interpreter cannot run it ({error}); export or download it again") from error
    if not answer["has_delegates"]:
        say(f"note: {path}: the interpreter's faster kernels refuse it; the times are those of the plain ones")
    return answer["taken"], answer["grown"]


def _measure(path, calls, rounds, threads, num_bytes):
    matrix = np.random.default_rng(0).standard_normal([MATRIX_SIDE, MATRIX_SIDE], np.float32)

    def prepared(interpreter):
        """Returns the calls, and the growth of memory in their first runs."""
        generator = np.random.default_rng(0)
        ready = {
            key: _signature(interpreter, signature, iterations, generator)
            if signature is not None
            else _subgraph(interpreter, generator)
            for key, (signature, iterations) in calls.items()
        }
        return ready, {key: resident_growth(call) for key, call in ready.items()}

    tflite_interpreter.library()  # is not to count
    child_process.limit(num_bytes, tflite_trial.PROCESSOR_SECONDS)
    has_delegates, (ready, grown) = tflite_interpreter.first_that_runs(path, threads, prepared)
    child_process.unlimit_time()
    taken = timed(ready, functools.partial(np.matmul, matrix, matrix), rounds)
    return {"taken": taken, "grown": grown, "has_delegates": has_delegates}


def _signature(interpreter, name, iterations, generator):
    runner = interpreter.get_signature_runner(name)
    values = {key: _values(detail, generator) for key, detail in runner.get_input_details().items()}
    if iterations is not None:
        values["iterations"] = np.full_like(values["iterations"], iterations)
    return functools.partial(runner, **values)


def _subgraph(interpreter, generator):
    values = {detail["index"]: _values(detail, generator) for detail in interpreter.get_input_details()}

    def call():
        for index, value in values.items():
            interpreter.set_tensor(index, value)
        interpreter.invoke()
        return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]

    return call


def _values(detail, generator):
    """Returns random values, 0 to 255, for images (bytes or floats); other integers are 0, a valid index anywhere."""
    dtype = np.dtype(detail["dtype"])
    is_image = dtype.kind == "f" or dtype.itemsize == 1
    return (generator.random(detail["shape"]) * 255 * is_image).astype(dtype)


if __name__ == "__main__":
    child_process.answer(lambda job: _measure(**job))
