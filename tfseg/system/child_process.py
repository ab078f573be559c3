"""Work that may take its process down, in a process of its own.

A child is a module run as a program: the job comes as JSON on stdin, the answer is the last line of stdout.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path


class ChildError(Exception):
    """Why there is no answer, in a line."""


def run(module, job, timeout, environment=None) -> dict:
    """The answer of `python -m module` to a job.

    Args:
      module: dotted name; its program calls `answer`.
      job: JSON types.
      timeout: seconds.
      environment: variables beside those of this process.
    Raises:
      ChildError: it was killed by a signal, failed, answered {"error": text}, or took too long.
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
    """What the child's program calls: reads the job, prints `work(job)`, or the first line of what it raises."""
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
