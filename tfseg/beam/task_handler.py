"""What Beam calls in worker processes."""

import os
import threading

from apache_beam.ml.inference.base import ModelHandler

from tfseg.beam.work_folder import WorkFolder
from tfseg.errors import RunError


class Loaded:
    """A job and what it has loaded.

    TensorFlow uses all cores for one image, and a job need not be safe for threads, of which some runners start several
    in a process: one task at a time holds the lock.
    """

    def __init__(self, job):
        self.job, self.content, self.lock = job, job.load(), threading.Lock()


class TaskHandler(ModelHandler):
    """Lets Beam's RunInference do tasks: the model is loaded once a process, and Beam's metrics tell how long it took.

    Args:
      work: a WorkFolder; an example is the number of a task, which the worker reads itself.
      folder: folder in which the command ran, to which paths may be relative.
    """

    def __init__(self, work: WorkFolder, folder: str):
        super().__init__()
        self._work, self._folder = work, folder

    def load_model(self) -> Loaded:
        enter(self._folder)
        return Loaded(self._work.job())

    def run_inference(self, batch, model: Loaded, inference_args=None):
        for number in batch:
            with model.lock:
                self._work.complete(number, model.job, model.content)
        return batch

    def get_num_bytes(self, batch) -> int:
        return 8 * len(batch)

    def batch_elements_kwargs(self):
        return {"min_batch_size": 1, "max_batch_size": 1}


def complete(number: int, work: WorkFolder, folder: str) -> int:
    """Does a task for which nothing has to be loaded. Raises what it raises."""
    enter(folder)
    work.complete(number, work.job())
    return number


def enter(folder):
    """Changes into the folder in which the command ran. Raises RunError if this machine does not have it."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise RunError(f"{folder}: {error.strerror} on {os.uname().nodename}; all machines must see it") from None
