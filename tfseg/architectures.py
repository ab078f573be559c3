"""The table of architectures: what belongs to a model, keyed by the type of its config."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfseg import losses
from tfseg.data import targets
from tfseg.models.deeplabv3 import DeepLabV3, DeepLabV3Config
from tfseg.models.fcn import FCN, FCNConfig
from tfseg.models.pspnet import PSPNet, PSPNetConfig
from tfseg.models.rnn import RNNConfig, RNNSegmenter, training_outputs


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What train, evaluate, export and use a model.

    Attributes:
      make_targets: augmented example -> what the loss reads (runs in tf.data).
      model: (config, num_classes) -> keras.Model.
      training_outputs: (network, images, seed) -> outputs in training.
      losses: (batch, outputs, upsample=, ignore_label=, class_weights=, loss_at=) -> {name: (weight, sum, total)}.
    """

    make_targets: Callable
    model: Callable
    training_outputs: Callable
    losses: Callable


def feed_forward_outputs(network, images, seed):
    """Outputs in training of a network that draws nothing."""
    del seed
    return network(images, training=True)


ARCHITECTURES = {
    RNNConfig: Architecture(targets.semantic, RNNSegmenter, training_outputs, losses.semantic),
    FCNConfig: Architecture(targets.semantic, FCN, feed_forward_outputs, losses.semantic),
    DeepLabV3Config: Architecture(targets.semantic, DeepLabV3, feed_forward_outputs, losses.semantic),
    PSPNetConfig: Architecture(targets.semantic, PSPNet, feed_forward_outputs, losses.semantic),
}


def architecture_of(model_config) -> Architecture:
    """The row of a model config."""
    return ARCHITECTURES[type(model_config)]


def build(model_config, num_classes: int):
    """The model, with its variables created."""
    network = architecture_of(model_config).model(model_config, num_classes)
    network(tf.zeros([1, 64, 64, 3]), training=False)
    return network
