"""Images kept within a time, on a clock that the test moves."""

import numpy as np
import pytest

from tests.clocked import clocked
from tfseg.budget import Budget
from tfseg.errors import InputError

IMAGE = np.zeros([6, 8, 3], np.uint8)


@pytest.mark.parametrize("budget_ms", [0, -1, float("nan"), float("inf")])
def test_a_budget_is_a_time(budget_ms):
    with pytest.raises(InputError, match="milliseconds above 0"):
        Budget(None, budget_ms)


def test_each_size_is_measured_once_whether_it_fits_or_not(monkeypatch):
    predictor, lines = clocked(monkeypatch, 20, 10), []
    fits, tight = Budget(predictor, 45, lines.append), Budget(predictor, 5, lines.append)
    assert fits.iterations(IMAGE) == 3
    with pytest.raises(InputError, match="images of 6x8: 1 iteration, the fewest, takes 20.0 ms"):
        tight.iterations(IMAGE)
    num_calls = len(predictor.calls)
    assert fits.iterations(IMAGE) == 3
    with pytest.raises(InputError, match="images of 6x8"):
        tight.iterations(IMAGE)
    assert len(predictor.calls) == num_calls
    assert lines == ["images of 6x8: 3 iterations: median 40.0 ms, p95 40.0 of 45 ms; 4 would take 50.0 (p95)"]


def drifting(monkeypatch, budget_ms, **options):
    """(predictor of 20, 30, 40, ... ms, its Budget, which has measured; the lines that it said)."""
    predictor, lines = clocked(monkeypatch, 20, 10, **options), []
    kept = Budget(predictor, budget_ms, lines.append)
    kept.iterations(IMAGE)
    predictor.calls.clear()
    predictor.ran.clear()
    return predictor, kept, lines


def outcome(kept):
    return kept.num_images, kept.num_within, kept.num_stopped


@pytest.mark.parametrize("factor,ran", [(0.9, 3), (1.1, 3), (1.2, 2), (1.45, 2), (1.8, 1), (3, 1)])
def test_an_image_in_a_slow_moment_stops_where_another_iteration_would_not_end_in_time(monkeypatch, factor, ran):
    predictor, kept, lines = drifting(monkeypatch, 45)
    predictor.factor = factor
    # An iteration takes 10 ms, and begins at 35 at the latest. The third one does at 1.1 * 30, not at 1.2 * 30; the
    # second one at 1.45 * 20, not at 1.8 * 20.
    assert kept.predict(IMAGE).iterations == ran
    assert (predictor.calls, predictor.ran) == ([3], [ran])
    assert outcome(kept) == (1, factor < 3, ran < 3)
    assert len(lines) == 1


def test_what_comes_after_the_iterations_has_its_time_too(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 52, ending=7)  # 27, 37, 47 ms; the last iteration begins at 35
    predictor.factor = 1.2
    kept.predict(IMAGE)
    assert (predictor.ran, outcome(kept)) == ([2], (1, 1, 1))


def test_the_last_images_tell_how_long_an_iteration_takes(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 41, default=3)
    predictor.each = 10.5  # 41 ms after three: none is late, but one begins at 30.5 and has 10 ms
    for _ in range(3):
        kept.predict(IMAGE)
    assert predictor.ran == [3, 3, 3]
    predictor.first = 20.25  # 30.75, later than 41 - 10.5
    kept.predict(IMAGE)
    assert predictor.ran == [3, 3, 3, 2]


def test_a_model_that_does_not_tell_runs_all_iterations(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 45, tells=False)
    predictor.factor = 1.2
    kept.predict(IMAGE)
    assert (predictor.ran, outcome(kept)) == ([3], (1, 0, 0))


def test_when_the_machine_slows_down_fewer_iterations_run_and_more_when_it_recovers(monkeypatch):
    predictor, kept, lines = drifting(monkeypatch, 45)
    predictor.factor = 1.2  # 24, 36, 48 ms
    for _ in range(10):
        kept.predict(IMAGE)
    assert predictor.calls == [3] * 3 + [2] * 7  # the third that stopped is one too many
    assert predictor.ran == [2] * 10
    assert outcome(kept) == (10, 10, 3)
    assert lines[1:] == ["images of 6x8: 2 iterations from here on: 3 of the last 3 had no time for more within 45 ms"]
    predictor.factor = 1.0
    for _ in range(30):
        kept.predict(IMAGE)
    # Once 19 of the last 20 were as fast as when measured, p95 is 1 + 0.05 * 0.2 medians: 40.4 ms, below 45.
    assert predictor.calls[10:] == [2] * 19 + [3] * 11
    assert lines[2:] == [
        "images of 6x8: 3 iterations from here on: "
        "95 % of the last 20 took at most 1.01 of the median that was measured"
    ]


def test_more_iterations_run_once_95_of_100_would_end_in_time(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 42)
    predictor.factor = 1.2
    for _ in range(3):
        kept.predict(IMAGE)
    predictor.factor = 1.06  # 42.4 ms
    for _ in range(40):
        kept.predict(IMAGE)
    assert predictor.calls[3:] == [2] * 40
    predictor.factor = 1.04  # 41.6 ms; of twenty the slowest counts for a twentieth: 1.04 + 0.05 * 0.02
    for _ in range(20):
        kept.predict(IMAGE)
    assert predictor.calls[43:] == [2] * 19 + [3]


def test_two_slow_images_of_twenty_change_nothing(monkeypatch):
    predictor, kept, lines = drifting(monkeypatch, 45)
    predictor.slow_calls = {5, 11}
    for _ in range(20):
        kept.predict(IMAGE)
    assert set(predictor.calls) == {3}
    assert (outcome(kept), len(lines)) == ((20, 18, 2), 1)


def test_where_nothing_fits_any_more_the_fewest_iterations_run(monkeypatch):
    predictor, kept, lines = drifting(monkeypatch, 25)
    predictor.factor = 3
    for _ in range(20):
        kept.predict(IMAGE)
    assert set(predictor.calls) == {1}
    assert (kept.num_within, len(lines)) == (0, 1)


def test_an_image_may_stop_at_a_number_too_slow_a_model_left_unmeasured(monkeypatch):
    predictor, lines = clocked(monkeypatch, 2000, 1000, most=8), []
    kept = Budget(predictor, 8500, lines.append)
    assert kept.iterations(IMAGE) == 7
    assert set(predictor.calls[-4:]) == {7, 8}  # of 7 and 8 seconds, in turn; the others only once
    predictor.factor = 4
    for _ in range(4):
        assert kept.predict(IMAGE).iterations == 1
    assert (kept.iterations(IMAGE), outcome(kept)) == (7, (4, 4, 4))
