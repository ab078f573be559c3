"""ResNet (He et al. 2015, arXiv:1512.03385) as torchvision, Keras applications and Model Garden build it.

A stage starts with its stride. TF-Slim's, whose stages end with it, is in `resnet_v1.py`.
"""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg.backbones.origins import TORCHVISION
from tfseg.backbones.residual import UNITS, WIDTHS, endpoints_through
from tfseg.layers.conv import ConvBatchNorm

BASIC_DEPTHS = (18, 34)  # networks of two 3x3 convolutions a unit; the others have bottlenecks
MOMENTUM = 0.99


@dataclasses.dataclass(frozen=True)
class Unit:
    """One residual unit.

    Attributes:
      stage, index: its place, counted from 1.
      width: channels of its 3x3 convolutions.
      has_projection: whether the shortcut is a convolution, because channels or stride change.
      nominal_stride: the unit's stride in the original network.
      stride: its stride here, given the output stride.
      dilation: dilation of what comes before the unit's stride, or takes it.
      dilation_after: dilation of what comes after it; twice as much if the stride is not taken.
    """

    stage: int
    index: int
    width: int
    has_projection: bool
    nominal_stride: int
    stride: int
    dilation: int
    dilation_after: int


class ResNet(keras.layers.Layer):
    """Equals torchvision's or Keras applications' ResNet of the same weights with padding "symmetric".

    With padding "same" and its origin it equals Model Garden's. From the requested output stride on, a stage's stride
    becomes a dilation of the 3x3 convolutions after it.

    Args:
      depth: 18, 34, 50 or 101.
      output_stride: input pixels per pixel of "last": 8, 16 or 32.
      padding: padding mode of strided convolutions and of the max pooling, "same" or "symmetric" (see
        `tfseg.layers.conv`).
      origin: TORCHVISION, KERAS or MODEL_GARDEN.
    Input: RGB [batch, height, width, 3], 0 to 255; normalised as `origin` says.
    Returns: dict of [batch, ceil(height / k), ceil(width / k), channels]: "stride_k" for k = 2, 4, 8, 16 up to the
      output stride, and "last" at the output stride. "stride_2" is the stem's output before pooling (64 channels); the
      others are the outputs of the stages, of 64, 128, 256 and 512 channels at depths 18 and 34, else four times that.
    """

    def __init__(self, depth=50, output_stride=32, padding="symmetric", origin=TORCHVISION, **kwargs):
        super().__init__(**kwargs)
        self.depth, self.output_stride, self.padding, self.origin = depth, output_stride, padding, origin
        self.plan = plan(depth, output_stride)
        self.stem = _conv(64, 7, 2, padding=padding, origin=origin, name="conv1")
        unit_type = BasicUnit if depth in BASIC_DEPTHS else Bottleneck
        self.units = [
            unit_type(unit, padding, origin, name=f"stage_{unit.stage}_unit_{unit.index}") for unit in self.plan
        ]

    def call(self, inputs, training=False):
        outputs = (tf.cast(inputs, tf.float32) - tf.constant(self.origin.mean)) / tf.constant(self.origin.deviation)
        stem = self.stem(tf.cast(outputs, self.compute_dtype), training=training)
        if self.padding == "symmetric":
            pooled = tf.nn.max_pool2d(tf.pad(stem, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")
        else:
            pooled = tf.nn.max_pool2d(stem, 3, 2, "SAME")
        return endpoints_through(self.units, self.plan, stem, pooled, self.output_stride, training)

    def convolutions(self):
        """{scope like resnet50/stage_1/unit_1/conv2: ConvBatchNorm}, from the input to the output."""
        found = {f"resnet{self.depth}/conv1": self.stem}
        for planned, unit in zip(self.plan, self.units, strict=True):
            scope = f"resnet{self.depth}/stage_{planned.stage}/unit_{planned.index}"
            found.update({f"{scope}/{layer.name}": layer for layer in unit.convolutions()})
        return found


class BasicUnit(keras.layers.Layer):
    """Two 3x3 convolutions, plus the shortcut.

    [batch, h, w, c] -> [batch, ceil(h / stride), ceil(w / stride), width].
    """

    def __init__(self, unit, padding, origin, **kwargs):
        super().__init__(**kwargs)
        shared = {"padding": padding, "origin": origin}
        self.shortcut = None
        if unit.has_projection:
            self.shortcut = _conv(unit.width, 1, unit.stride, activation="linear", name="shortcut", **shared)
        self.conv1 = _conv(unit.width, 3, unit.stride, unit.dilation, name="conv1", **shared)
        self.conv2 = _conv(unit.width, 3, 1, unit.dilation_after, activation="linear", name="conv2", **shared)

    def call(self, inputs, training=False):
        shortcut = self.shortcut(inputs, training=training) if self.shortcut else inputs
        return tf.nn.relu(shortcut + self.conv2(self.conv1(inputs, training=training), training=training))

    def convolutions(self):
        """The unit's ConvBatchNorm layers."""
        return [layer for layer in (self.shortcut, self.conv1, self.conv2) if layer]


class Bottleneck(keras.layers.Layer):
    """1x1, 3x3 and 1x1 convolution, plus the shortcut.

    [batch, h, w, c] -> [batch, ceil(h / stride), ceil(w / stride), 4 * width].
    """

    def __init__(self, unit, padding, origin, **kwargs):
        super().__init__(**kwargs)
        shared, channels = {"padding": padding, "origin": origin}, 4 * unit.width
        first, second = (unit.stride, 1) if origin.strides_first else (1, unit.stride)
        dilation = unit.dilation_after if origin.strides_first or origin.dilates_at_once else unit.dilation
        self.shortcut = None
        if unit.has_projection:
            self.shortcut = _conv(channels, 1, unit.stride, activation="linear", name="shortcut", **shared)
        self.conv1 = _conv(unit.width, 1, first, name="conv1", **shared)
        self.conv2 = _conv(unit.width, 3, second, dilation, name="conv2", **shared)
        self.conv3 = _conv(channels, 1, activation="linear", name="conv3", **shared)

    def call(self, inputs, training=False):
        shortcut = self.shortcut(inputs, training=training) if self.shortcut else inputs
        residual = self.conv2(self.conv1(inputs, training=training), training=training)
        return tf.nn.relu(shortcut + self.conv3(residual, training=training))

    def convolutions(self):
        """The unit's ConvBatchNorm layers."""
        return [layer for layer in (self.shortcut, self.conv1, self.conv2, self.conv3) if layer]


def _conv(filters, kernel_size=1, stride=1, dilation=1, *, padding, origin, activation="relu", name):
    norm = {"momentum": MOMENTUM, "epsilon": origin.epsilon}
    return ConvBatchNorm(filters, kernel_size, stride, dilation, padding, activation, name=name, **norm)


def plan(depth, output_stride):
    """Returns the units of all four stages, in order; for the arguments see `ResNet`."""
    units, current_stride, rate = [], 4, 1
    for stage, (width, count) in enumerate(zip(WIDTHS, UNITS[depth], strict=True), start=1):
        for index in range(1, count + 1):
            nominal_stride = 2 if stage > 1 and index == 1 else 1
            is_dilated = nominal_stride > 1 and current_stride == output_stride
            stride = 1 if is_dilated else nominal_stride
            has_projection = index == 1 and (stage > 1 or depth not in BASIC_DEPTHS)
            before, rate = rate, rate * (nominal_stride if is_dilated else 1)
            units.append(Unit(stage, index, width, has_projection, nominal_stride, stride, before, rate))
            current_stride *= stride
    return units
