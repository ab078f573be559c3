"""Runs work that may take its process down in a separate process.

The child process is a module run as a program. It reads the job as JSON from stdin; its answer is the last line of
stdout, also as JSON. It never outlives its parent.
"""

import contextlib
import ctypes
import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

from tfseg.errors import shortened

# Signals that end a Python process at once, before it could end its child.
ENDING = (signal.SIGTERM, signal.SIGHUP)
PR_SET_PDEATHSIG = 1  # of Linux' prctl


class ChildError(Exception):
    """The child process gave no answer; the message is one line that says why."""


def run(module, job, timeout, environment=None) -> dict:
    """Returns the answer of `python -m module` to a job.

    Whatever ends the wait - the timeout, Ctrl-C, a signal - also ends the child and all that it started. SIGTERM and
    SIGHUP become SystemExit meanwhile, so that callers can clean up.

    Args:
      module: dotted name of a module that calls `answer` when it is run as a program.
      job: the job in JSON types.
      timeout: largest number of seconds that it may take; None for no limit.
      environment: environment variables in addition to those of this process.
    Raises:
      ChildError: the child was killed by a signal, failed, answered {"error": text}, or took too long.
    """
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    with _signals_as_exits():
        child = subprocess.Popen(
            command_of(module),
            env=os.environ | {"PYTHONPATH": path} | (environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a group of its own, which can be ended as a whole
        )
        with child:
            try:
                stdout, stderr = child.communicate(json.dumps({"parent": os.getpid(), "job": job}), timeout)
            except subprocess.TimeoutExpired:
                raise ChildError(f"it did not end within {timeout} seconds") from None
            finally:
                if child.returncode is None:
                    _kill_group(child)
    try:
        answered = json.loads(stdout.splitlines()[-1])
    except (IndexError, json.JSONDecodeError):
        raise ChildError(_ending(child.returncode, stderr)) from None
    if "error" in answered:
        raise ChildError(shortened(answered["error"], 150))
    return answered


def command_of(module) -> list[str]:
    """Returns the command line that runs a module as a child."""
    return [sys.executable, "-P", "-W", "ignore", "-m", module]


def answer(work):
    """Does the child's part: reads the job, and prints `work(job)` or the first line of the exception it raises."""
    received = json.load(sys.stdin)
    end_with(received["parent"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash leaves no file behind
    try:
        answered = work(received["job"])
    except Exception as error:
        lines = str(error).strip().splitlines()
        answered = {"error": f"{type(error).__name__}: {lines[0] if lines else ''}"}
    print()
    print(json.dumps(answered))


def end_with(parent: int):
    """Makes this process end as soon as its parent, of that process id, does, even by SIGKILL."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before
        os._exit(1)


def limit(num_bytes, seconds):
    """Limits what this process may use from now on; beyond it, allocations fail, or SIGXCPU ends the process.

    Args:
      num_bytes: memory in addition to what it has.
      seconds: processor time in addition to what it has used, of all threads together. It does not pass while other
        processes use the machine.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    _lower(resource.RLIMIT_CPU, int(used.ru_utime + used.ru_stime + seconds) + 1)
    with contextlib.suppress(OSError):  # systems without /proc do not tell how much memory it has
        [held] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmData:")]
        _lower(resource.RLIMIT_DATA, 1024 * int(held.split()[1]) + num_bytes)


def unlimit_time():
    """Takes the limit of processor time back."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (hard, hard))


def _lower(what, wanted):
    soft, hard = resource.getrlimit(what)
    limits = [one for one in (wanted, soft, hard) if one != resource.RLIM_INFINITY]
    resource.setrlimit(what, (min(limits), hard))


@contextlib.contextmanager
def _signals_as_exits():
    """Turns signals that would end this process at once into SystemExit, where nobody else handles them."""
    if threading.current_thread() is not threading.main_thread():  # no other thread may set handlers
        yield
        return

    def leave(number, frame):
        raise SystemExit(128 + number)

    replaced = [number for number in ENDING if signal.getsignal(number) == signal.SIG_DFL]
    try:
        for number in replaced:
            signal.signal(number, leave)
        yield
    finally:
        for number in replaced:
            signal.signal(number, signal.SIG_DFL)


def _kill_group(child):
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has just ended
        os.killpg(child.pid, signal.SIGKILL)


def _ending(code, stderr):
    if code == -signal.SIGXCPU:
        return "it used up its processor time"
    if code < 0:
        return f"it ended by {signal.Signals(-code).name}"
    return shortened((stderr.strip().splitlines() or [f"exit code {code}"])[-1], 150)
