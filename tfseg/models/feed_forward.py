"""What segmentation networks on a backbone have in common: the maps they read, and one pass without iterations."""

import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.errors import InputError
from tfseg.layers.conv import Conv2D
from tfseg.models.segmenter import Segmenter


class FeedForwardSegmenter(Segmenter, keras.Model):
    """A backbone and a head, run once. Callers of recurrent models can call it alike.

    Subclasses write `features(images, training)`: what the classifier, a 1x1 convolution in float32, sees.

    Args:
      config: has `backbone`, a BackboneConfig.
      num_classes: channels of the logits.
      canvas_stride: input pixels a logits position.
    """

    def __init__(self, config, num_classes: int, canvas_stride: int, name: str):
        super().__init__(name=name, autocast=False)
        self.config, self.num_classes, self.canvas_stride = config, num_classes, canvas_stride
        self.padding = config.backbone.padding
        self.backbone = backbones.build(config.backbone)
        self.classifier = Conv2D(
            num_classes, use_bias=True, initializer="glorot_normal", name="logits", dtype=tf.float32
        )

    def call(self, images, training=False):
        """[batch, height, width, 3] RGB, 0 to 255 -> "semantic_logits" [batch, h, w, num_classes] float32."""
        logits = self.encode(images, training=training)["canvas"]
        return {"semantic_logits": logits, "canvases": [logits]}

    def encode(self, images, training=False):
        """The whole network: {"canvas": logits}."""
        features = self.features(images, training=training)
        return {"canvas": self.classifier(tf.cast(features, tf.float32))}

    def refine(self, features, state=None):
        """Nothing is left to refine: returns `features`."""
        return features


def backbone_features(backbone, config, images, training):
    """The maps a head sees, for each of `feature_strides(config)`.

    Args:
      config: a model config with `backbone.output_stride` and `feature_strides`.
    Returns:
      List of [batch, ceil(H / stride), ceil(W / stride), channels].
    Raises:
      InputError: the backbone has no map of a stride.
    """
    endpoints = backbone(images, training=training)
    for stride in config.feature_strides:
        if f"stride_{stride}" not in endpoints:
            known = sorted(int(key[7:]) for key in endpoints if key.startswith("stride_"))
            raise InputError(f"feature_strides names {stride}; this backbone has maps of stride {known}")
    return [*(endpoints[f"stride_{stride}"] for stride in config.feature_strides), endpoints["last"]]


def feature_strides(config):
    """Strides of the maps a head sees, the backbone's last one last."""
    return (*config.feature_strides, config.backbone.output_stride)


def map_size(images, stride):
    """(height, width) of the map of a stride: Python numbers where known."""
    static = images.shape[1:3]
    dynamic = tf.shape(images)[1:3]
    return tuple(
        -(-static[axis] // stride) if static[axis] is not None else (dynamic[axis] + stride - 1) // stride
        for axis in range(2)
    )
