"""Calls are timed in turn."""

import types

import pytest

from tfseg.system import timing


@pytest.fixture
def nap(monkeypatch):
    """A call of 20 milliseconds, on a clock that nothing else moves."""
    clock = types.SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(timing.time, "perf_counter", lambda: clock.seconds)

    def sleep():
        clock.seconds += 0.02

    return sleep


def test_calls_take_turns_and_the_first_round_is_not_counted():
    order = []
    taken = timing.interleaved({name: lambda name=name: order.append(name) for name in "ab"}, rounds=3)
    assert "".join(order) == "abababab"
    assert {name: len(times) for name, times in taken.items()} == {"a": 3, "b": 3}


def test_times_are_milliseconds(nap):
    assert timing.interleaved({"nap": nap}, rounds=2) == {"nap": pytest.approx([20, 20])}


@pytest.mark.parametrize(("seconds", "rounds"), [(0.0, 1), (0.03, 2), (0.05, 3), (1e9, 5)])
def test_no_round_begins_after_the_time_but_one_always_runs(nap, seconds, rounds):
    assert len(timing.interleaved({"nap": nap}, rounds=5, seconds=seconds)["nap"]) == rounds


def test_median_and_95th_percentile():
    assert timing.median([1.0, 9.0, 2.0]) == 2
    assert timing.p95(list(range(101))) == 95
