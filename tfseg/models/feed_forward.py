"""What feed-forward segmentation networks have in common."""

import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.layers.conv import Conv2D


class FeedForwardSegmenter(keras.Model):
    """A backbone and a head, run once. Callers of recurrent models can call it alike.

    Subclasses write `features(images, training)`: what the classifier, a 1x1 convolution in float32, sees.

    Args:
      config: has `backbone`, a BackboneConfig.
      num_classes: channels of the logits.
      canvas_stride: input pixels a logits position.
    """

    is_recurrent = is_panoptic = False
    default_iterations = trained_iterations = 1

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
