"""A backbone of five convolutions, for tests that are not about backbones: tracing a real one takes most of their time.

Importing this module puts "tiny" into the table of backbones.
"""

import tensorflow as tf
from tensorflow import keras

from tfseg.backbones import BACKBONES, BackboneConfig
from tfseg.layers.conv import ConvBatchNorm

CHANNELS = 8


class TinyBackbone(keras.layers.Layer):
    """One 3x3 convolution per stride from 2 to 32; beyond the output stride they dilate instead."""

    def __init__(self, output_stride, padding, **kwargs):
        super().__init__(**kwargs)
        self.output_stride, self.stages = output_stride, []
        for stride in (2, 4, 8, 16, 32):
            is_dense = stride > output_stride
            dilation = stride // output_stride if is_dense else 1
            layer = ConvBatchNorm(
                CHANNELS, 3, 1 if is_dense else 2, dilation, padding, momentum=0.9, name=f"stage_{stride}"
            )
            self.stages.append(layer)

    def call(self, inputs, training=False):
        outputs, endpoints = tf.cast(tf.cast(inputs, tf.float32) / 127.5 - 1, self.compute_dtype), {}
        for stride, stage in zip((2, 4, 8, 16, 32), self.stages, strict=True):
            outputs = stage(outputs, training=training)
            if stride <= self.output_stride:
                endpoints[f"stride_{stride}"] = outputs
        return {**endpoints, "last": outputs}

    def convolutions(self):
        """{name: ConvBatchNorm}, from the input to the output."""
        return {f"tiny/{layer.name}": layer for layer in self.stages}


def tiny(output_stride=16, padding="same"):
    """The BackboneConfig of a `TinyBackbone`."""
    return BackboneConfig("tiny", output_stride, padding=padding)


BACKBONES["tiny"] = lambda config, name, endpoints: TinyBackbone(config.output_stride, config.padding, name=name)
