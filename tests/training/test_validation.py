"""Warnings about trained weights: normalisation or averaging that fails only in use, and classes never predicted."""

import numpy as np
import pytest
import tensorflow as tf

from tests.training.test_trainer import toy_trainer, weights_of
from tfseg.evaluation import semantic
from tfseg.training.validation import warn_of_other_statistics


@pytest.fixture(scope="module")
def bright_or_dark():
    """(trainer that tells bright from dark pixels in training mode, its batches)."""
    generator = np.random.default_rng(0)
    label = generator.integers(0, 2, [4, 2, 2]).repeat(4, 1).repeat(4, 2).astype(np.int32)
    image = (200 * label[..., np.newaxis] + generator.uniform(0, 40, [*label.shape, 3])).astype(np.float32)
    trainer = toy_trainer(learning_rate=0.05, average_decay=0.9)
    trainer.network.canvas_stride, trainer.network.padding = 2, "same"
    batch = {"image": tf.constant(image), "label": tf.constant(label)}
    for _ in range(60):
        trainer.train_step(batch)
    return trainer, tf.data.Dataset.from_tensors(batch).repeat()


def test_a_healthy_training_gets_no_warning(bright_or_dark, capsys):
    warn_of_other_statistics(*bright_or_dark, ignore_label=255)
    assert capsys.readouterr().err == ""


def test_weights_that_are_right_only_in_training_mode_get_a_warning(bright_or_dark, capsys):
    trainer, batches = bright_or_dark
    spoilt = [index for index, one in enumerate(trainer.network.variables) if "moving_mean" in one.name]
    for index in spoilt:
        trainer.average.values[index].assign_add(tf.fill(trainer.average.values[index].shape, 100.0))
    before = weights_of(trainer)
    warn_of_other_statistics(trainer, batches, ignore_label=255)
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: of the pixels of the same training images, ") and "--batch_size" in line
    for kept, now in zip(before, weights_of(trainer), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_a_class_that_is_labelled_but_never_predicted_is_named():
    entry = {"confusion": [[5, 0, 1], [2, 0, 0], [0, 0, 0]], "iou": {"street": 0.6, "person": 0.0, "sky": None}}
    assert semantic.never_predicted({"iterations": [entry]}) == ["warning: labelled, but never predicted: person"]
    entry["confusion"][0][1] = 1
    assert semantic.never_predicted({"iterations": [entry]}) == []
