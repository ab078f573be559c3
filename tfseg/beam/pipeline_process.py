"""The process that runs a pipeline: Beam's threads wait for ever for a worker that died, so it has to be ended.

python -m tfseg.beam.pipeline_process, with a job for `tfseg.system.child_process` on stdin.
"""

import json
import os
import re
import shlex
import sys
import threading
import traceback
from pathlib import Path

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import PipelineState
from apache_beam.transforms.environments import SubprocessSDKEnvironment

from tfseg.beam.launching import DIRECT, MODE, PROCESSES
from tfseg.beam.task_handler import TaskHandler, complete
from tfseg.beam.work_folder import WorkFolder
from tfseg.system import child_process

DEATH = "a worker process died, most likely for lack of memory"
WORKER = "tfseg.beam.direct_worker"
WORKER_THREAD = "run_worker"  # Beam's name of the thread that waits for a worker process


def run(job) -> dict:
    """Runs a pipeline over numbers of tasks.

    Args:
      job: "work", path of a WorkFolder; "numbers" of its tasks; "runner" and "options" of Beam; "log", a file to which
        all that Beam and its workers print is added.
    Returns:
      {"failure": why the pipeline failed, or None; "death": how a worker process died, or None}.
    """
    with open(job["log"], "ab") as log:
        os.dup2(log.fileno(), sys.stderr.fileno())
    threading.excepthook = _answer_if_a_worker_died
    work = WorkFolder(Path(job["work"]))
    try:
        runner, options = _runner(job["runner"], job["options"])
        pipeline = beam.Pipeline(runner, options)
        numbers = pipeline | beam.Create(job["numbers"]) | beam.Reshuffle()
        if work.job().loads_model:
            _ = numbers | RunInference(TaskHandler(work, os.getcwd()))
        else:
            _ = numbers | "complete" >> beam.Map(complete, work, os.getcwd())
        state = pipeline.run().wait_until_finish()
    except Exception as error:
        traceback.print_exc()
        return {"failure": reason(error), "death": None}
    return {"failure": None if state == PipelineState.DONE else f"the pipeline ended as {state}", "death": None}


def reason(error) -> str:
    """Returns what a worker's exception says, without the traceback that Beam makes its text of."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    line = re.sub(r"\s*\[while running .*\]$", "", lines[-1])
    return re.sub(r"^tfseg\.errors\.\w+: ", "", line)


def _runner(name, words):
    """Returns (runner, PipelineOptions)."""
    if name != DIRECT:
        return name, PipelineOptions(words)
    if any(word.startswith(f"--{MODE}=") and word != f"--{MODE}={PROCESSES}" for word in words):
        return FnApiRunner(), PipelineOptions(words)
    # Beam's own DirectRunner would fetch a program from the net and run it, and its workers outlive a killed pipeline.
    command = [sys.executable, "-P", "-W", "ignore", "-m", WORKER, str(os.getpid())]
    environment = SubprocessSDKEnvironment.from_command_string(f"exec {shlex.join(command)} 1>&2")
    options = [word for word in words if not word.startswith(f"--{MODE}=")]
    return FnApiRunner(default_environment=environment), PipelineOptions(options)


def _answer_if_a_worker_died(raised):
    threading.__excepthook__(raised)
    if raised.thread and raised.thread.name == WORKER_THREAD:
        print(f"\n{json.dumps({'failure': None, 'death': DEATH})}", flush=True)
        os._exit(0)  # its other workers end with it


if __name__ == "__main__":
    child_process.answer(run)
