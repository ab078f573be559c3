"""DeepLabV3 (Chen et al. 2017, "Rethinking Atrous Convolution for Semantic Image Segmentation", arXiv:1706.05587)."""

import dataclasses
import typing

from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.pyramid import AtrousSpatialPyramid
from tfseg.models.feed_forward import FeedForwardSegmenter
from tfseg.models.segmenter import SegmenterConfig

REFERENCE_STRIDE = 16


@dataclasses.dataclass
class DeepLabV3Config(SegmenterConfig):
    """Backbone, atrous spatial pyramid and logits.

    The weights fit every output stride: a network trained at 16 can be run at 8.

    Attributes:
      backbone: the feature network.
      atrous_rates: dilations of the 3x3 branches at output stride 16; at 8 they double, as the map's sides do. Empty
        gives the mobile form: 1x1 and image pooling alone (Sandler et al. 2018, arXiv:1801.04381, Sec. 6.3).
      width: number of channels of every branch.
    """

    has_any_output_stride: typing.ClassVar[bool] = True

    backbone: BackboneConfig = dataclasses.field(default_factory=lambda: BackboneConfig("resnet101_v1_beta"))
    atrous_rates: tuple[int, ...] = (6, 12, 18)
    width: int = 256

    def __post_init__(self):
        if any(rate < 1 for rate in self.atrous_rates):
            raise InputError(f"atrous_rates are at least 1, not {self.atrous_rates}")
        if self.width < 1:
            raise InputError(f"width is {self.width}; at least 1")

    def rates(self) -> tuple[int, ...]:
        """Returns the dilations at the backbone's output stride."""
        return tuple(max(rate * REFERENCE_STRIDE // self.backbone.output_stride, 1) for rate in self.atrous_rates)


class DeepLabV3(FeedForwardSegmenter):
    """Maps [batch, height, width, 3] RGB, 0 to 255, to "semantic_logits" at the backbone's output stride."""

    def __init__(self, config: DeepLabV3Config, num_classes: int):
        super().__init__(config, num_classes, config.backbone.output_stride, "deeplabv3")
        self.pyramid = AtrousSpatialPyramid(config.width, config.rates(), name="pyramid")

    def features(self, images, training=False):
        """Returns [batch, h, w, width], the classifier's input."""
        return self.pyramid(self.backbone(images, training=training)["last"], training=training)

    def convolutions(self):
        """Returns {scope in DeepLab's checkpoints: ConvBatchNorm} of every layer but the classifier, input first."""
        return self.backbone.convolutions() | self.pyramid.convolutions()
