"""Runs a job's tasks on a runner of Apache Beam. This module itself needs no Beam until a job runs."""

import contextlib
import dataclasses
import difflib
import importlib.util
import io
import os
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from tfseg.beam.work_folder import Job, WorkFolder
from tfseg.errors import InputError, RunError, shortened
from tfseg.system import child_process
from tfseg.system.files import partial_folder
from tfseg.system.progress import say, with_progress

INSTALL = "make setup-beam, or pip install -r requirements-beam.txt in an environment of its own"
PIPELINE = "tfseg.beam.pipeline_process"
DIRECT = "DirectRunner"
WORKERS, MODE, PROCESSES = "direct_num_workers", "direct_running_mode", "multi_processing"
MOST_STARTS = 3  # of a pipeline whose workers die before a single further task is done
POLL_SECONDS = 1
# Network file systems may show what another machine wrote only after this time.
VISIBLE_SECONDS = 90


@dataclasses.dataclass(frozen=True)
class BeamRunner:
    """Where a job runs.

    Attributes:
      name: Beam's name of the runner, e.g. "DirectRunner".
      options: Beam's options, "name=value" or "name".
      log: file in which what Beam and its workers print is kept if a job fails.
    """

    name: str
    options: tuple[str, ...] = ()
    log: str = "beam.log"

    @property
    def is_direct(self) -> bool:
        """Whether all workers are processes of this machine, started by Beam."""
        return self.name == DIRECT

    @property
    def words(self) -> list[str]:
        """The options as Beam's command line has them."""
        return [f"--{option.lstrip('-')}" for option in self.options]

    def check(self):
        """Raises InputError unless Beam is installed, and knows the runner and, for DirectRunner, the options."""
        if importlib.util.find_spec("apache_beam") is None:
            raise InputError(f"--runner={self.name} needs Apache Beam: {INSTALL}")
        from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

        names = StandardOptions.KNOWN_RUNNER_NAMES
        if self.name not in names:
            near = difflib.get_close_matches(self.name, names, 1, cutoff=0.4)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise InputError(f"--runner={self.name}: none of Beam's runners, {', '.join(names)}{meant}")
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said):
                known = PipelineOptions(self.words).get_all_options()
        except SystemExit:
            reason = said.getvalue().strip().splitlines()[-1].rpartition("error: ")[2]
            raise InputError(f"--beam_option: {reason}") from None
        # Other runners have options that only their servers know.
        for option in self.options if self.is_direct else ():
            name = option.lstrip("-").partition("=")[0]
            if name.removeprefix("no_") not in known:
                raise InputError(f"--beam_option={option}: Beam has no such option for {DIRECT}; e.g. {WORKERS}=4")

    def with_workers(self, number: int) -> "BeamRunner":
        """Returns the runner with this number of worker processes, if it is DirectRunner and nobody chose them."""
        names = {option.lstrip("-").partition("=")[0] for option in self.options}
        if not self.is_direct or names & {WORKERS, MODE}:
            return self
        return dataclasses.replace(self, options=(*self.options, f"{WORKERS}={number}"))


def run(job: Job, tasks: Iterable, place, runner: BeamRunner, title: str, size_of: Callable = len) -> list:
    """Runs job.work(task, loaded) for every task on the runner's workers.

    If a worker process of DirectRunner dies, the pipeline is started again with the tasks that are left. Other runners
    look after their workers themselves.

    Args:
      job: what is done.
      tasks: picklable.
      place: path beside which a folder for tasks and results is made; all workers must see it under this path. It is
        removed at the end or, after a kill, by the next call.
      runner: a BeamRunner that was checked.
      title: title of the progress bar.
      size_of: number of images of a task, for the progress.
    Returns:
      The results in the order of the tasks.
    Raises:
      RunError: a worker failed, or worker processes die again and again.
    """
    tasks, log = list(tasks), Path(runner.log)
    log.unlink(missing_ok=True)
    if not tasks:
        return []
    with partial_folder(place) as folder:
        work = WorkFolder.create(folder.absolute(), job, tasks)
        with _progress(work, list(map(size_of, tasks)), title):
            _run_pipelines(work, runner)
        log.unlink(missing_ok=True)
        return list(work.results())


def _run_pipelines(work, runner):
    num_starts = 0
    while missing := work.missing():
        num_starts += 1
        death = _run_pipeline(work, missing, runner)
        left = work.missing() if death else _missing_at_last(work, runner)
        if left and not death:
            raise RunError(f"{runner.name}: {len(left)} of {len(missing)} tasks have no result; see {runner.log}")
        if len(left) < len(missing):
            num_starts = 0
        if num_starts == MOST_STARTS:
            raise RunError(f"{runner.name}: {death}, {MOST_STARTS} times; see {runner.log}")
        if left:
            say(f"{runner.name}: {death}; started again for what is left, {len(left)} of {len(missing)} tasks")


def _run_pipeline(work, numbers, runner):
    """Returns None if the pipeline ran to its end, or how a process of it died. Raises RunError if it failed."""
    job = {
        "work": str(work.path),
        "numbers": numbers,
        "runner": runner.name,
        "options": runner.words,
        "log": os.path.abspath(runner.log),
    }
    try:
        answer = child_process.run(PIPELINE, job, timeout=None)
    except child_process.ChildError as error:
        return f"the process of the pipeline died ({error})"
    if answer["failure"]:
        raise RunError(shortened(f"{runner.name}: {answer['failure']}; see {runner.log}"))
    return answer["death"]


def _missing_at_last(work, runner):
    """Returns the tasks without a result, once all that was written can be seen."""
    end = time.monotonic() + (0 if runner.is_direct else VISIBLE_SECONDS)
    while (missing := work.missing()) and time.monotonic() < end:
        time.sleep(POLL_SECONDS)
    return missing


class _Ended(Exception):
    """The pipeline ended before all was done."""


@contextlib.contextmanager
def _progress(work, sizes, title):
    """Shows the progress, which no runner tells, by the results that are there."""
    ended = threading.Event()

    def completed():
        seen = set()
        while len(seen) < len(sizes):
            was_ended = ended.wait(POLL_SECONDS)
            for number in sorted(work.done() - seen):
                seen.add(number)
                yield from range(sizes[number])
            if was_ended:
                raise _Ended

    def show():
        with contextlib.suppress(_Ended):
            for _ in with_progress(completed(), sum(sizes), title):
                pass

    thread = threading.Thread(target=show, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
