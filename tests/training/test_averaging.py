"""The moving average of weights: where it starts, how it grows, and what belongs to it."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.test_trainer import toy_batch, toy_trainer, weights_of


def averages_of(trainer):
    return [average.numpy() for average in trainer.average.values]


def test_the_average_follows_the_weights_with_a_decay_that_grows():
    """Decays 2/11 and 3/12 after the first two updates, and never more than the given 0.25."""
    trainer, expected = toy_trainer(average_decay=0.25), None
    for decay in (2 / 11, 3 / 12, 0.25):
        expected = weights_of(trainer) if expected is None else expected
        trainer.train_step(toy_batch())
        expected = [decay * old + (1 - decay) * now for old, now in zip(expected, weights_of(trainer), strict=True)]
        for actual, wanted in zip(averages_of(trainer), expected, strict=True):
            np.testing.assert_allclose(actual, wanted, atol=1e-6)


def test_the_average_starts_from_the_weights_that_were_loaded():
    trainer = toy_trainer(average_decay=0.9)
    for variable in trainer.network.variables:
        variable.assign(tf.ones_like(variable))
    trainer.average.restart()
    assert all((average == 1).all() for average in averages_of(trainer))


def test_a_short_training_forgets_the_weights_it_started_from():
    """With a constant decay of 0.998 the start would weigh 90 % after 50 updates; now it weighs less than 1e-6."""
    trainer = toy_trainer(average_decay=0.998)
    for variable in trainer.network.variables:
        variable.assign(tf.zeros_like(variable))
    trainer.average.restart()
    for variable in trainer.network.variables:
        variable.assign(tf.ones_like(variable))
    for _ in range(50):
        trainer.average.update(tf.constant(True))
    for average in averages_of(trainer):
        np.testing.assert_allclose(average, 1, atol=1e-6)


def test_moving_statistics_are_averaged_with_the_weights():
    trainer = toy_trainer(average_decay=0.9)
    assert len(trainer.average.values) == len(trainer.network.variables) > len(trainer.network.trainable_variables)


def test_averages_are_swapped_in_and_out():
    trainer = toy_trainer(average_decay=0.5)
    trainer.train_step(toy_batch())
    now, averages = weights_of(trainer), averages_of(trainer)
    with trainer.average.applied():
        for actual, wanted in zip(weights_of(trainer), averages, strict=True):
            np.testing.assert_array_equal(actual, wanted)
    for actual, wanted in zip(weights_of(trainer), now, strict=True):
        np.testing.assert_array_equal(actual, wanted)


def test_without_averaging_the_weights_are_their_own_average():
    trainer = toy_trainer()
    trainer.train_step(toy_batch())
    now = weights_of(trainer)
    with trainer.average.applied():
        for actual, wanted in zip(weights_of(trainer), now, strict=True):
            np.testing.assert_array_equal(actual, wanted)
    assert trainer.average.values == []


def test_an_update_that_is_not_applied_leaves_the_average():
    trainer = toy_trainer(average_decay=0.9)
    trainer.train_step(toy_batch())
    before = averages_of(trainer)
    batch = toy_batch()
    trainer.train_step(batch | {"image": batch["image"] * np.nan})
    for actual, wanted in zip(averages_of(trainer), before, strict=True):
        np.testing.assert_array_equal(actual, wanted)
    assert int(trainer.average.num_updates) == pytest.approx(1)
