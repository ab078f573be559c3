"""Training steps on N logical CPU devices, K batches each: `distributed_steps.py N K FILE.npz`. Run by test_trainer."""

import sys

sys.path.insert(0, ".")

import numpy as np
import tensorflow as tf
from tensorflow import keras

import tfseg  # noqa: F401  (quiets TensorFlow)
from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.config import TrainingConfig
from tfseg.layers.conv import ConvBatchNorm
from tfseg.layers.resize import resize_bilinear
from tfseg.losses import semantic
from tfseg.models.rnn import RNNConfig
from tfseg.runs.run_directory import weight_arrays
from tfseg.training import schedule
from tfseg.training.averaging import WeightAverage
from tfseg.training.strategy import build_strategy
from tfseg.training.trainer import Trainer

NUM_BATCHES, GLOBAL_BATCH = 5, 5


def batches():
    """Two textures; most of the first half of the batch is ignored: one replica has far fewer labelled pixels."""
    generator = np.random.default_rng(0)
    for _ in range(NUM_BATCHES):
        label = generator.integers(0, 2, [GLOBAL_BATCH, 8, 8]).repeat(8, 1).repeat(8, 2).astype(np.int32)
        image = generator.uniform(0, 155, [*label.shape, 3]) + 100 * label[..., np.newaxis]
        label[:2, :, :56] = 255
        yield {"image": image.astype(np.float32), "label": label}


def build_network(config):
    """The recurrent network with smooth activations.

    At the kink of a ReLU, rounding decides which side of zero one activation in a million lies on. That is no error,
    but its whole gradient comes and goes, and moves weights by more than the tolerance.
    """
    network = architectures.build(config, 2)
    for layer in network.submodules:
        if isinstance(layer, ConvBatchNorm) and layer.activation is tf.nn.relu6:
            layer.activation = tf.nn.silu
    return network


def main(num_devices, num_batches, path):
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * num_devices)
    strategy = build_strategy("mirrored" if num_devices > 1 else "one_device")
    keras.utils.set_random_seed(0)
    with strategy.scope():
        config = RNNConfig(BackboneConfig("mobilenet_v2", width_multiplier=0.1), 2, (8, 6), feature_strides=(8,))
        network = build_network(config)
        trainer = Trainer(
            network,
            architectures.architecture_of(config).training_outputs,
            lambda batch, outputs: semantic.semantic_losses(batch, outputs, upsample=resize_bilinear, ignore_label=255),
            WeightAverage(network, 0.9),
            clip_norm=1.0,
            accumulated_batches=num_batches,
        )
        training = TrainingConfig(optimizer="sgd", learning_rate=0.05, total_steps=10, weight_decay=1e-3)
        trainer.compile(optimizer=schedule.build_optimizer(training, "off"))
        trainer.optimizer.build(network.trainable_variables)
    results = {f"start/{name}": array for name, array in weight_arrays(network).items()}

    def dataset(_):
        arrays = list(batches())
        stacked = {name: np.concatenate([batch[name] for batch in arrays]) for name in arrays[0]}
        sizes = {1: [5], 2: [2, 3]}[num_devices]
        return tf.data.Dataset.from_tensor_slices(stacked).batch(1).rebatch(sizes)

    iterator = iter(strategy.distribute_datasets_from_function(dataset))
    step = trainer.make_train_function()
    losses_seen = [float(step(iterator)["loss"]) for _ in range(NUM_BATCHES // num_batches)]
    assert strategy.num_replicas_in_sync == num_devices
    copies = [getattr(variable, "values", (variable,)) for variable in network.trainable_variables]
    assert {len(values) for values in copies} == {num_devices}
    spread = max(np.abs(value - values[0]).max() for values in copies for value in values)
    averages = {f"average/{index}": average.numpy() for index, average in enumerate(trainer.average.values)}
    np.savez(path, losses=losses_seen, spread=spread, **results, **averages, **weight_arrays(network))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3])
