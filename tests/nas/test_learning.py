"""How the controller learns: by hand on two numbers, and on a landscape of rewards that is known."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.errors import InputError
from tfseg.models.cells.genotype import random_genotype
from tfseg.nas.learning import Learner, LearningConfig, ppo_loss, reinforce_loss

FAST = LearningConfig(learning_rate=1e-3, minibatch_size=25)


def learned(learner, rewards):
    for reward in rewards:
        learner.learn(*learner.sample(), reward)
    return learner


def constants(*values):
    return [tf.constant(one, tf.float32) for one in values]


def test_the_loss_of_two_numbers_is_that_by_hand():
    """New probabilities 0.5 and 0.3, old 0.4 and 0.6: the ratios 1.25 and 0.5 are clipped to 1.1 and 0.9.

    The first has an advantage of 2: the smaller of 1.25 * 2 and 1.1 * 2. The second one of -1: the smaller of -0.5 and
    -0.9. The third has no weight.
    """
    new, old, advantages, weights = constants(np.log([0.5, 0.3, 0.1]), np.log([0.4, 0.6, 0.1]), [2, -1, 5], [1, 1, 0])
    assert float(ppo_loss(new, old, advantages, weights, 0.1)) == pytest.approx(-(2.2 - 0.9) / 2, rel=1e-5)
    by_hand = -(2 * np.log(0.5) - np.log(0.3)) / 2
    assert float(reinforce_loss(new, advantages, weights)) == pytest.approx(by_hand, rel=1e-5)


def test_at_a_ratio_of_1_the_clip_does_nothing():
    """The gradient is that of REINFORCE, however narrow the clip."""
    log_probs = tf.Variable(np.log([0.2, 0.5]), dtype=tf.float32)
    old, advantages, weights = constants(log_probs.numpy(), [1.5, -0.5], [1, 1])
    with tf.GradientTape(persistent=True) as tape:
        losses = [ppo_loss(log_probs, old, advantages, weights, clip) for clip in (1e-6, 0.1, 100.0)]
        losses.append(reinforce_loss(log_probs, advantages, weights))
    for loss in losses:
        np.testing.assert_allclose(tape.gradient(loss, log_probs), [-0.75, 0.25], rtol=1e-5)


def test_beyond_the_clip_there_is_no_gradient_in_the_advantages_direction():
    log_probs = tf.Variable(np.log([0.5, 0.5]), dtype=tf.float32)
    old, advantages, weights = constants(np.log([0.4, 0.4]), [1, -1], [1, 1])
    with tf.GradientTape() as tape:
        loss = ppo_loss(log_probs, old, advantages, weights, 0.1)
    np.testing.assert_allclose(tape.gradient(loss, log_probs), [0, 0.625], rtol=1e-5)


def test_the_baseline_begins_with_the_first_reward_and_follows_the_others():
    learner, baselines = Learner(1, FAST), []
    for reward in (0.4, 0.6, 0.2):
        learned(learner, [reward])
        baselines.append(learner.baseline)
    np.testing.assert_allclose(baselines, [0.4, 0.95 * 0.4 + 0.05 * 0.6, 0.95 * 0.41 + 0.05 * 0.2])


def test_the_first_sample_changes_nothing_since_its_advantage_is_0():
    learner = Learner(1, FAST)
    before = learner.state()
    after = learned(learner, [0.7]).state()
    np.testing.assert_array_equal(before["controller/0"], after["controller/0"])
    assert np.abs(learned(learner, [0.9]).state()["controller/0"] - before["controller/0"]).max() > 0


def test_the_buffer_holds_the_last_100_samples_and_nothing_before_them(monkeypatch):
    learner = Learner(1, LearningConfig())
    seen = []
    monkeypatch.setattr(learner, "_learn_from", lambda places, size: seen.append(list(places)))
    for count in range(1, 104):
        seen.clear()
        learned(learner, [float(count)])
        assert learner.num_remembered == min(count, 100)
        assert sorted(place for places in seen for place in places) == list(range(min(count, 100)))
    assert sorted(learner.state()["rewards"]) == list(range(4, 104))


def test_a_part_of_a_minibatch_weighs_as_its_samples_alone():
    """Three samples in minibatches of 3, and of 5 of which two are filled up, make the same update."""
    states = []
    for size in (3, 5):
        learner = Learner(1, LearningConfig(learning_rate=1e-3, minibatch_size=size, buffer_size=3))
        states.append(learned(learner, [0.1, 0.5, 0.9]).state())
    np.testing.assert_allclose(states[0]["controller/1"], states[1]["controller/1"], atol=1e-6)


def test_reinforce_learns_from_the_new_sample_alone(monkeypatch):
    learner = Learner(1, LearningConfig("reinforce", learning_rate=1e-2))
    seen, learn_from = [], learner._learn_from

    def noted(places, size):
        seen.append(len(places))
        learn_from(places, size)

    monkeypatch.setattr(learner, "_learn_from", noted)
    learned(learner, [0.5])
    genotype, log_prob = learner.sample()
    learner.learn(genotype, log_prob, 0.9)
    assert seen == [1, 1]
    assert float(learner.controller.score([genotype.tokens])[0][0]) > log_prob


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_entropy_falls_unless_it_has_a_weight(weight):
    """One genotype is always rewarded, all others are not."""
    config = LearningConfig(learning_rate=1e-2, entropy_weight=weight, minibatch_size=25)
    learner = Learner(1, config, seed=1)
    tokens = [learner.sample()[0].tokens]
    first = float(learner.controller.score(tokens)[1])
    for _ in range(30):
        genotype, log_prob = learner.sample()
        learner.learn(genotype, log_prob, float(genotype.tokens[2] == 0))
    last = float(learner.controller.score(tokens)[1])
    assert (last < first - 0.1) == (weight == 0)


def test_restored_it_goes_on_as_if_nothing_had_happened():
    config = LearningConfig(learning_rate=1e-3, minibatch_size=2)
    whole = learned(Learner(1, config), np.linspace(0, 1, 6))
    half = learned(Learner(1, config), np.linspace(0, 1, 6)[:3])
    other = Learner(1, config)
    other.restore(half.state())
    learned(other, np.linspace(0, 1, 6)[3:])
    assert other.sample() == whole.sample()
    for name, values in whole.state().items():
        np.testing.assert_array_equal(other.state()[name], values, name)


def test_the_state_of_another_controller_is_refused():
    with pytest.raises(InputError, match="do not fit this controller"):
        Learner(1, FAST).restore(Learner(2, FAST).state())


@pytest.mark.parametrize("wrong", [{"algorithm": "a3c"}, {"clip": 0.0}, {"minibatch_size": 0}])
def test_values_that_cannot_be_used_are_refused(wrong):
    with pytest.raises(InputError, match="the controller's"):
        LearningConfig(**wrong)


@pytest.mark.slow
def test_it_learns_a_known_landscape():
    """Rewards are means of random tables of numbers and of pairs of them: after 500 samples it beats chance."""
    learner = Learner(5, LearningConfig(learning_rate=1e-3, entropy_weight=1e-4, minibatch_size=10))
    random = np.random.default_rng(0)
    tables = [random.random(count) for count in learner.controller.num_choices]
    pairs = random.random((6, 6))

    def reward(genotype, number):
        of_numbers = np.mean([table[token] for table, token in zip(tables, genotype.tokens, strict=True)])
        of_pairs = np.mean([pairs[one, aggregation] for *_, one, _, aggregation in genotype.layers])
        return 0.3 + 0.4 * of_numbers + 0.2 * of_pairs + 0.01 * np.random.default_rng(number).normal()

    by_chance = [reward(random_genotype(np.random.default_rng((1, number)), 5), number) for number in range(600)]
    rewards = []
    for number in range(600):
        genotype, log_prob = learner.sample()
        rewards.append(reward(genotype, number))
        learner.learn(genotype, log_prob, rewards[-1])
    last = np.array(rewards[-100:])
    assert last.mean() - np.mean(by_chance) > 3 * last.std() / np.sqrt(100)
    assert last.mean() > 0.65
