"""Candidates learn from kept maps as from the live network, are scored by hand, and may fail."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfseg.data.opening import open_split
from tfseg.layers.conv import Conv2D
from tfseg.models.cells.cell import DynamicCell
from tfseg.models.cells.genotype import Genotype
from tfseg.nas import candidate
from tfseg.nas.candidate import Candidate, CandidateConfig, Task, evaluated, loss_of, reward_of, unrolled
from tfseg.nas.features import ClipConfig, clips_of, divided, frames_of
from tfseg.runs.run_directory import weight_arrays

CLIPS = ClipConfig(frames=3, frame_gap=2, precision="float32")
# dec = conv of sep3(previous dec) + skip(previous dec), then with layer2.
FROM_BEFORE = Genotype(((1, 1, 0, 4, 0), (5, 2, 4, 0, 0)))
FROM_NOW = Genotype(((2, 3, 0, 0, 0),))


@pytest.fixture(scope="module")
def split(videos):
    return open_split("folder", str(videos), "train")


@pytest.fixture(scope="module")
def task(network, split):
    clips = divided(network, split, CLIPS)
    return Task(*clips, network.classifier.get_weights(), CandidateConfig(epochs=2, batch_size=4))


def test_the_reward_is_the_geometric_mean_of_three_scores():
    """By hand. Rows are labels: 8 pixels of class 0, 2 of class 1, none of class 2, which is predicted once.

    IoUs: 6 / 9, 1 / 3, 0 / 1. Weighed by 8 and 2 of 10 pixels: 0.6. Recall: 6 / 8 and 1 / 2.
    """
    confusion = np.array([[6, 1, 1], [1, 1, 0], [0, 0, 0]])
    mean_iou, weighted, accuracy = (6 / 9 + 1 / 3 + 0) / 3, 0.8 * 6 / 9 + 0.2 / 3, (6 / 8 + 1 / 2) / 2
    assert reward_of(confusion) == pytest.approx((mean_iou * weighted * accuracy) ** (1 / 3))


def test_classes_in_neither_map_do_not_count_and_no_label_is_no_reward():
    assert reward_of(np.diag([3, 5, 0])) == pytest.approx(1)
    assert reward_of(np.zeros([3, 3], int)) == 0


@pytest.mark.slow
def test_the_loss_from_kept_maps_is_that_of_the_live_network(network, split, task):
    """arch2 on the first frame, the cell on the others, each from the state before; and no weight of arch2 changes."""
    tf.keras.utils.set_random_seed(0)
    cell, classifier = DynamicCell(FROM_BEFORE, 8), Conv2D(2, 3, use_bias=True)
    numbers = clips_of(frames_of(split), CLIPS)[0][0]
    examples = list(split.examples().as_numpy_iterator())
    batch = task.training.batch([0])
    kept = loss_of(unrolled(cell, classifier, batch), batch["labels"])
    live, before, dec = 0.0, None, None
    for number in numbers:
        maps = network.maps(tf.cast(examples[number]["image"], tf.float32))
        if before is None:
            _, dec = network.decode(maps)
        else:
            dec = cell((before, dec, *maps[1:]), (8, 12))
            label = examples[number]["label"][0, 4::8, 4::8]
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(np.minimum(label, 1), classifier(dec)[0])
            live += tf.reduce_mean(losses[label != 255])
        before = maps[3]
    assert float(kept) == pytest.approx(float(live), rel=1e-5)


@pytest.mark.slow
def test_training_changes_no_weight_of_the_static_network(network, task):
    before = weight_arrays(network)
    evaluated(FROM_BEFORE, task, lambda reward: True)
    assert all(np.array_equal(before[name], values) for name, values in weight_arrays(network).items())


def test_the_loss_of_a_later_frame_reaches_back_through_the_frames_before():
    """The last frame's loss alone: cut between the frames, the gradient would be another one."""
    tf.keras.utils.set_random_seed(0)
    cell, classifier = DynamicCell(FROM_BEFORE, 8), Conv2D(2, 3, use_bias=True)
    random = np.random.default_rng(0)
    maps = [[tf.constant(random.normal(size=(1, 8 // s, 12 // s, 8)), tf.float32) for s in (1, 2, 4)] for _ in range(3)]
    dec = tf.constant(random.normal(size=(1, 8, 12, 8)), tf.float32)
    label = tf.constant(random.integers(0, 2, (1, 8, 12)), tf.int32)
    batch = {"dec": dec, "layer4": maps[0][2], "frames": maps[1:]}

    def gradients(is_cut):
        with tf.GradientTape() as tape:
            if is_cut:
                first = cell((batch["layer4"], dec, *maps[1]), (8, 12))
                logits = classifier(cell((maps[1][2], tf.stop_gradient(first), *maps[2]), (8, 12)))
            else:
                logits = unrolled(cell, classifier, batch)[-1]
            loss = loss_of([logits], [label])
        return np.concatenate([np.ravel(one) for one in tape.gradient(loss, cell.trainable_variables)])

    whole, cut = gradients(False), gradients(True)
    assert np.abs(whole - cut).max() > 1e-3 * np.abs(whole).max()


@pytest.mark.slow
def test_a_candidate_starts_from_the_classifier_of_the_static_network_and_learns(task):
    one = Candidate(FROM_BEFORE, task)
    np.testing.assert_array_equal(one.classifier.get_weights()[0], task.classifier[0])
    first = reward_of(one.confusion())
    for epoch in range(1, 4):
        assert one.train_epoch(epoch)
    assert reward_of(one.confusion()) > max(first, 0.6)


@pytest.mark.slow
def test_the_same_candidate_has_the_same_reward_whatever_was_trained_before(task):
    one, _, same = (evaluated(cell, task, lambda _: True) for cell in (FROM_NOW, FROM_BEFORE, FROM_NOW))
    assert one == same
    assert one.outcome == "finished" and one.epoch == 2
    # Two reductions of 8 channels, two separable convolutions, the sum's weights, a reduction, the classifier.
    adapters, separable = 2 * (64 + 16), 2 * (9 * 8 + 64 + 16)
    assert one.num_parameters == adapters + separable + 16 + (64 + 16) + (9 * 8 * 2 + 2)


@pytest.mark.slow
def test_a_candidate_that_may_not_go_on_has_its_half_way_reward(task):
    seen = []
    outcome = evaluated(FROM_NOW, task, lambda reward: seen.append(reward))
    assert (outcome.outcome, outcome.epoch) == ("stopped", 1)
    assert seen == [outcome.reward] == [outcome.half_reward]


@pytest.mark.parametrize(("epochs", "middle"), [(1, 1), (2, 1), (3, 2), (20, 10)])
def test_half_way_is_rounded_up(epochs, middle):
    assert CandidateConfig(epochs=epochs).middle == middle


@pytest.mark.slow
def test_losses_that_are_not_finite_are_no_reward(task):
    spoilt = {name: np.full_like(values, np.nan) for name, values in task.training.maps.items()}
    broken = dataclasses.replace(task, training=dataclasses.replace(task.training, maps=spoilt))
    outcome = evaluated(FROM_NOW, broken, lambda reward: True)
    assert (outcome.reward, outcome.half_reward, outcome.epoch, outcome.outcome) == (0.0, None, 1, "failed")


@pytest.mark.slow
def test_too_little_memory_is_no_reward(task, monkeypatch):
    def exhausted(self, epoch):
        raise tf.errors.ResourceExhaustedError(None, None, "no memory")

    monkeypatch.setattr(candidate.Candidate, "train_epoch", exhausted)
    outcome = evaluated(FROM_NOW, task, lambda reward: True)
    assert (outcome.reward, outcome.outcome) == (0.0, "failed")
