"""Times the signatures of a .tflite file in a separate process, so that a broken file crashes only that process."""

import functools

import numpy as np

from tfseg.errors import InputError
from tfseg.inference.engines import tflite_runtime
from tfseg.profiling.measurement import MATRIX_SIDE, measure
from tfseg.system import child_process

TIMEOUT = 900  # seconds; a measurement normally ends by itself soon after a minute


def run(path, calls, rounds, threads):
    """Measures time and memory of calls, in turn with a product of two matrices on as many threads.

    Args:
      path: the .tflite file's path.
      calls: {key: (signature, iterations)}; keys are strings. The signature is its name, or None in a file without
        signatures. Iterations is the value of the input "iterations", or None if there is no such input. Other inputs
        are random.
      rounds: number of timing rounds, at least 1.
      threads: number of threads of the interpreter and of the matrix product.
    Returns:
      The same as `measurement.measure`; the product is NumPy's.
    Raises:
      InputError: the interpreter refuses the file, crashes, or takes longer than TIMEOUT.
    """
    job = {"path": str(path), "calls": calls, "rounds": rounds, "threads": threads}
    environment = {"OPENBLAS_NUM_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
    try:
        answer = child_process.run("tfseg.profiling.tflite_timing", job, TIMEOUT, environment)
    except child_process.ChildError as error:
        raise InputError(f"{path}: the interpreter cannot run it ({error}); export or download it again") from error
    return answer["taken"], answer["grown"]


def _measure(path, calls, rounds, threads):
    interpreter = tflite_runtime.interpreter(path, threads)
    generator = np.random.default_rng(0)
    matrix = generator.standard_normal([MATRIX_SIDE, MATRIX_SIDE], np.float32)
    prepared = {
        key: _signature(interpreter, signature, iterations, generator)
        if signature is not None
        else _subgraph(interpreter, generator)
        for key, (signature, iterations) in calls.items()
    }
    taken, grown = measure(prepared, functools.partial(np.matmul, matrix, matrix), rounds)
    return {"taken": taken, "grown": grown}


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
