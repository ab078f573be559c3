"""Wall time of calls, measured side by side."""

import time

import numpy as np


def interleaved(calls, rounds=20, seconds=60.0) -> dict[str, list[float]]:
    """Milliseconds of each call, round after round.

    All are called in turn, so that a slow moment of the machine does not fall on one of them. A round before the first
    is not counted: it traces, allocates and warms up.

    Args:
      calls: {name: callable without arguments that returns when its work is done}.
      rounds: at most; fewer if no more begin within `seconds`, at least one.
    """
    taken = {name: [] for name in calls}
    for call in calls.values():
        call()
    start = time.perf_counter()
    for index in range(rounds):
        if index and time.perf_counter() - start > seconds:
            break
        for name, call in calls.items():
            begin = time.perf_counter()
            call()
            taken[name].append(1000 * (time.perf_counter() - begin))
    return taken


def median(milliseconds) -> float:
    """Of a list of times."""
    return float(np.median(milliseconds))


def p95(milliseconds) -> float:
    """The time that 95 % of the calls stay within."""
    return float(np.percentile(milliseconds, 95))
