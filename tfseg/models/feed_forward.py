"""What segmentation networks on a backbone share: the maps they read, and a base class without iterations."""

import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.errors import InputError
from tfseg.layers.conv import Conv2D
from tfseg.models.segmenter import Segmenter


class FeedForwardSegmenter(Segmenter, keras.Model):
    """A backbone and a head, run once. Callers use it in the same way as a recurrent network.

    A subclass defines `features(images, training)`, the [batch, h, w, channels] input of the classifier. The classifier
    is a convolution in float32.

    Args:
      config: model config with `backbone`, a BackboneConfig.
      num_classes: number of channels of the logits.
      canvas_stride: input pixels per position of the logits.
      name: the Keras model's name.
      kernel_size: side of the classifier's kernel.
    """

    def __init__(self, config, num_classes: int, canvas_stride: int, name: str, kernel_size: int = 1):
        super().__init__(name=name, autocast=False)
        self.config, self.num_classes, self.canvas_stride = config, num_classes, canvas_stride
        self.padding = config.backbone.padding
        self.backbone = backbones.build(config.backbone)
        self.classifier = Conv2D(
            num_classes, kernel_size, use_bias=True, initializer="glorot_normal", name="logits", dtype=tf.float32
        )

    def call(self, images, training=False):
        """Runs the network: [batch, height, width, 3] RGB, 0 to 255 -> "semantic_logits" and "canvases".

        "semantic_logits" are [batch, h, w, num_classes] float32; "canvases" is a list of only these logits.
        """
        logits = self.encode(images, training=training)["canvas"]
        return {"semantic_logits": logits, "canvases": [logits]}

    def encode(self, images, training=False):
        """Runs the whole network; returns {"canvas": logits}."""
        features = self.features(images, training=training)
        return {"canvas": self.classifier(tf.cast(features, tf.float32))}

    def refine(self, features, state=None):
        """Returns `features`: nothing is left to refine."""
        return features


def backbone_features(backbone, config, images, training):
    """Runs the backbone and returns the maps that a head reads, one for each of `feature_strides(config)`.

    Args:
      backbone: the backbone layer.
      config: model config with `backbone.output_stride` and `feature_strides`.
      images: [batch, H, W, 3] RGB, 0 to 255.
      training: whether batch normalisation uses the statistics of the batch.
    Returns:
      List of [batch, ceil(H / stride), ceil(W / stride), channels].
    Raises:
      InputError: the backbone has no map of one of these strides.
    """
    endpoints = backbone(images, training=training)
    for stride in config.feature_strides:
        if f"stride_{stride}" not in endpoints:
            known = sorted(int(key[7:]) for key in endpoints if key.startswith("stride_"))
            raise InputError(f"feature_strides names {stride}; this backbone has maps of stride {known}")
    return [*(endpoints[f"stride_{stride}"] for stride in config.feature_strides), endpoints["last"]]


def feature_strides(config):
    """Returns the strides of the maps that a head reads; the backbone's output stride is the last."""
    return (*config.feature_strides, config.backbone.output_stride)
