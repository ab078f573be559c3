"""Times the signatures of a .tflite file in a process of its own, which a broken file may take down.

The child is this module, run as a program: the job comes as JSON on stdin, the answer is the last line of stdout.
"""

import functools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np

from tfseg.errors import InputError
from tfseg.export import tflite_runtime
from tfseg.profiling.measurement import MATRIX_SIDE, measure

TIMEOUT = 900  # seconds, of a measurement that ends by itself soon after a minute


def run(path, calls, rounds, threads):
    """Milliseconds and memory of calls, in turn with a product of two matrices on as many threads.

    Args:
      path: of the .tflite file.
      calls: {key: (signature, iterations)}; key and signature are strings, the signature is None in a file without any,
        iterations are what the input of that name gets, None where it has none. Other inputs are random.
      rounds: of timing, at least 1.
      threads: of the interpreter and of the matrix product.
    Returns:
      As `measurement.measure`, whose product is NumPy's here.
    Raises:
      InputError: the interpreter refuses the file, breaks, or takes longer than TIMEOUT.
    """
    root = str(Path(__file__).resolve().parents[2])
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH")))),
        "OPENBLAS_NUM_THREADS": str(threads),
        "OMP_NUM_THREADS": str(threads),
    }
    job = {"path": str(path), "calls": calls, "rounds": rounds, "threads": threads}
    command = [sys.executable, "-P", "-W", "ignore", "-m", "tfseg.profiling.tflite_timing"]
    try:
        child = subprocess.run(
            command, input=json.dumps(job), env=environment, capture_output=True, text=True, timeout=TIMEOUT
        )
    except subprocess.TimeoutExpired:
        raise InputError(f"{path}: the interpreter did not end within {TIMEOUT} seconds") from None
    try:
        answer = json.loads(child.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        answer = {"error": _ending(child)}
    if "error" in answer:
        raise InputError(f"{path}: the interpreter cannot run it ({answer['error']}); export or download it again")
    return answer["taken"], answer["grown"]


runtime = tflite_runtime.runtime


def _ending(child):
    if child.returncode < 0:
        return f"it ended by {signal.Signals(-child.returncode).name}"
    return (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]


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
    """Random numbers from 0 to 255 for images, floats among them; other whole numbers are 0, and so index anything."""
    dtype = np.dtype(detail["dtype"])
    is_image = dtype.kind == "f" or dtype.itemsize == 1
    return (generator.random(detail["shape"]) * 255 * is_image).astype(dtype)


def _answer():
    try:
        return _measure(**json.load(sys.stdin))
    except Exception as error:  # the interpreter raises what it likes; the parent gives it to the user as one line
        return {"error": " ".join(str(error).split()) or type(error).__name__}


if __name__ == "__main__":
    print(json.dumps(_answer()))
