"""Light-weight ShelfNet (Zhuang et al. 2019, ICCV Workshops): three levels, attention on the way up."""

import dataclasses
import typing

from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.conv_head import ConvHead
from tfseg.layers.shelf_columns import LEAKY, AttentionStep
from tfseg.models.shelf import COARSEST_STRIDE, Shelf, ShelfConfig

AUXILIARY_STRIDES, AUXILIARY_WIDTH = (16, 32), 64


def _default_backbone():
    return BackboneConfig("resnet18", output_stride=COARSEST_STRIDE)


@dataclasses.dataclass
class LightShelfNetConfig(ShelfConfig):
    """Three levels of strides 8, 16 and 32. The default is the authors' network on ResNet-18.

    Theirs on ResNet-34 has `width=128`, `has_reduction=False` and `dropout_rate=0`. Both are trained with
    `auxiliary_weight=1`: heads on the last column's maps of strides 16 and 32.

    Attributes:
      has_reduction: whether 1x1 convolutions bring the backbone's maps to the widths of the levels. Otherwise the maps
        must have these widths.
    """

    strides: typing.ClassVar[tuple[int, ...]] = (8, 16, 32)

    backbone: BackboneConfig = dataclasses.field(default_factory=_default_backbone)
    dropout_rate: float = 0.1
    has_reduction: bool = True


class LightShelfNet(Shelf):
    """Maps [batch, height, width, 3] RGB, 0 to 255, to "semantic_logits" at stride 8.

    With `auxiliary_weight`, the outputs also have "auxiliary_logits": those of strides 16 and 32, enlarged to stride 8.
    """

    negative_slope = 0.01

    def __init__(self, config: LightShelfNetConfig, num_classes: int):
        super().__init__(config, num_classes, "light_shelfnet")
        if not config.has_reduction:
            self._check_widths()
        self.classifier = self._head(config.width, "head")
        self.auxiliary = []
        if config.auxiliary_weight:
            self.auxiliary = [self._head(AUXILIARY_WIDTH, f"auxiliary_{stride}") for stride in AUXILIARY_STRIDES]

    def _head(self, width, name):
        return ConvHead(self.num_classes, width, kernel_size=3, use_bias=False, activation=LEAKY, name=name)

    def _reductions(self):
        return super()._reductions() if self.config.has_reduction else []

    def _reduced(self, maps, training):
        return super()._reduced(maps, training) if self.config.has_reduction else maps

    def _check_widths(self):
        shapes = self.backbone.compute_output_shape([1, COARSEST_STRIDE, COARSEST_STRIDE, 3])
        found, wanted = tuple(shape[-1] for shape in self._taps(shapes)), self.config.widths()
        if found != wanted:
            raise InputError(
                f"has_reduction=False: {self.config.backbone.name} has maps of {found} channels, but width "
                f"{self.config.width} makes levels of {wanted}; set has_reduction or another width"
            )

    def step(self, channels, name):
        """Returns a step of the columns that go up."""
        return AttentionStep(channels, name=name)

    def head(self, features, training):
        """Returns the logits [batch, h, w, num_classes] of the finest map of the last column."""
        return self.classifier(features, training=training)

    def training_heads(self, nodes, images, training, seed):
        """Returns the outputs of the heads that serve training alone."""
        del seed  # nothing is dropped in the heads
        if not self.auxiliary:
            return {}
        last = 2 * self.config.pairs
        maps = [nodes[f"{level}{last}"] for level in self.levels[1:]]
        return {
            "auxiliary_logits": [
                self.on_canvas(head(values, training=training), images, stride)
                for head, values, stride in zip(self.auxiliary, maps, AUXILIARY_STRIDES, strict=True)
            ]
        }
