"""The memory that this process holds."""

import re
from pathlib import Path


def held_bytes() -> int | None:
    """Returns the resident memory of this process in bytes; None where the system does not tell."""
    return _status("VmRSS")


def growth_in(call) -> int | None:
    """Calls `call()`; returns by how many bytes the peak meanwhile exceeds what was held before; None if not told."""
    before = held_bytes()
    try:
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    except OSError:
        before = None
    call()
    return None if before is None else max(_status("VmHWM") - before, 0)


def _status(field):
    try:
        return int(re.search(rf"{field}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    except OSError:
        return None
