"""PSPNet (Zhao et al. 2017, "Pyramid Scene Parsing Network", arXiv:1612.01105)."""

import dataclasses
import typing

import tensorflow as tf

from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.conv import ConvBatchNorm
from tfseg.layers.pyramid import SpatialPyramid
from tfseg.layers.resize import resize_bilinear
from tfseg.models.feed_forward import FeedForwardSegmenter
from tfseg.models.segmenter import SegmenterConfig


@dataclasses.dataclass
class PSPNetConfig(SegmenterConfig):
    """Backbone, pyramid pooling, a 3x3 convolution and logits.

    The weights fit every output stride: a network trained at 16 can be run at 8.

    Attributes:
      backbone: the feature network.
      bins: number of cells per side of each pooling grid.
      width: number of channels of each grid, and of the 3x3 convolution.
      head_size: (height, width) to which the pyramid's maps are resized before the 3x3 convolution; empty keeps their
        own size. The published cost figures use (60, 60) at every input size.
    """

    has_any_output_stride: typing.ClassVar[bool] = True

    backbone: BackboneConfig = dataclasses.field(default_factory=BackboneConfig)
    bins: tuple[int, ...] = (1, 2, 3, 6)
    width: int = 512
    head_size: tuple[int, ...] = ()

    def __post_init__(self):
        if not self.bins or min(self.bins) < 1:
            raise InputError(f"bins are one or more numbers of at least 1, not {self.bins}")
        if self.width < 1:
            raise InputError(f"width is {self.width}; at least 1")
        if self.head_size and (len(self.head_size) != 2 or min(self.head_size) < 1):
            raise InputError(f"head_size is height and width, not {self.head_size}")


class PSPNet(FeedForwardSegmenter):
    """Maps [batch, height, width, 3] RGB, 0 to 255, to "semantic_logits" at the backbone's output stride.

    With `head_size`, the logits have that size instead.
    """

    def __init__(self, config: PSPNetConfig, num_classes: int):
        super().__init__(config, num_classes, config.backbone.output_stride, "pspnet")
        if config.head_size:
            self.padding = "same"  # logits of a fixed size cover the image, whatever its stride
        self.pyramid = SpatialPyramid(config.width, config.bins, name="pyramid")
        self.bottleneck = ConvBatchNorm(config.width, 3, name="bottleneck")

    def features(self, images, training=False):
        """Returns [batch, h, w, width], the classifier's input."""
        pyramid = self.pyramid(self.backbone(images, training=training)["last"], training=training)
        if self.config.head_size:
            pyramid = tf.cast(resize_bilinear(pyramid, self.config.head_size), pyramid.dtype)
        return self.bottleneck(pyramid, training=training)
