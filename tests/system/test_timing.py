"""Calls are timed in turn."""

import time

from tfseg.system import timing


def test_calls_take_turns_and_the_first_round_is_not_counted():
    order = []
    taken = timing.interleaved({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3)
    assert "".join(order) == "abababab"
    assert {name: len(times) for name, times in taken.items()} == {"a": 3, "b": 3}


def test_times_are_milliseconds():
    taken = timing.interleaved({"nap": lambda: time.sleep(0.02)}, rounds=2)
    assert min(taken["nap"]) >= 20


def test_no_round_begins_after_the_time_but_one_always_runs():
    taken = timing.interleaved({"nap": lambda: time.sleep(0.01)}, rounds=1000, seconds=0.0)
    assert len(taken["nap"]) == 1


def test_median_and_95th_percentile():
    assert timing.median([1.0, 9.0, 2.0]) == 2
    assert timing.p95(list(range(101))) == 95
