"""ShelfNet (Zhuang et al. 2018, arXiv:1811.11254): pairs of columns through which there are many paths."""

import dataclasses
import typing

import tensorflow as tf

from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.conv import Conv2D
from tfseg.layers.conv_head import ConvHead, initial_logits
from tfseg.layers.shelf_columns import TransposedStep
from tfseg.models.shelf import COARSEST_STRIDE, Shelf, ShelfConfig

AUXILIARY_STRIDE = 16
AUXILIARY_DROPOUT_RATE = 0.1


def _default_backbone():
    return BackboneConfig("resnet50_v1_5", output_stride=COARSEST_STRIDE)


@dataclasses.dataclass
class ShelfNetConfig(ShelfConfig):
    """Four levels of strides 4, 8, 16 and 32. The default is the paper's network on ResNet-50.

    The authors' code trains VOC 2012 with `auxiliary_weight=0.5` (a head of convolutions on the backbone's map of
    stride 16) and `presence_weight=0.2`; the paper names cross-entropy alone.

    Attributes:
      presence_weight: weight of the loss of a head that says which classes are in the image; 0 builds none.
    """

    strides: typing.ClassVar[tuple[int, ...]] = (4, 8, 16, 32)

    backbone: BackboneConfig = dataclasses.field(default_factory=_default_backbone)
    presence_weight: float = 0.0

    def exported(self):
        return dataclasses.replace(super().exported(), presence_weight=0.0)

    def __post_init__(self):
        super().__post_init__()
        if not 0 <= self.presence_weight < float("inf"):
            raise InputError(f"presence_weight is a number of at least 0, not {self.presence_weight}")


class ShelfNet(Shelf):
    """Maps [batch, height, width, 3] RGB, 0 to 255, to "semantic_logits" at stride 4.

    With `auxiliary_weight`, the outputs also have "auxiliary_logits", with `presence_weight` "presence_logits" [batch,
    num_classes]: their sigmoid is the probability that a class is in the image.
    """

    def __init__(self, config: ShelfNetConfig, num_classes: int):
        super().__init__(config, num_classes, "shelfnet")
        self.classifier = self._logits_of("logits")
        self.auxiliary = self.presence = None
        if config.auxiliary_weight:
            self.auxiliary = ConvHead(num_classes, dropout_rate=AUXILIARY_DROPOUT_RATE, name="auxiliary")
        if config.presence_weight:
            self.presence = self._logits_of("presence")

    def _logits_of(self, name):
        initializer = initial_logits()
        return Conv2D(self.num_classes, use_bias=True, initializer=initializer, name=name, dtype=tf.float32)

    def step(self, channels, name):
        """Returns a step of the columns that go up."""
        return TransposedStep(channels, self.block, self.padding, name=name)

    def head(self, features, training):
        """Returns the logits [batch, h, w, num_classes] of the finest map of the last column."""
        del training
        return self.classifier(tf.cast(features, tf.float32))

    def training_heads(self, nodes, images, training, seed):
        """Returns the outputs of the heads that serve training alone."""
        outputs = {}
        if self.auxiliary is not None:
            # The seeds of the columns are made of the same one by splitting, which gives others.
            logits = self.auxiliary(nodes["C0"], training=training, seed=seed)
            outputs["auxiliary_logits"] = [self.on_canvas(logits, images, AUXILIARY_STRIDE)]
        if self.presence is not None:
            strongest = tf.reduce_max(
                nodes[f"D{2 * self.config.pairs}"], [1, 2], keepdims=True
            )  # [batch, 1, 1, channels]
            outputs["presence_logits"] = self.presence(tf.cast(strongest, tf.float32))[:, 0, 0]
        return outputs
