"""Images kept within a time, on a clock that the test moves."""

import numpy as np
import pytest
from PIL import Image

from tests.clocked import clocked
from tfseg.errors import InputError
from tfseg.inference.budget import Budget

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
    measuring = "images of 6x8: measuring, about 20 s at most"
    chosen = "images of 6x8: 3 iterations: median 40.0 ms, p95 40.0 of 45 ms; 4 would take 50.0 (p95)"
    assert lines == [measuring, chosen, measuring]


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
    assert len(lines) == 2


def test_what_comes_after_the_iterations_has_its_time_too(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 52, ending=7)  # 27, 37, 47 ms; the last iteration begins at 35
    predictor.factor = 1.2
    kept.predict(IMAGE)
    assert (predictor.ran, outcome(kept)) == ([2], (1, 1, 1))


def test_the_last_images_tell_how_long_an_iteration_takes(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 41.5, trained=3)
    predictor.each = 10.5  # 41 ms; the last one begins after 30.5, and has 11
    for _ in range(4):
        kept.predict(IMAGE)
    predictor.first = 20.6  # after 31.1: 10 ms would do, 10.5 do not; 4 of 60 are more than 5 %
    kept.predict(IMAGE)
    assert (predictor.calls, predictor.ran) == ([3] * 5, [3, 3, 3, 3, 2])


def test_some_slow_iterations_do_not_keep_images_short_for_ever(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 45)
    predictor.slow_ends = {1, 16, 31, 46}  # of 60, more than 5 %: another iteration is taken for one of 40 ms
    for _ in range(200):
        kept.predict(IMAGE)
    assert set(predictor.ran[46:60]) == {1}
    assert predictor.ran[-80:] == [3] * 80


def test_one_slow_iteration_in_sixty_changes_nothing(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 45)
    predictor.slow_ends = {1}
    for _ in range(30):
        kept.predict(IMAGE)
    assert predictor.ran == [3] * 30


def test_a_model_that_does_not_tell_runs_all_iterations(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 45, tells=False)
    predictor.factor = 1.2  # 48 ms, then 36
    for _ in range(4):
        kept.predict(IMAGE)
    assert (predictor.ran, outcome(kept)) == ([3, 3, 3, 2], (4, 1, 0))


def test_when_the_machine_slows_down_fewer_iterations_run_and_more_when_it_recovers(monkeypatch):
    predictor, kept, lines = drifting(monkeypatch, 45)
    predictor.factor = 1.2  # 24, 36, 48 ms
    for _ in range(10):
        kept.predict(IMAGE)
    assert predictor.calls == [3] * 3 + [2] * 7  # the third that stopped is one too many
    assert predictor.ran == [2] * 10
    assert outcome(kept) == (10, 10, 3)
    assert lines[2:] == ["images of 6x8: 2 iterations from here on: 3 of the last 3 had no time for more within 45 ms"]
    predictor.factor = 1.0
    for _ in range(30):
        kept.predict(IMAGE)
    # Once 19 of the last 20 were as fast as when measured, p95 is 1 + 0.05 * 0.2 medians: 40.4 ms, below 45.
    assert predictor.calls[10:] == [2] * 19 + [3] * 11
    assert lines[3:] == [
        "images of 6x8: 3 iterations from here on: "
        "95 % of the last 20 took at most 1.01 of the median that was measured"
    ]


def test_numbers_fall_and_rise_by_as_much_as_the_machine_does(monkeypatch):
    predictor, kept, _ = drifting(monkeypatch, 45)
    predictor.factor = 2  # 40 ms after the first, 60 after the second
    for _ in range(3):
        kept.predict(IMAGE)
    predictor.factor = 1
    for _ in range(21):
        kept.predict(IMAGE)
    # Twenty images of now tell that three fit; what was before does not count.
    assert predictor.calls == [3] * 3 + [1] * 20 + [3]


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
    assert (outcome(kept), len(lines)) == ((20, 18, 2), 2)


def test_where_nothing_fits_any_more_the_fewest_iterations_run(monkeypatch):
    predictor, kept, lines = drifting(monkeypatch, 45)
    predictor.factor = 3
    for _ in range(20):
        kept.predict(IMAGE)
    assert predictor.calls == [3] * 3 + [1] * 17
    assert (kept.num_within, len(lines)) == (0, 3)


def test_a_slow_model_of_which_little_was_measured_may_still_run_the_fewest(monkeypatch):
    predictor, lines = clocked(monkeypatch, 2000, 1000, most=8, tells=False), []
    kept = Budget(predictor, 8500, lines.append)
    assert kept.iterations(IMAGE) == 7
    predictor.factor = 4  # 32 seconds, and 8 of the fewest
    for _ in range(5):
        kept.predict(IMAGE)
    assert predictor.calls[-5:] == [7, 7, 7, 1, 1]
    assert outcome(kept) == (5, 2, 0)


def test_an_image_may_stop_at_a_number_that_was_not_measured(monkeypatch):
    predictor = clocked(monkeypatch, 2000, 1000, most=8)
    kept = Budget(predictor, 8500, lambda line: None)
    assert kept.iterations(IMAGE) == 7
    assert set(predictor.calls[-4:]) <= {1, 7, 8}
    predictor.factor = 1.6  # 3.2, 4.8, 6.4, 8.0: the fourth begins before 7.5
    assert kept.predict(IMAGE).iterations == 4
    assert outcome(kept) == (1, 1, 1)


def test_what_is_no_image_says_so_and_is_not_taken_for_a_size_that_does_not_fit(monkeypatch):
    _, kept, _ = drifting(monkeypatch, 45)
    for _ in range(2):
        with pytest.raises(InputError, match="not float64"):
            kept.predict(IMAGE / 255)
        with pytest.raises(InputError, match="not float64"):
            kept.predict(np.zeros([4, 4, 3]))
    assert kept.predict(np.zeros([4, 4, 3], np.uint8)).iterations == 3


def test_an_image_may_be_a_file(monkeypatch, tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "a.png")
    _, kept, lines = drifting(monkeypatch, 45)
    assert kept.predict(tmp_path / "a.png").iterations == 3
    assert len(lines) == 2  # of 6x8, known already
