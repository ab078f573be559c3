"""Trains one candidate for a short while on the maps of a frozen network, and scores it."""

import dataclasses
from collections.abc import Callable

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfseg.errors import InputError
from tfseg.labels import IGNORE_LABEL
from tfseg.layers.conv import Conv2D, statistics_after
from tfseg.layers.resize import map_size
from tfseg.losses.semantic import semantic_cross_entropy
from tfseg.metrics.confusion import (
    confusion_matrix,
    frequency_weighted_iou,
    mean_class_accuracy,
    mean_iou,
)
from tfseg.models.cells.cell import DynamicCell
from tfseg.models.cells.genotype import Genotype
from tfseg.nas.features import Clips

FINISHED, STOPPED, FAILED = "finished", "stopped", "failed"


@dataclasses.dataclass(frozen=True)
class CandidateConfig:
    """How a candidate is trained.

    Attributes:
      epochs: passes over the training clips. Half-way, rounded up, it may be stopped.
      batch_size: clips an update.
      learning_rate: of Adam.
      clip_norm: global gradient norm above which gradients are scaled down; 0 is off.
      seed: seed of weights and order, the same for all candidates.
    """

    epochs: int = 20
    batch_size: int = 48
    learning_rate: float = 8e-3
    clip_norm: float = 3.0
    seed: int = 0

    def __post_init__(self):
        for name in ("epochs", "batch_size", "learning_rate"):
            if not 0 < getattr(self, name) < float("inf"):
                raise InputError(f"a candidate's {name} is {getattr(self, name)}; it must be above 0")

    @property
    def middle(self) -> int:
        """Number of epochs after which a candidate may be stopped."""
        return (self.epochs + 1) // 2


@dataclasses.dataclass(frozen=True)
class Task:
    """What candidates are trained on: clips, and arch2's classifier, from which theirs starts.

    Attributes:
      training, validation: the Clips.
      classifier: its kernel [3, 3, width, num_classes] and bias [num_classes].
      config: the CandidateConfig.
    """

    training: Clips
    validation: Clips
    classifier: list[np.ndarray]
    config: CandidateConfig


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of a candidate.

    Attributes:
      reward: 0 to 1, see `reward_of`; 0 if it failed.
      half_reward: that half-way; None if it failed before.
      epoch: number of epochs it was trained.
      outcome: FINISHED, STOPPED half-way, or FAILED: its loss was not finite, or memory did not suffice.
      num_parameters: number of trainable weights, its classifier's included.
    """

    reward: float
    half_reward: float | None
    epoch: int
    outcome: str
    num_parameters: int


class Candidate:
    """A cell and its classifier.

    Args:
      genotype: the cell's Genotype.
      task: the Task.
    """

    def __init__(self, genotype: Genotype, task: Task):
        keras.utils.set_random_seed(task.config.seed)
        self._task = task
        _, _, width, num_classes = task.classifier[0].shape
        self.cell = DynamicCell(genotype, width, name="cell")
        self.classifier = Conv2D(num_classes, 3, use_bias=True, name="cell_logits")
        unrolled(self.cell, self.classifier, task.training.batch([0]))  # creates the weights
        self.classifier.set_weights(task.classifier)
        self._variables = self.cell.trainable_variables + self.classifier.trainable_variables
        self._optimizer = keras.optimizers.Adam(task.config.learning_rate)
        self._optimizer.build(self._variables)
        self._train = tf.function(self.train_step, autograph=False)
        self._predict = tf.function(self._class_ids, autograph=False)

    @property
    def num_parameters(self) -> int:
        """Number of trainable weights."""
        return sum(int(np.prod(variable.shape)) for variable in self._variables)

    def train_epoch(self, epoch: int) -> bool:
        """Trains on every clip once, but for those that fill no batch. Returns whether all losses were finite."""
        clips, config = self._task.training, self._task.config
        order = np.random.default_rng((config.seed, epoch)).permutation(len(clips.places))
        size = min(config.batch_size, len(order))
        for start in range(0, len(order) - size + 1, size):
            if not np.isfinite(float(self._train(clips.batch(order[start : start + size])))):
                return False
        return True

    def train_step(self, batch):
        """Makes an update from a batch of `Clips.batch`; returns the loss before it."""
        with tf.GradientTape() as tape, statistics_after(self._optimizer.iterations):
            logits = unrolled(self.cell, self.classifier, batch, training=True)
            loss = loss_of(logits, batch["labels"])
        gradients = tape.gradient(loss, self._variables)
        if self._task.config.clip_norm:
            gradients, _ = tf.clip_by_global_norm(gradients, self._task.config.clip_norm)
        self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))
        return loss

    def confusion(self) -> np.ndarray:
        """Returns the confusion matrix on all frames but the first of the validation clips."""
        clips = self._task.validation
        num_classes = self._task.classifier[0].shape[-1]
        size = min(self._task.config.batch_size, len(clips.places))
        matrix = np.zeros([num_classes, num_classes], np.int64)
        for start in range(0, len(clips.places), size):
            rows = np.arange(start, min(start + size, len(clips.places)))
            batch = clips.batch(np.resize(rows, size))  # the last one is filled up, so that its shape is the same
            for label, prediction in zip(batch["labels"], self._predict(batch), strict=True):
                kept = slice(len(rows))
                matrix += confusion_matrix(label.numpy()[kept], prediction.numpy()[kept], num_classes)
        return matrix

    def _class_ids(self, batch):
        logits = unrolled(self.cell, self.classifier, batch)
        return [tf.argmax(one, -1, tf.int32) for one in logits]


def unrolled(cell, classifier, batch, training=False) -> list[tf.Tensor]:
    """Runs a cell over clips, each frame from the one before, whose gradients flow back through all frames.

    Args:
      cell, classifier: the layers.
      batch: see `Clips.batch`.
      training: whether batch normalisation uses the statistics of the batch.
    Returns:
      The logits of all frames but the first, each [batch, h, w, num_classes].
    """
    before, dec, logits = batch["layer4"], batch["dec"], []
    for layers in batch["frames"]:
        dec = cell((before, dec, *layers), map_size(layers[0], 1), training=training)
        before = layers[-1]
        logits.append(classifier(dec))
    return logits


def loss_of(logits, labels):
    """Returns the sum over frames of the mean cross-entropy of a frame's labelled pixels, in nats."""
    losses = []
    for label, one in zip(labels, logits, strict=True):
        total, weight = semantic_cross_entropy(label, one, upsample=_as_it_is, ignore_label=IGNORE_LABEL)
        losses.append(tf.math.divide_no_nan(total, weight))
    return tf.add_n(losses)


def reward_of(confusion) -> float:
    """Returns the geometric mean of mean IoU, frequency-weighted IoU and mean class accuracy (arXiv:1904.02371).

    Classes in neither labels nor predictions do not count. Without any labelled pixel it is 0.
    """
    scores = mean_iou(confusion)[0], frequency_weighted_iou(confusion), mean_class_accuracy(confusion)
    reward = float(np.prod(scores)) ** (1 / 3)
    return reward if np.isfinite(reward) else 0.0


def evaluated(genotype: Genotype, task: Task, goes_on: Callable[[float], bool]) -> Outcome:
    """Trains and scores a candidate.

    Args:
      genotype: the candidate's.
      task: the Task.
      goes_on: half-way reward -> whether it is trained to the end; not called if it fails before.
    """
    epoch, half, num_parameters = 0, None, 0
    try:
        candidate = Candidate(genotype, task)
        num_parameters = candidate.num_parameters
        for epoch in range(1, task.config.epochs + 1):
            if not candidate.train_epoch(epoch):
                return Outcome(0.0, half, epoch, FAILED, num_parameters)
            if epoch == task.config.middle:
                half = reward_of(candidate.confusion())
                if not goes_on(half) and epoch < task.config.epochs:
                    return Outcome(half, half, epoch, STOPPED, num_parameters)
        reward = half if task.config.epochs == 1 else reward_of(candidate.confusion())
        return Outcome(reward, half, epoch, FINISHED, num_parameters)
    except (tf.errors.ResourceExhaustedError, MemoryError):
        return Outcome(0.0, half, epoch, FAILED, num_parameters)


def _as_it_is(logits, size):
    """Labels have the size of the logits already."""
    del size
    return logits
