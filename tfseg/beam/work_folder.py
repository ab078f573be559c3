"""The tasks of a job and their results, as files that all workers see."""

import dataclasses
import os
import pickle
import typing
from collections.abc import Iterable, Iterator
from pathlib import Path

from tfseg.system.files import write_atomically

JOB, TASKS, RESULTS = "job.pickle", "tasks", "results"


class Job(typing.Protocol):
    """What workers do. It is pickled, and so are tasks and results.

    Attributes:
      loads_model: whether `load` gives something that a worker process should load only once.
    """

    loads_model: bool

    def load(self):
        """Returns what `work` needs beside a task; None if it needs nothing."""

    def work(self, task, loaded):
        """Does a task and returns its result. A task may be done twice, even at once: what it writes must be the same.

        Raises:
          InputError, RunError: the whole job cannot go on.
        """


@dataclasses.dataclass(frozen=True)
class WorkFolder:
    """Tasks and results of one job.

    A pipeline only carries numbers of tasks: paths of millions of files would be too much for the description of a
    pipeline, which some runners limit to a few megabytes. A result is there whole or not at all, so what is left to do
    can be seen after any kill.

    Attributes:
      path: a folder that only its owner may write, because workers unpickle what is in it.
    """

    path: Path

    @classmethod
    def create(cls, path, job: Job, tasks: Iterable) -> "WorkFolder":
        """Fills an empty folder."""
        work = cls(Path(path))
        work.path.chmod(0o700)
        for name in (TASKS, RESULTS):
            (work.path / name).mkdir()
        (work.path / JOB).write_bytes(pickle.dumps(job))
        for number, task in enumerate(tasks):
            work._file(TASKS, number).write_bytes(pickle.dumps(task))
        return work

    def job(self) -> Job:
        return self._unpickled(self.path / JOB)

    def complete(self, number: int, job: Job, loaded=None):
        """Does one task and keeps its result. Raises what the task raises."""
        result = job.work(self._unpickled(self._file(TASKS, number)), loaded)
        write_atomically(self._file(RESULTS, number), pickle.dumps(result))

    def done(self) -> set[int]:
        """Returns the numbers of the tasks whose results are there."""
        names = [entry.name for entry in os.scandir(self.path / RESULTS)]
        return {int(Path(name).stem) for name in names if not name.startswith(".")}

    def missing(self) -> list[int]:
        """Returns the numbers of the tasks that are to be done, in order."""
        num_tasks = len(os.listdir(self.path / TASKS))
        return sorted(set(range(num_tasks)) - self.done())

    def results(self) -> Iterator:
        """Yields the results in the order of the tasks."""
        for number in sorted(self.done()):
            yield self._unpickled(self._file(RESULTS, number))

    def _file(self, kind, number):
        return self.path / kind / f"{number:07d}.pickle"

    def _unpickled(self, path):
        return pickle.loads(path.read_bytes())
