"""The number of iterations of a segment file that fits into a time."""

import functools
import math

import numpy as np
import pytest

from tests.clocked import clocked
from tfseg.errors import InputError
from tfseg.export import latency


@pytest.fixture
def fitted(planned, monkeypatch):
    """fitted(milliseconds, first, further) -> (choice, numbers that were made) on a machine of these times."""

    def fit(milliseconds, first, further, most=9):
        export, _ = planned(formats=("tflite",), kinds=("segment",), max_iterations=most)
        made, machine = [], clocked(monkeypatch, first, further)
        machine.predict = functools.partial(machine.predict, latest_start=math.inf)
        monkeypatch.setattr(latency, "make", lambda _, candidate, *__: made.append(candidate.iterations))
        one, choice = latency.fitted(export, export.planned[0], lambda _: machine, milliseconds + 1e-6)
        assert one.path == f"road_segment_{choice.iterations}_fp32.tflite"
        return choice, made

    return fit


@pytest.mark.parametrize(("milliseconds", "expected"), [(10, 1), (19, 1), (20, 2), (58, 5), (60, 6), (89, 8)])
def test_one_fits_and_the_next_does_not(fitted, milliseconds, expected):
    # 10, 20, 30, ... ms
    choice, made = fitted(milliseconds, 10, 10)
    assert choice.iterations == expected
    assert expected + 1 in made
    assert len(made) == len(set(made)) <= 6


def test_more_than_the_maximum_is_not_made(fitted):
    choice, made = fitted(1000, 10, 10)
    assert choice.iterations == max(made) == 9
    assert choice.most == "more cannot be run"


def test_a_machine_that_is_not_slower_with_more_iterations_runs_the_most(fitted):
    assert fitted(15, 10, 0)[0].iterations == 9


def test_nothing_fits_is_an_error_with_the_times(fitted):
    with pytest.raises(InputError, match=r"1 iteration, the fewest, takes 10\.0 ms"):
        fitted(9, 10, 10)


def test_the_manifest_keeps_the_choice_and_where_it_was_measured(fitted, planned):
    choice, _ = fitted(35, 10, 10)
    export, _ = planned()
    noted = latency.note(export, choice, threads=2)
    assert (noted["iterations"], noted["milliseconds"], noted["p95"]) == (3, pytest.approx(35), pytest.approx(30))
    assert (noted["size"], noted["threads"]) == ([32, 32], 2)
    assert noted["device"]
    assert np.isfinite(noted["median"])
