"""The six operations of a dynamic cell: [batch, h, w, width] -> the same shape (arXiv:1904.02371, Sec. 4)."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import BatchNorm, ConvBatchNorm, DepthwiseConv2D
from tfseg.layers.deformable import DeformableConv2D
from tfseg.models.arch2 import EPSILON, PooledConv
from tfseg.models.cells.genotype import OPERATIONS

# {operation: (kernel size, dilation)}
SEPARABLE = {"sep3": (3, 1), "sep3d3": (3, 3), "sep5d6": (5, 6)}


def operation(number: int, width: int, repeats: int = 1, has_modulation: bool = True, **kwargs):
    """Returns the layer of an operation.

    Args:
      number: its place in OPERATIONS.
      width: channels of its input and output.
      repeats: how often a separable convolution is repeated, each time with weights of its own.
      has_modulation: see `DeformableConv2D`.
    """
    name = OPERATIONS[number]
    if name in SEPARABLE:
        return SeparableConv(width, *SEPARABLE[name], repeats, **kwargs)
    if name == "pool":
        return PooledConv(width, **kwargs)
    return Skip(**kwargs) if name == "skip" else Deformable(width, has_modulation, **kwargs)


class SeparableConv(keras.layers.Layer):
    """Depthwise convolution, 1x1 convolution, batch normalisation and ReLU, `repeats` times."""

    def __init__(self, width, kernel_size, dilation, repeats=1, **kwargs):
        super().__init__(**kwargs)
        self.depthwise = [
            DepthwiseConv2D(kernel_size, dilation=dilation, name=f"depthwise_{index}") for index in range(repeats)
        ]
        self.pointwise = [ConvBatchNorm(width, epsilon=EPSILON, name=f"pointwise_{index}") for index in range(repeats)]

    def call(self, inputs, training=False):
        for depthwise, pointwise in zip(self.depthwise, self.pointwise, strict=True):
            inputs = pointwise(depthwise(inputs), training=training)
        return inputs


class Skip(keras.layers.Layer):
    """The map itself."""

    def call(self, inputs, training=False):
        del training
        return inputs


class Deformable(keras.layers.Layer):
    """Deformable 3x3 convolution, batch normalisation and ReLU."""

    def __init__(self, width, has_modulation=True, **kwargs):
        super().__init__(**kwargs)
        self.convolution = DeformableConv2D(width, has_modulation, name="convolution")
        self.bn = BatchNorm(epsilon=EPSILON, name="bn")

    def call(self, inputs, training=False):
        return tf.nn.relu(self.bn(self.convolution(inputs), training=training))
