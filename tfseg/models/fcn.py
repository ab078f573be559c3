"""A feed-forward head of convolutions: the plain baseline that recurrence has to beat."""

import dataclasses

import tensorflow as tf

from tfseg.backbones import BackboneConfig
from tfseg.layers.conv import Conv2D
from tfseg.layers.projection import FeatureProjection
from tfseg.layers.resize import map_size
from tfseg.models.feed_forward import FeedForwardSegmenter, backbone_features, feature_strides
from tfseg.models.segmenter import SegmenterConfig


@dataclasses.dataclass
class FCNConfig(SegmenterConfig):
    """Backbone and convolutions with ReLU (after Long et al. 2015, arXiv:1411.4038).

    Attributes:
      backbone: the feature network.
      widths: numbers of channels of the hidden layers; the first layer is a 1x1 projection of the features.
      kernel_size: side of the other hidden layers' kernels.
      canvas_stride: input pixels per position of the logits; None is the backbone's output stride.
      feature_strides: strides of the backbone maps that the head reads beside the last one.
    """

    backbone: BackboneConfig = dataclasses.field(default_factory=BackboneConfig)
    widths: tuple[int, ...] = (256, 256)
    kernel_size: int = 1
    canvas_stride: int | None = None
    feature_strides: tuple[int, ...] = ()


class FCN(FeedForwardSegmenter):
    """Maps [batch, height, width, 3] RGB, 0 to 255, to "semantic_logits" [batch, h, w, num_classes]."""

    def __init__(self, config: FCNConfig, num_classes: int):
        super().__init__(config, num_classes, config.canvas_stride or config.backbone.output_stride, "fcn")
        self.projection = FeatureProjection(
            config.widths[0], feature_strides(config), self.canvas_stride, self.padding, name="projection"
        )
        self.bias = self.add_weight(
            "projection_bias", [config.widths[0]], initializer="zeros", experimental_autocast=False
        )
        self.hidden = [
            Conv2D(width, config.kernel_size, use_bias=True, name=f"hidden_{index}")
            for index, width in enumerate(config.widths[1:], 2)
        ]

    def features(self, images, training=False):
        """Returns [batch, h, w, widths[-1]], the classifier's input."""
        endpoints = backbone_features(self.backbone, self.config, images, training)
        size = map_size(images, self.canvas_stride)
        features = tf.nn.relu(self.projection(endpoints, size) + self.bias)
        for layer in self.hidden:
            features = tf.nn.relu(layer(features))
        return features
