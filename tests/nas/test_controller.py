"""The controller: its size, its samples, and distributions that are those it samples from."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfseg.models.cells.genotype import choices, random_genotype
from tfseg.nas.controller import LARGEST, Controller


@pytest.fixture(scope="module")
def controller():
    return Controller(2, seed=3)


@pytest.mark.parametrize(("num_layers", "place_choices"), [(5, 5 + 6 + 7 + 8 + 9), (4, 5 + 6 + 7 + 8)])
def test_it_has_the_papers_number_of_parameters(num_layers, place_choices):
    """Two LSTMs, two heads of places in every layer, two heads of six choices that all share, the first input."""
    by_hand = 2 * 4 * (100 * 200 + 100) + 2 * 101 * place_choices + 2 * 101 * 6 + 100
    assert by_hand == {5: 169_182, 4: 167_364}[num_layers]
    assert Controller(num_layers).num_parameters == by_hand


def test_all_weights_are_drawn_from_one_uniform_distribution(controller):
    values = np.concatenate([variable.numpy().ravel() for variable in controller.trainable_variables])
    assert np.abs(values).max() <= LARGEST
    assert values.std() == pytest.approx(LARGEST / np.sqrt(3), rel=0.01)
    same, other = (Controller(2, seed).start.numpy() for seed in (3, 4))
    np.testing.assert_array_equal(same, controller.start.numpy())
    assert np.abs(other - same).max() > 0


def test_equal_seeds_give_equal_samples_of_valid_numbers(controller):
    samples = [controller.sample((0, index)) for index in range(20)]
    assert samples == [controller.sample((0, index)) for index in range(20)]
    assert len({genotype for genotype, _ in samples}) > 15


@pytest.mark.parametrize("feed_tokens", [False, True])
def test_a_cell_of_one_layer_has_probabilities_whose_sum_is_1(feed_tokens):
    controller = Controller(1, seed=1, feed_tokens=feed_tokens)
    for variable in controller.trainable_variables:
        variable.assign(10 * variable)  # far from uniform
    all_of_them = np.array(list(itertools.product(*map(range, choices(0)))), np.int32)
    log_probs, entropy = controller.score(all_of_them)
    probabilities = np.exp(log_probs.numpy().astype(float))
    assert len(all_of_them) == 5 * 5 * 6**3
    assert probabilities.sum() == pytest.approx(1, abs=1e-4)
    assert probabilities.max() > 3 / len(all_of_them)
    if not feed_tokens:  # then all distributions are the same for every genotype, and the entropy is exact
        assert float(entropy) == pytest.approx(-(probabilities * np.log(probabilities)).sum(), rel=1e-4)


def test_samples_have_the_scored_frequencies():
    """The first place of 600 samples against its probabilities, within four standard deviations."""
    controller = Controller(1, seed=2)
    for variable in controller.trainable_variables:
        variable.assign(10 * variable)
    all_of_them = np.array(list(itertools.product(*map(range, choices(0)))), np.int32)
    probabilities = np.exp(controller.score(all_of_them)[0].numpy())
    expected = np.array([probabilities[all_of_them[:, 0] == place].sum() for place in range(5)])
    drawn = np.bincount([controller.sample((5, index))[0].tokens[0] for index in range(600)], minlength=5)
    assert (np.abs(drawn / 600 - expected) < 4 * np.sqrt(expected * (1 - expected) / 600) + 1e-3).all()


def test_the_stored_log_probability_is_the_scored_one(controller):
    genotype, log_prob = controller.sample(9)
    others = [random_genotype(np.random.default_rng(index), 2).tokens for index in range(3)]
    scored = controller.score(tf.constant([*others, genotype.tokens]))[0]
    assert float(scored[-1]) == pytest.approx(log_prob, abs=1e-4)


def test_fed_with_its_choices_a_number_depends_on_those_before_it():
    """Changing the first number changes what is left of the probability without it only if it is read."""
    first, other = [0, 0, 1, 1, 1], [4, 0, 1, 1, 1]
    for feed_tokens in (False, True):
        controller = Controller(1, seed=1, feed_tokens=feed_tokens)
        tails = []
        for tokens in (first, other):
            all_of_them = [tokens[:4] + [last] for last in range(6)]
            log_probs = controller.score(all_of_them)[0].numpy()
            tails.append(log_probs - log_probs.mean())
        assert (np.abs(tails[0] - tails[1]).max() > 1e-6) == feed_tokens


def test_every_weight_is_trained():
    for feed_tokens in (False, True):
        controller = Controller(2, seed=0, feed_tokens=feed_tokens)
        tokens = [random_genotype(np.random.default_rng(index), 2).tokens for index in range(50)]
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(controller.score(tf.constant(tokens))[0])
        gradients = tape.gradient(loss, controller.trainable_variables)
        assert all(np.abs(tf.convert_to_tensor(one)).max() > 0 for one in gradients)
