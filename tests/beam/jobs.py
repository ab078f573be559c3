"""Jobs for tests, and a stand-in for Beam that does their tasks in this process, the last one first."""

import dataclasses
import os
import signal
from pathlib import Path

from tfseg.errors import RunError


@dataclasses.dataclass(frozen=True)
class Squares:
    """Squares the numbers of a task.

    Attributes:
      folder: each task is noted in a file there, so that tests can count how often it was done.
      deadly: number whose worker is killed when it is worked on for the first time.
      broken: number at which the job fails.
    """

    folder: Path
    deadly: int | None = None
    broken: int | None = None
    loads_model: bool = False

    def load(self):
        return None

    def work(self, task, loaded):
        with open(self.folder / f"{task[0]}", "a") as file:
            file.write(f"{os.getpid()}\n")
        if self.deadly in task and len((self.folder / f"{task[0]}").read_text().splitlines()) == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.broken in task:
            raise RunError(f"{self.broken}: the disk is full")
        return [number**2 for number in task]


def run_here(job, tasks, place, runner, title, size_of=len):
    """As `launching.run`."""
    loaded, tasks = job.load(), list(tasks)
    results = {number: job.work(tasks[number], loaded) for number in reversed(range(len(tasks)))}
    return [results[number] for number in range(len(tasks))]
