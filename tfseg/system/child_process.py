"""Runs work that may take its process down in a separate process.

The child process is a module run as a program. It reads the job as JSON from stdin; its answer is the last line of
stdout, also as JSON.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


class ChildError(Exception):
    """The child process gave no answer; the message is one line that says why."""


def run(module, job, timeout, environment=None) -> dict:
    """Returns the answer of `python -m module` to a job.

    Args:
      module: dotted name of a module that calls `answer` when it is run as a program.
      job: the job in JSON types.
      timeout: largest number of seconds that it may take.
      environment: environment variables in addition to those of this process.
    Raises:
      ChildError: the child was killed by a signal, failed, answered {"error": text}, or took too long.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    try:
        child = subprocess.run(
            [sys.executable, "-P", "-W", "ignore", "-m", module],
            input=json.dumps(job),
            env=os.environ | {"PYTHONPATH": path} | (environment or {}),
            capture_output=True,
            text=True,
            timeout=timeout,
        )
    except subprocess.TimeoutExpired:
        raise ChildError(f"it did not end within {timeout} seconds") from None
    try:
        answered = json.loads(child.stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        raise ChildError(_ending(child)) from None
    if "error" in answered:
        raise ChildError(answered["error"])
    return answered


def answer(work):
    """Does the child's part: reads the job, and prints `work(job)` or the first line of the exception it raises."""
    try:
        answered = work(json.load(sys.stdin))
    except Exception as error:
        lines = str(error).strip().splitlines()
        answered = {"error": f"{type(error).__name__}: {lines[0] if lines else ''}"}
    print()
    print(json.dumps(answered))


def _ending(child):
    if child.returncode < 0:
        return f"it ended by {signal.Signals(-child.returncode).name}"
    return (child.stderr.strip().splitlines() or [f"exit code {child.returncode}"])[-1]
