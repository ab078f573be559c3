"""Waiting for other processes: a limit ends what hangs, and is out of reach of what is slow.

A machine that others use takes ten times as long as a quiet one, and more. What a test waits for is an event.
"""

import time

HANG_SECONDS = 1500  # below the limit of a whole test (pyproject.toml), which cannot say what did not come


def finish(process) -> tuple[str, str]:
    """(stdout, stderr) of a subprocess.Popen once it has ended; one that hangs is killed and is an error."""
    try:
        return process.communicate(timeout=HANG_SECONDS)
    finally:
        process.kill()


def wait_for(condition, process=None):
    """The first true value of `condition()`, which is asked again and again.

    Args:
      process: subprocess.Popen that is to bring it about, if one is; killed where it does not.
    Raises:
      AssertionError: the process ended without it, or something hangs.
    """
    hangs_at = time.monotonic() + HANG_SECONDS
    while True:
        has_ended = process and process.poll() is not None  # asked before: what it did last counts
        if result := condition():
            return result
        if has_ended or time.monotonic() > hangs_at:
            raise AssertionError(f"waited in vain; {_ending(process) if process else 'nothing comes'}")
        time.sleep(0.02)


def _ending(process):
    process.kill()
    _, error = process.communicate()
    return f"exit code {process.returncode}: {(error or '')[-2000:]}"
