"""ResNet-V1 (He et al. 2015, arXiv:1512.03385) as in TF-Slim, with DeepLab's multi-grid and "beta" stem."""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg.backbones.residual import UNITS, WIDTHS, endpoints_through
from tfseg.layers.conv import ConvBatchNorm

IMAGENET_MEAN = (123.68, 116.78, 103.94)  # RGB, from TF-Slim's VGG preprocessing, which its ResNets were trained with
NORM = {"momentum": 0.997, "epsilon": 1e-5}


@dataclasses.dataclass(frozen=True)
class Unit:
    """One bottleneck unit.

    Attributes:
      block, index: the unit's place, counted from 1 (`block3/unit_2`).
      width: channels of the 3x3 convolution.
      has_projection: whether the shortcut is a convolution, because the number of channels changes.
      nominal_stride: the 3x3 convolution's stride in the original network.
      stride, dilation: the 3x3 convolution's stride and dilation here, given the output stride and the multi-grid.
    """

    block: int
    index: int
    width: int
    has_projection: bool
    nominal_stride: int
    stride: int
    dilation: int


class ResNetV1(keras.layers.Layer):
    """Equals `tf_slim.nets.resnet_v1` for the same weights (padding "symmetric", multi-grid (1, 1, 1), plain stem).

    A block's stride sits in the 3x3 convolution of its last unit. Strides beyond the output stride become dilations of
    the units that follow. In the last block, the three units multiply that dilation by `multi_grid`.

    Input normalisation follows the published weights of each stem: the plain stem subtracts ImageNet's mean colour
    (TF-Slim), the beta stem maps to -1..1 (DeepLab).

    Args:
      depth: 50 or 101.
      output_stride: input pixels per pixel of "last": 8, 16 or 32.
      multi_grid: factors on the dilations of the last block's three units.
      has_beta_stem: whether the stem is three 3x3 convolutions of 64, 64 and 128 channels, the first with stride 2,
        instead of one 7x7.
      padding: padding mode of strided convolutions, "same" or "symmetric" (see `tfseg.layers.conv`); the max pooling
        always uses TensorFlow's SAME.
    Input: RGB [batch, height, width, 3], 0 to 255.
    Returns: dict of [batch, ceil(height / k), ceil(width / k), channels]: "stride_k" for k = 2, 4, 8, 16 up to the
      output stride, and "last" (2048 channels) at the output stride. "stride_2" is the stem's output before pooling (64
      or 128 channels); the others are the output of the last unit before the one that leaves stride k (256, 512, 1024).
    """

    def __init__(
        self, depth=101, output_stride=16, multi_grid=(1, 2, 4), has_beta_stem=False, padding="symmetric", **kwargs
    ):
        super().__init__(**kwargs)
        self.scope, self.output_stride, self.has_beta_stem = f"resnet_v1_{depth}", output_stride, has_beta_stem
        self.plan = plan(UNITS[depth], output_stride, multi_grid)
        if has_beta_stem:
            shapes = {"conv1_1": (64, 3, 2), "conv1_2": (64, 3, 1), "conv1_3": (128, 3, 1)}
        else:
            shapes = {"conv1": (64, 7, 2)}
        self.stem = [ConvBatchNorm(*shape, padding=padding, name=name, **NORM) for name, shape in shapes.items()]
        self.units = [Bottleneck(unit, padding, name=f"block{unit.block}_unit_{unit.index}") for unit in self.plan]

    def call(self, inputs, training=False):
        outputs = tf.cast(inputs, tf.float32)
        outputs = outputs / 127.5 - 1 if self.has_beta_stem else outputs - tf.constant(IMAGENET_MEAN)
        outputs = tf.cast(outputs, self.compute_dtype)
        for convolution in self.stem:
            outputs = convolution(outputs, training=training)
        stem, pooled = outputs, tf.nn.max_pool2d(outputs, 3, 2, "SAME")
        return endpoints_through(self.units, self.plan, stem, pooled, self.output_stride, training)

    def convolutions(self):
        """{TF-Slim scope: ConvBatchNorm}, from the input to the output."""
        found = {f"{self.scope}/{layer.name}": layer for layer in self.stem}
        for planned, unit in zip(self.plan, self.units, strict=True):
            scope = f"{self.scope}/block{planned.block}/unit_{planned.index}/bottleneck_v1"
            found.update({f"{scope}/{layer.name}": layer for layer in unit.convolutions()})
        return found


class Bottleneck(keras.layers.Layer):
    """1x1, 3x3 and 1x1 convolution, plus the shortcut.

    [batch, h, w, c] -> [batch, ceil(h / stride), ceil(w / stride), 4 * width].
    """

    def __init__(self, unit, padding, **kwargs):
        super().__init__(**kwargs)
        self.stride, self.shortcut, depth = unit.stride, None, 4 * unit.width
        if unit.has_projection:
            self.shortcut = ConvBatchNorm(depth, 1, unit.stride, activation="linear", name="shortcut", **NORM)
        self.conv1 = ConvBatchNorm(unit.width, 1, name="conv1", **NORM)
        self.conv2 = ConvBatchNorm(unit.width, 3, unit.stride, unit.dilation, padding, name="conv2", **NORM)
        self.conv3 = ConvBatchNorm(depth, 1, activation="linear", name="conv3", **NORM)

    def call(self, inputs, training=False):
        # Takes every stride-th pixel, as TF-Slim's 1x1 max pooling does.
        shortcut = inputs[:, :: self.stride, :: self.stride] if self.stride > 1 else inputs
        if self.shortcut:
            shortcut = self.shortcut(inputs, training=training)
        residual = self.conv2(self.conv1(inputs, training=training), training=training)
        return tf.nn.relu(shortcut + self.conv3(residual, training=training))

    def convolutions(self):
        """The unit's ConvBatchNorm layers."""
        return [layer for layer in (self.shortcut, self.conv1, self.conv2, self.conv3) if layer]


def plan(block_units, output_stride, multi_grid):
    """Returns the units of all four blocks, in order.

    Args:
      block_units: number of units in each block.
      output_stride, multi_grid: see `ResNetV1`.
    """
    units, current_stride, rate = [], 4, 1
    for block, (width, count) in enumerate(zip(WIDTHS, block_units, strict=True), start=1):
        for index in range(1, count + 1):
            nominal_stride = 2 if index == count and block < 4 else 1
            is_dilated = nominal_stride > 1 and current_stride == output_stride
            stride = 1 if is_dilated else nominal_stride
            dilation = rate * (multi_grid[index - 1] if block == 4 else 1)
            units.append(Unit(block, index, width, index == 1, nominal_stride, stride, dilation))
            current_stride *= stride
            rate *= nominal_stride if is_dilated else 1
    return units
