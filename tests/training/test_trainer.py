"""One training step: guarded against non-finite values, equal on one device and on several."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.hanging import finish
from tfseg.config import TrainingConfig
from tfseg.layers.conv import ConvBatchNorm
from tfseg.layers.resize import resize_bilinear
from tfseg.losses import semantic
from tfseg.training import schedule
from tfseg.training.averaging import WeightAverage
from tfseg.training.trainer import Trainer

STEPS = Path(__file__).parent / "distributed_steps.py"


class ToyNetwork(keras.Model):
    def __init__(self):
        super().__init__()
        self.block = ConvBatchNorm(4, 3, 2, name="block")
        self.logits = keras.layers.Conv2D(3, 1)

    def call(self, images, training=False):
        return {"semantic_logits": self.logits(self.block(images / 255, training=training))}


class WithoutNorm(keras.Model):
    def __init__(self):
        super().__init__()
        self.hidden, self.logits = keras.layers.Conv2D(4, 3, 2, "same"), keras.layers.Conv2D(3, 1)

    def call(self, images, training=False):
        return {"semantic_logits": self.logits(tf.nn.relu(self.hidden(images / 255)))}


def toy_trainer(network_type=ToyNetwork, **fields):
    keras.utils.set_random_seed(0)
    network = network_type()
    network(tf.zeros([1, 8, 8, 3]))
    trainer = Trainer(
        network,
        lambda network, batch, seed: network(batch["image"], training=True),
        lambda batch, outputs: semantic.semantic_losses(batch, outputs, upsample=resize_bilinear, ignore_label=255),
        WeightAverage(network, fields.get("average_decay", 0.0)),
        clip_norm=fields.pop("clip_norm", 0.0),
        accumulated_batches=fields.get("accumulated_batches", 1),
    )
    config = TrainingConfig(**{"optimizer": "adamw", "learning_rate": 0.01, "total_steps": 100} | fields)
    trainer.compile(optimizer=schedule.build_optimizer(config, "off"))
    trainer.optimizer.build(network.trainable_variables)
    return trainer


def toy_batch(seed=0):
    generator = np.random.default_rng(seed)
    image = generator.uniform(0, 255, [2, 8, 8, 3]).astype(np.float32)
    return {"image": tf.constant(image), "label": tf.constant(generator.integers(0, 3, [2, 8, 8]), tf.int32)}


def weights_of(trainer):
    return [variable.numpy() for variable in trainer.network.variables]


def test_a_step_lowers_the_loss_of_its_batch():
    trainer, batch = toy_trainer(), toy_batch()
    first = trainer.train_step(batch)
    for _ in range(20):
        last = trainer.train_step(batch)
    assert float(last["loss"]) < float(first["loss"])
    assert float(first["is_finite"]) == 1


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_a_pixel_that_is_not_finite_changes_no_weight_and_no_statistic(value, optimizer):
    trainer, batch = toy_trainer(optimizer=optimizer, average_decay=0.9, weight_decay=0.1), toy_batch()
    trainer.train_step(batch)
    before = weights_of(trainer)
    slots = [variable.numpy() for variable in trainer.optimizer.variables[1:]]
    image = batch["image"].numpy()
    image[0, 0, 0, 0] = value
    logs = trainer.train_step(batch | {"image": tf.constant(image)})
    assert float(logs["is_finite"]) == 0
    for kept, now in zip(before, weights_of(trainer), strict=True):
        np.testing.assert_array_equal(kept, now)
    names = [variable.name for variable in trainer.optimizer.variables[1:]]
    for name, kept, now in zip(names, slots, [v.numpy() for v in trainer.optimizer.variables[1:]], strict=True):
        if "iteration" not in name:
            np.testing.assert_array_equal(kept, now, err_msg=name)
    assert int(trainer.optimizer.iterations) == 2
    assert float(trainer.train_step(batch)["is_finite"]) == 1


def test_an_optimizer_without_loss_scaling_is_guarded_too():
    """As on a TPU, which has none: the step then passes zero gradients on."""
    trainer, batch = toy_trainer(optimizer="sgd", momentum=0.0), toy_batch()
    trainer.compile(optimizer=trainer.optimizer.inner_optimizer)
    assert float(trainer.train_step(batch)["is_finite"]) == 1
    before = weights_of(trainer)
    logs = trainer.train_step(batch | {"image": tf.fill([2, 8, 8, 3], math.nan)})
    assert float(logs["is_finite"]) == 0
    for kept, now in zip(before, weights_of(trainer), strict=True):
        np.testing.assert_array_equal(kept, now)


def test_a_batch_with_every_pixel_ignored_has_loss_zero_and_leaves_the_kernels_alone():
    trainer, batch = toy_trainer(optimizer="sgd"), toy_batch()
    before = [variable.numpy() for variable in trainer.network.trainable_variables]
    logs = trainer.train_step(batch | {"label": tf.fill([2, 8, 8], 255)})
    assert float(logs["loss"]) == float(logs["gradient_norm"]) == 0
    assert float(logs["is_finite"]) == 1
    for kept, variable in zip(before, trainer.network.trainable_variables, strict=True):
        np.testing.assert_array_equal(kept, variable)


def test_clipping_bounds_what_is_applied():
    free, clipped = (
        toy_trainer(optimizer="sgd", momentum=0.0),
        toy_trainer(optimizer="sgd", momentum=0.0, clip_norm=1e-3),
    )
    moved = []
    for trainer in (free, clipped):
        before = [variable.numpy() for variable in trainer.network.trainable_variables]
        trainer.train_step(toy_batch())
        after = [variable.numpy() for variable in trainer.network.trainable_variables]
        moved.append(math.sqrt(sum(((a - b) ** 2).sum() for a, b in zip(after, before, strict=True))))
    # The clipped step is the learning rate times the allowed norm.
    assert moved[1] == pytest.approx(0.01 * 1e-3, rel=0.01)
    assert moved[0] > 10 * moved[1]


def stepped(trainer, batches):
    """Makes one update from some batches through Keras' entry; returns its logs."""
    return {name: float(value) for name, value in trainer.make_train_function()(iter(batches)).items()}


def unequal_parts():
    """Three batches of two images, of which the second has half of its pixels ignored and the third all but one."""
    batches = [toy_batch(seed) for seed in range(3)]
    for batch, first in zip(batches, (8, 4, 0), strict=True):
        is_labelled = np.arange(8) < first
        is_labelled = np.broadcast_to(is_labelled[:, np.newaxis], [2, 8, 8]).copy()
        is_labelled[0, 0, 0] = True
        batch["label"] = tf.where(is_labelled, batch["label"], 255)
    return batches


@pytest.mark.parametrize(
    "fields", [{"optimizer": "sgd"}, {"optimizer": "sgd", "clip_norm": 0.01}, {"optimizer": "adamw"}]
)
def test_three_batches_make_the_update_of_one_of_their_images(fields):
    parts = unequal_parts()
    whole = {name: tf.concat([part[name] for part in parts], 0) for name in parts[0]}
    one, three = (toy_trainer(WithoutNorm, average_decay=0.5, accumulated_batches=k, **fields) for k in (1, 3))
    for _ in range(2):
        expected, logs = stepped(one, [whole]), stepped(three, parts)
        assert logs == pytest.approx(expected, rel=1e-5)
    assert int(three.optimizer.iterations) == int(three.average.num_updates) == 2
    for ours, theirs in zip(weights_of(three), weights_of(one), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
    for ours, theirs in zip(three.average.values, one.average.values, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_one_bad_batch_of_an_update_takes_the_whole_update_back_and_the_next_one_is_clean():
    trainer, parts = toy_trainer(optimizer="sgd", accumulated_batches=3), unequal_parts()
    stepped(trainer, parts)
    before = weights_of(trainer)
    bad = parts[1] | {"image": tf.fill([2, 8, 8, 3], math.nan)}
    assert stepped(trainer, [parts[0], bad, parts[2]])["is_finite"] == 0
    for kept, now in zip(before, weights_of(trainer), strict=True):
        np.testing.assert_array_equal(kept, now)
    logs = stepped(trainer, parts)
    assert logs["is_finite"] == 1 and math.isfinite(logs["loss"])
    assert any((kept != now).any() for kept, now in zip(before, weights_of(trainer), strict=True))


def test_the_files_of_all_batches_of_an_update_are_known():
    trainer, parts = toy_trainer(accumulated_batches=2), unequal_parts()
    stepped(trainer, [part | {"filename": tf.constant([f"{index}.png"])} for index, part in enumerate(parts[:2])])
    assert [names.numpy().tolist() for names in trainer.filenames] == [[b"0.png"], [b"1.png"]]


def test_draws_in_the_forward_pass_differ_between_the_batches_of_an_update():
    seeds = []
    trainer = toy_trainer(accumulated_batches=2)
    forward = trainer._training_outputs

    def noting(network, batch, seed):
        tf.py_function(lambda seed: seeds.append(seed.numpy().tolist()), [seed], [])
        return forward(network, batch, seed)

    trainer._training_outputs = noting
    for _ in range(2):
        stepped(trainer, [toy_batch(), toy_batch()])
    assert seeds == [[0, 0], [0, 1], [0, 2], [0, 3]]


@pytest.fixture(scope="module", params=[1, 2], ids=["one batch", "two batches"])
def one_and_two_devices(tmp_path_factory, request):
    """Losses and weights after five batches on one and on two devices, each in a process of its own."""
    paths = [tmp_path_factory.mktemp("devices") / f"{devices}.npz" for devices in (1, 2)]
    processes = [
        subprocess.Popen(
            [sys.executable, str(STEPS), path.stem, str(request.param), str(path)],
            stderr=subprocess.PIPE,
            text=True,
            cwd=STEPS.parents[2],
        )
        for path in paths
    ]
    for process in processes:
        _, error = finish(process)
        assert process.returncode == 0, error[-2000:]
    return [np.load(path) for path in paths]


@pytest.mark.slow
def test_two_mirrored_devices_equal_one_with_the_same_global_batch(one_and_two_devices):
    """Synchronized batch norm, 5 images as 2 and 3, and an ignored area that lies in one replica's part.

    They agree to 1e-6. A loss divided by each replica's own count, or statistics of each replica by itself, would move
    them apart by more than 3e-3.
    """
    one, two = one_and_two_devices
    assert set(one.files) == set(two.files)
    for name in one.files:
        np.testing.assert_allclose(one[name], two[name], atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_all_devices_hold_the_same_weights(one_and_two_devices):
    """An optimizer that treats the copies by their names would decay, say, the second device's gammas alone."""
    _, two = one_and_two_devices
    assert two["spread"] == 0


@pytest.mark.slow
def test_the_comparison_of_devices_sees_weights_that_moved(one_and_two_devices, request):
    one, _ = one_and_two_devices
    assert len(one["losses"]) == 5 // request.node.callspec.params["one_and_two_devices"]  # updates of so many batches
    trained = [name for name in one.files if f"start/{name}" in one and "moving" not in name]
    assert max(np.abs(one[name] - one[f"start/{name}"]).max() for name in trained) > 1e-3
