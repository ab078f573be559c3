"""Which candidates go on, by hand."""

import numpy as np
import pytest

from tfseg.nas.early_stopping import EarlyStopping


def test_the_average_includes_the_new_reward_before_it_is_compared():
    stopping = EarlyStopping(seed=None)
    assert stopping.goes_on(0.5)
    assert stopping.average == pytest.approx(0.99 * 0.01 + 0.01 * 0.5)
    assert stopping.goes_on(0.3)
    assert stopping.average == pytest.approx(0.99 * 0.0149 + 0.01 * 0.3)


def test_without_draws_the_tolerance_is_halved():
    """Of an average of 0.4, all above 0.4 * (1 - 0.45) = 0.22 go on; the new reward changes the average a little."""
    for reward, goes_on in ((0.39, True), (0.225, True), (0.215, False), (0.0, False)):
        stopping = EarlyStopping(seed=None)
        stopping.average = 0.4
        assert stopping.goes_on(reward) == goes_on, reward


def test_the_tolerance_shrinks_at_candidates_101_201_301_and_401():
    stopping, tolerances = EarlyStopping(seed=None), []
    for _ in range(402):
        stopping.goes_on(0.5)
        tolerances.append(stopping.tolerance)
    assert tolerances[99] == 0.9
    by_hand = [0.9 * 0.9, 0.9 * 0.9 * 0.8, 0.9 * 0.9 * 0.8 * 0.7, 0.9 * 0.9 * 0.8 * 0.7 * 0.6]
    np.testing.assert_allclose([tolerances[place] for place in (100, 200, 300, 400)], by_hand)
    assert tolerances[199] == tolerances[100]


def test_drawn_tolerances_let_some_through_and_are_the_same_for_a_seed():
    """An average of 0.4 and a reward of 0.22: the draw has to be above (1 - 0.22 / 0.4) / 0.9, in half of the cases."""

    def answers(seed):
        stopping, found = EarlyStopping(seed), []
        for _ in range(99):
            stopping.average = 0.4 / 0.99 - 0.0022 / 0.99
            found.append(stopping.goes_on(0.22))
        return found

    assert answers(0) == answers(0) != answers(1)
    assert 30 < sum(answers(0)) < 70
