"""Tries a .tflite file in a process of its own, which it may take down: this module, run as a program."""

from pathlib import Path

from tfseg.inference.engines.tflite_interpreter import first_that_runs, invoke, library, tensor_of, tensors_of, zeros
from tfseg.system import child_process

# Each signature is run once. Segmenters take seconds of processor time for an image, on slow machines some tens. Loops
# that never end use it up as fast as the machine is free for them; the clock ends what only waits.
PROCESSOR_SECONDS, SECONDS = 60, 300
# What a trial may allocate: some for any file, the rest in proportion to the activations and to the file, whose weights
# the interpreter may hold unpacked and repacked.
SPARE_BYTES, ACTIVATIONS_FACTOR, FILE_FACTOR = 2 << 30, 3, 6


def run(path, model) -> bool:
    """Runs everything in a file once, on zeros; returns whether that works with the interpreter's default delegates.

    Args:
      path: the file's path.
      model: the result of `tflite_file.read`.
    Raises:
      ChildError: the interpreter refuses the file, crashes on it, or takes more than the trial's time or memory.
    """
    job = {"path": path, "num_bytes": allowed_bytes(model, path), "seconds": PROCESSOR_SECONDS}
    return child_process.run("tfseg.inference.engines.tflite_trial", job, SECONDS)["has_delegates"]


def allowed_bytes(model, path) -> int:
    """Returns how much memory running a file may take, from `tflite_file.read`'s result and the file's path."""
    from tfseg.formats import tflite_memory  # slow to import, and a child process does not need it

    activations = ACTIVATIONS_FACTOR * tflite_memory.activation_bytes(model)
    return SPARE_BYTES + activations + FILE_FACTOR * Path(path).stat().st_size


def _trial(job):
    """The work of the child process."""
    library()  # is not to count
    child_process.limit(job["num_bytes"], job["seconds"])
    has_delegates, _ = first_that_runs(job["path"], 1, _call_all)
    return {"has_delegates": has_delegates}


def _call_all(opened):
    for name in opened.get_signature_list():
        runner = opened.get_signature_runner(name)
        details = tensors_of(runner.get_input_details())
        runner(**{key: zeros(tensor) for key, tensor in details.items()})
    if not opened.get_signature_list():
        invoke(opened, {detail["index"]: zeros(tensor_of(detail)) for detail in opened.get_input_details()})


if __name__ == "__main__":
    child_process.answer(_trial)
