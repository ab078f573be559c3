"""Iterations for a time: the choice on numbers worked by hand, the measurement on a clock that the test moves."""

import json

import numpy as np
import pytest

from tests.clocked import clocked
from tfseg.errors import InputError
from tfseg.inference.budget_measurement import ROUNDS, SECONDS, choose_iterations, measure

IMAGE = np.zeros([6, 8, 3], np.uint8)


def test_the_largest_number_within_the_budget_is_chosen():
    # Of 20 times, 95 % lie below the 19th place and a twentieth of the way to the 20th: 66 + 0.05 * (70 - 66).
    times = {4: [61.0] * 18 + [66.0, 70.0], 5: [80.0] * 20, 3: [45.0] * 20}
    choice = choose_iterations(times, 80)
    assert (choice.iterations, choice.most) == (5, None)
    choice = choose_iterations(times, 79.9)
    assert (choice.iterations, choice.rounds) == (4, 20)
    assert (choice.median[4], choice.p95[4]) == (61, pytest.approx(66.2))
    assert str(choice) == "4 iterations: median 61.0 ms, p95 66.2 of 79.9 ms; 5 would take 80.0 (p95)"


def test_one_slow_moment_in_a_hundred_is_not_the_95th_percentile():
    times = {1: [10.0] * 99 + [1000.0], 2: [10.0] * 90 + [1000.0] * 10}
    assert choose_iterations(times, 20).iterations == 1


def test_a_larger_number_that_was_measured_faster_is_not_believed():
    choice = choose_iterations({1: [30.0], 2: [50.0], 3: [38.0], 4: [60.0]}, 40)
    assert choice.iterations == 1
    assert choice.p95 == {1: 30, 2: 50, 3: 50, 4: 60}
    assert choice.median == {1: 30, 2: 50, 3: 50, 4: 60}


def test_it_says_when_nothing_more_can_be_run_and_when_rounds_are_few():
    assert str(choose_iterations({1: [7.0], 2: [9.0]}, 80, max_iterations=2)) == (
        "2 iterations: median 9.0 ms, p95 9.0 of 80 ms; more cannot be run; 1 of 60 rounds in time"
    )


def test_when_not_even_one_fits_the_numbers_and_ways_out_are_given():
    with pytest.raises(InputError) as caught:
        choose_iterations({1: [90.0, 110.0], 2: [120.0, 130.0]}, 80)
    assert str(caught.value) == (
        "1 iteration, the fewest, takes 100.0 ms (median), 109.0 (p95), more than the 80 ms of the budget; take a "
        "smaller image, a smaller model, an exported int8 file or more --threads"
    )


def test_a_choice_is_plain_json():
    values = choose_iterations({2: [9.0, 9.0]}, 80).to_dict()
    assert json.loads(json.dumps(values)) == {"milliseconds": 80, "iterations": 2, "median": 9, "p95": 9, "rounds": 2}


@pytest.mark.parametrize("budget_ms,chosen", [(20, 1), (29.9, 1), (30.1, 2), (61, 5), (69, 5), (70.1, 6), (1000, 6)])
def test_the_measurement_finds_the_number_that_arithmetic_finds(monkeypatch, budget_ms, chosen):
    predictor = clocked(monkeypatch, 20, 10)  # 20, 30, 40, 50, 60, 70 ms
    choice = measure(predictor, IMAGE, budget_ms + 1e-6)
    assert choice.iterations == chosen
    assert choice.p95[chosen] == pytest.approx(20 + 10 * (chosen - 1))
    assert choice.rounds == 60
    assert choice.most == ("training ran no more, and more are not tried" if chosen == 6 else None)
    assert (min((count for count in choice.p95 if count > chosen), default=None)) == (
        chosen + 1 if chosen < 6 else None
    )


def test_numbers_far_above_the_budget_are_not_run(monkeypatch):
    predictor = clocked(monkeypatch, 20, 10, most=1000)
    assert measure(predictor, IMAGE, 45).iterations == 3
    assert max(predictor.calls) == 4


def test_a_slow_moment_at_the_start_does_not_hide_what_fits(monkeypatch):
    predictor = clocked(monkeypatch, 20, 10, most=8)
    predictor.slow_calls = {1, 2, 4}  # the first call, and the first of two probes
    assert measure(predictor, IMAGE, 65).iterations == 5


def test_a_slow_moment_in_all_first_looks_at_a_number_does_not_hide_that_it_fits(monkeypatch):
    predictor = clocked(monkeypatch, 20, 10, most=8)
    predictor.slow_calls = {5, 6, 7}  # after 1, 1, 2 and 4: all looks at 8, so that 6 is next, and then 5
    predictor.slow_calls |= {8, 9, 10}
    choice = measure(predictor, IMAGE, 75)
    assert str(choice) == "6 iterations: median 70.0 ms, p95 70.0 of 75 ms; 7 would take 80.0 (p95)"


def test_numbers_are_run_in_turn(monkeypatch):
    predictor = clocked(monkeypatch, 20, 10, most=3)
    measure(predictor, IMAGE, 1000)
    assert predictor.calls[-3 * ROUNDS :] == [1, 2, 3] * ROUNDS


def test_a_slow_model_is_measured_in_bounded_time(monkeypatch):
    predictor = clocked(monkeypatch, 2000, 1000, most=8)  # 2 to 9 seconds
    choice = measure(predictor, IMAGE, 5500)
    assert (choice.iterations, choice.rounds < 20) == (4, True)
    assert predictor.seconds < 3 * SECONDS
    predictor = clocked(monkeypatch, 60_000, 1000, most=8)
    with pytest.raises(InputError, match="1 iteration, the fewest, takes 60000.0 ms"):
        measure(predictor, IMAGE, 80)
    assert predictor.calls == [1, 1]


def test_a_slow_model_is_measured_where_the_budget_ends(monkeypatch):
    predictor = clocked(monkeypatch, 200, 100, most=8)  # 200 to 900 ms: in twenty seconds about nine rounds of 7 and 8
    choice = measure(predictor, IMAGE, 850)
    assert (choice.iterations, set(choice.median)) == (7, {1, 7, 8})
    assert 8 <= choice.rounds <= 12


def test_a_number_that_turns_out_not_to_fit_leaves_time_for_the_smaller_ones(monkeypatch):
    predictor = clocked(monkeypatch, 200, 100, most=8)
    predict = predictor.predict

    def slower(image, count, latest_start):
        predictor.factor = 2 if count == 4 and len(predictor.calls) > 12 else 1
        return predict(image, count, latest_start)

    predictor.predict = slower
    choice = measure(predictor, IMAGE, 550)  # 500 ms after 4 at the first looks, then 1000
    assert choice.iterations == 3
    assert choice.rounds >= 5


def test_a_model_of_one_number_is_only_checked(monkeypatch):
    predictor = clocked(monkeypatch, 20, 10, fewest=4, most=4, trained=4)  # 50 ms
    choice = measure(predictor, IMAGE, 60)
    assert (choice.iterations, set(predictor.calls)) == (4, {4})
    assert str(choice) == "4 iterations: median 50.0 ms, p95 50.0 of 60 ms; more cannot be run"
    with pytest.raises(InputError, match="4 iterations, the fewest, takes 50.0 ms"):
        measure(predictor, IMAGE, 40)


def test_the_caller_may_limit_the_iterations(monkeypatch):
    predictor = clocked(monkeypatch, 20, 10, most=8)
    assert measure(predictor, IMAGE, 1000, max_iterations=2).iterations == 2
    assert max(predictor.calls) == 2
