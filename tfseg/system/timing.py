"""Measures the wall time of calls side by side."""

import time

import numpy as np


def interleaved(calls, rounds=20, seconds=60.0) -> dict[str, list[float]]:
    """Measures the milliseconds that each call takes, round after round.

    All are called in turn, so that a slow moment of the machine does not affect only one of them. An extra round at the
    start is not counted: it traces, allocates and warms up.

    Args:
      calls: {name: callable without arguments that returns when its work is done}.
      rounds: largest number of rounds; at least one runs.
      seconds: no further round begins after this time.
    Returns:
      {name: milliseconds of the call in each round}.
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
    """Returns the median of a list of times."""
    return float(np.median(milliseconds))


def p95(milliseconds) -> float:
    """Returns the time within which 95 % of the calls stay."""
    return float(np.percentile(milliseconds, 95))
