"""The table of architectures: what belongs to a model, keyed by the type of its config."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfseg.data import panoptic_targets, targets
from tfseg.data.panoptic_targets import PanopticTargetConfig
from tfseg.errors import InputError
from tfseg.losses import panoptic, semantic
from tfseg.losses.panoptic import PanopticLossConfig
from tfseg.models import deeperlab
from tfseg.models.deeperlab import DeeperLab, DeeperLabConfig
from tfseg.models.deeplabv3 import DeepLabV3, DeepLabV3Config
from tfseg.models.fcn import FCN, FCNConfig
from tfseg.models.pspnet import PSPNet, PSPNetConfig
from tfseg.models.rnn import RNNConfig, RNNSegmenter, training_outputs
from tfseg.postprocess.keypoint_graphs import GRAPHS


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What train, evaluate, export and use a model.

    Attributes:
      make_targets: (augmented example, DatasetInfo, model config) -> what the loss reads (runs in tf.data).
      model: (config, num_classes) -> keras.Model.
      training_outputs: (network, images, seed) -> outputs in training.
      losses: (batch, outputs, config=, upsample=, ignore_label=, class_weights=) -> {name: (weight, sum, total)}.
      is_panoptic: whether it tells instances apart: examples then have "instance", and outputs the maps of
        `tfseg.postprocess.instance_maps`.
      check: (model config); raises InputError for values that no training can use.
    """

    make_targets: Callable
    model: Callable
    training_outputs: Callable
    losses: Callable
    is_panoptic: bool = False
    check: Callable = lambda config: None


def semantic_targets(example, info, config):
    """Targets of a semantic network: see `targets.semantic`."""
    del info, config
    return targets.semantic(example)


def semantic_losses(batch, outputs, *, config, **shared):
    """Losses of a semantic network: see `losses.semantic`."""
    return semantic.semantic(batch, outputs, loss_at=getattr(config, "loss_at", ()), **shared)


def deeperlab_targets(example, info, config):
    """Targets of DeeperLab: see `panoptic_targets.panoptic`."""
    return panoptic_targets.panoptic(example, info, _target_config(config))


def deeperlab_losses(batch, outputs, *, config, **shared):
    """Losses of DeeperLab: see `panoptic_losses.panoptic`."""
    return panoptic.panoptic(batch, outputs, config=_loss_config(config), **shared)


def check_deeperlab(config):
    """Raises InputError for values that no training of DeeperLab can use."""
    if len(config.loss_weights) != 5:
        raise InputError(f"loss_weights are {config.loss_weights}; five numbers")
    _target_config(config), _loss_config(config)


def _target_config(config):
    graph = GRAPHS[config.graph]
    return PanopticTargetConfig(
        graph.edges,
        graph.num_keypoints,
        radius=config.radius,
        stride=config.target_stride,
        geometry=config.geometry,
        small_instance_area=config.small_instance_area,
        small_instance_weight=config.small_instance_weight,
    )


def _loss_config(config):
    return PanopticLossConfig(
        *config.loss_weights,
        hard_pixel_fraction=config.hard_pixel_fraction,
        is_weight_in_hardness=config.is_weight_in_hardness,
        radius=config.radius,
        target_stride=config.target_stride,
    )


def feed_forward_outputs(network, images, seed):
    """Outputs in training of a network that draws nothing."""
    del seed
    return network(images, training=True)


SEMANTIC = {"make_targets": semantic_targets, "losses": semantic_losses}
FEED_FORWARD = SEMANTIC | {"training_outputs": feed_forward_outputs}
ARCHITECTURES = {
    RNNConfig: Architecture(model=RNNSegmenter, training_outputs=training_outputs, **SEMANTIC),
    FCNConfig: Architecture(model=FCN, **FEED_FORWARD),
    DeepLabV3Config: Architecture(model=DeepLabV3, **FEED_FORWARD),
    PSPNetConfig: Architecture(model=PSPNet, **FEED_FORWARD),
    DeeperLabConfig: Architecture(
        deeperlab_targets, DeeperLab, deeperlab.training_outputs, deeperlab_losses, True, check_deeperlab
    ),
}


def architecture_of(model_config) -> Architecture:
    """The row of a model config."""
    return ARCHITECTURES[type(model_config)]


def build(model_config, num_classes: int):
    """The model, with its variables created."""
    network = architecture_of(model_config).model(model_config, num_classes)
    network(tf.zeros([1, 64, 64, 3]), training=False)
    return network
