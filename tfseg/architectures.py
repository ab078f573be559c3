"""THE table of architectures: one row per model, which says what belongs to it."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from tfseg.data import panoptic_targets, targets
from tfseg.errors import InputError, listed
from tfseg.losses.panoptic import panoptic_losses
from tfseg.losses.semantic import class_presence_cross_entropy, semantic_cross_entropy, semantic_losses
from tfseg.models import arch2_video, deeperlab, rnn, shelf
from tfseg.models.arch2 import Arch2, Arch2Config
from tfseg.models.arch2_video import Arch2Video, Arch2VideoConfig
from tfseg.models.deeperlab import DeeperLab
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.models.deeplabv3 import DeepLabV3, DeepLabV3Config
from tfseg.models.fcn import FCN, FCNConfig
from tfseg.models.light_shelfnet import LightShelfNet, LightShelfNetConfig
from tfseg.models.pspnet import PSPNet, PSPNetConfig
from tfseg.models.rnn import RNNConfig, RNNSegmenter
from tfseg.models.segmenter import Segmenter, SegmenterConfig
from tfseg.models.shelfnet import ShelfNet, ShelfNetConfig


def _semantic_targets(example, info, config):
    del info, config
    return targets.semantic(example)


def _semantic_losses(batch, outputs, config, **shared):
    del config
    return semantic_losses(batch, outputs, **shared)


def _feed_forward_outputs(network, batch, seed):
    del seed
    return network(batch["image"], training=True)


def _recurrent_losses(batch, outputs, config, **shared):
    return semantic_losses(batch, outputs, loss_at=config.loss_at, **shared)


def _auxiliary_losses(batch, outputs, config, **shared):
    terms = semantic_losses(batch, outputs, **shared)
    for number, logits in enumerate(outputs.get("auxiliary_logits", ()), 1):
        entropy = semantic_cross_entropy(batch["label"], logits, **shared)
        terms[f"auxiliary_{number}"] = (config.auxiliary_weight, *entropy)
    if "presence_logits" in outputs:
        entropy = class_presence_cross_entropy(batch["label"], outputs["presence_logits"])
        terms["class_presence"] = (config.presence_weight, *entropy)
    return terms


def _clip_losses(batch, outputs, config, **shared):
    del config
    terms = semantic_losses(batch, outputs, **shared)
    for number, logits in enumerate(outputs["earlier_logits"]):
        # Where the frame before is missing or made, its label ignores every pixel.
        if "previous_labels" in batch:
            entropy = semantic_cross_entropy(batch["previous_labels"][:, number], logits, **shared)
            terms[f"cross_entropy_frame_{number + 2}"] = (1.0, *entropy)
    return terms


def _deeperlab_targets(example, info, config):
    return panoptic_targets.panoptic(example, info, config.targets)


def _deeperlab_losses(batch, outputs, config, **shared):
    return panoptic_losses(
        batch,
        outputs,
        config=config.losses,
        radius=config.targets.radius,
        target_stride=config.targets.stride,
        **shared,
    )


@dataclasses.dataclass(frozen=True)
class Architecture:
    """One model: what trains, evaluates and exports it. The functions default to those of a semantic network.

    Attributes:
      config: class of its config, a dataclass that extends `SegmenterConfig`; its `check` refuses values that no
        training can use.
      model: (config, num_classes) -> its network, a Keras model that extends `Segmenter`.
      targets: (augmented example, DatasetInfo, config) -> what the loss reads. It runs inside tf.data.
      losses: (batch, outputs, config, upsample=, ignore_label=, class_weights=) -> {name: (weight, sum, total)}. A
        semantic network's also take `hard_pixels`, see `losses.semantic.semantic_cross_entropy`.
      training_outputs: (network, batch, seed) -> the network's outputs in training.
      is_panoptic: whether the model tells instances apart; its examples then have "instance".
    """

    config: type[SegmenterConfig]
    model: Callable[[SegmenterConfig, int], Segmenter]
    targets: Callable = _semantic_targets
    losses: Callable = _semantic_losses
    training_outputs: Callable = _feed_forward_outputs
    is_panoptic: bool = False


ARCHITECTURES = {
    "rnn": Architecture(RNNConfig, RNNSegmenter, losses=_recurrent_losses, training_outputs=rnn.training_outputs),
    "fcn": Architecture(FCNConfig, FCN),
    "deeplabv3": Architecture(DeepLabV3Config, DeepLabV3),
    "pspnet": Architecture(PSPNetConfig, PSPNet),
    "shelfnet": Architecture(
        ShelfNetConfig, ShelfNet, losses=_auxiliary_losses, training_outputs=shelf.training_outputs
    ),
    "light_shelfnet": Architecture(
        LightShelfNetConfig, LightShelfNet, losses=_auxiliary_losses, training_outputs=shelf.training_outputs
    ),
    "arch2": Architecture(Arch2Config, Arch2, losses=_auxiliary_losses),
    "arch2_video": Architecture(
        Arch2VideoConfig, Arch2Video, losses=_clip_losses, training_outputs=arch2_video.training_outputs
    ),
    "deeperlab": Architecture(
        DeeperLabConfig, DeeperLab, _deeperlab_targets, _deeperlab_losses, deeperlab.training_outputs, is_panoptic=True
    ),
}


def architecture_of(config: SegmenterConfig) -> Architecture:
    """Returns the row of a network's config. Raises InputError for a config that has no row."""
    return ARCHITECTURES[name_of(config)]


def name_of(config: SegmenterConfig) -> str:
    """Returns the name of a network's config in the table. Raises InputError for a config that has no row."""
    for name, architecture in ARCHITECTURES.items():
        if type(config) is architecture.config:
            return name
    raise InputError(f"{type(config).__name__} has no row in ARCHITECTURES; it has {listed(ARCHITECTURES)}")


def build(config: SegmenterConfig, num_classes: int) -> Segmenter:
    """Builds the network of a config and creates its variables."""
    network = architecture_of(config).model(config, num_classes)
    network(tf.zeros([1, 64, 64, 3]), training=False)
    return network
