"""Waits for other processes. A time limit ends those that hang, and is too long to end those that are only slow.

On a machine that others use, a process can take more than ten times as long as on a quiet one. So a test waits for an
event, not for a time.
"""

import time

HANG_SECONDS = 1500  # less than the limit of a whole test (pyproject.toml), which cannot say what a test waited for


def finish(process) -> tuple[str, str]:
    """(stdout, stderr) of a subprocess.Popen once it has ended. If it hangs, kills it and raises TimeoutExpired."""
    try:
        return process.communicate(timeout=HANG_SECONDS)
    finally:
        process.kill()


def wait_for(condition, process=None):
    """Calls `condition()` again and again and returns its first true value.

    Args:
      condition: callable without arguments.
      process: the subprocess.Popen that should make the condition true, if there is one; it is killed on failure.
    Raises:
      AssertionError: the process ended and the condition is not true, or nothing happens for HANG_SECONDS.
    """
    hangs_at = time.monotonic() + HANG_SECONDS
    while True:
        has_ended = process and process.poll() is not None  # polled first, so that what it did last still counts
        if result := condition():
            return result
        if has_ended or time.monotonic() > hangs_at:
            raise AssertionError(f"waited in vain; {_ending(process) if process else 'nothing comes'}")
        time.sleep(0.02)


def _ending(process):
    process.kill()
    _, error = process.communicate()
    return f"exit code {process.returncode}: {(error or '')[-2000:]}"
