"""Xception-71: Xception (Chollet 2017, arXiv:1610.02357) as in DeepLabv3+ (arXiv:1802.02611), but two units deeper."""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import ConvBatchNorm, SeparableConvBatchNorm

NORM = {"momentum": 0.9997, "epsilon": 1e-3}
STEM_WIDTHS = (32, 64)
# (scope, number of units, widths of the three separable convolutions, shortcut, stride of the third convolution)
BLOCKS = (
    ("entry_flow/block1", 1, (128, 128, 128), "conv", 2),
    ("entry_flow/block2", 1, (256, 256, 256), "conv", 1),
    ("entry_flow/block3", 1, (256, 256, 256), "conv", 2),
    ("entry_flow/block4", 1, (728, 728, 728), "conv", 1),
    ("entry_flow/block5", 1, (728, 728, 728), "conv", 2),
    ("middle_flow/block1", 16, (728, 728, 728), "sum", 1),
    ("exit_flow/block1", 1, (728, 1024, 1024), "conv", 2),
    ("exit_flow/block2", 1, (1536, 1536, 2048), "none", 1),
)


@dataclasses.dataclass(frozen=True)
class Unit:
    """Three separable 3x3 convolutions and a shortcut around them.

    Attributes:
      scope: the unit's place in the network ("entry_flow/block1/unit_1").
      widths: output channels of the three convolutions.
      shortcut: "conv" (1x1 convolution), "sum" (the input itself) or "none".
      nominal_stride: the third convolution's stride in the original network.
      stride, dilation: the third convolution's stride and the dilation of all three here, given the output stride.
    """

    scope: str
    widths: tuple[int, int, int]
    shortcut: str
    nominal_stride: int
    stride: int
    dilation: int


class Xception71(keras.layers.Layer):
    """71 convolutions, 69 of them separable. There is no pooling: strides sit in the third convolution of a unit.

    From the requested output stride on, a unit's stride becomes a dilation of the units after it.

    Args:
      output_stride: input pixels per pixel of "last": 8, 16 or 32.
      width_multiplier: factor on all channel counts, which are rounded; DeepLab's weights need 1.
      padding: "same" or "symmetric" (see `tfseg.layers.conv`); DeepLab's weights were trained with "symmetric".
      endpoints: which maps "stride_k" holds, see below: "block_output" or "inner".
    Input: RGB [batch, height, width, 3], 0 to 255; the layer first maps it to -1..1.
    Returns: dict of [batch, ceil(height / k), ceil(width / k), channels]: "stride_k" for k = 2, 4, 8, 16 up to the
      output stride, before any ReLU except at the stem, and "last" (2048 channels) at the output stride. With
      "block_output", stride_k is the input of the unit that leaves stride k (64, 256, 728, 728 channels at width 1).
      With "inner" it is the second convolution's output inside that unit (128, 256, 728, 1024): DeepLabv3+'s low-level
      features.
    """

    def __init__(self, output_stride=16, width_multiplier=1.0, padding="same", endpoints="block_output", **kwargs):
        super().__init__(**kwargs)
        self.output_stride, self.has_inner_endpoints = output_stride, endpoints == "inner"
        self.plan = plan(output_stride, width_multiplier)
        widths = [scaled(width, width_multiplier) for width in STEM_WIDTHS]
        self.stem = [
            ConvBatchNorm(width, 3, stride, padding=padding, name=f"conv1_{index}", **NORM)
            for index, (width, stride) in enumerate(zip(widths, (2, 1), strict=True), 1)
        ]
        self.units = [XceptionUnit(unit, padding, name=unit.scope.replace("/", "_")) for unit in self.plan]

    def call(self, inputs, training=False):
        outputs = tf.cast(tf.cast(inputs, tf.float32) / 127.5 - 1, self.compute_dtype)
        for convolution in self.stem:
            outputs = convolution(outputs, training=training)
        endpoints, stride = {}, 2
        for planned, unit in zip(self.plan, self.units, strict=True):
            before = outputs
            outputs, inner = unit(before, training=training)
            if planned.nominal_stride == 2:
                if stride <= self.output_stride:
                    endpoints[f"stride_{stride}"] = inner if self.has_inner_endpoints else before
                stride *= 2
        return {**endpoints, "last": outputs}

    def convolutions(self):
        """{scope in DeepLab's checkpoints: ConvBatchNorm}, from the input to the output."""
        found = {f"xception_71/entry_flow/{layer.name}": layer for layer in self.stem}
        for planned, unit in zip(self.plan, self.units, strict=True):
            scope = f"xception_71/{planned.scope}/xception_module"
            if unit.shortcut:
                found[f"{scope}/shortcut"] = unit.shortcut
            for index, layer in enumerate(unit.convolutions, 1):
                found[f"{scope}/separable_conv{index}_depthwise"] = layer.depthwise
                found[f"{scope}/separable_conv{index}_pointwise"] = layer.pointwise
        return found


class XceptionUnit(keras.layers.Layer):
    """Three separable convolutions, plus the shortcut.

    [batch, h, w, c] -> ([batch, ceil(h / stride), ceil(w / stride), widths[2]], the second convolution's output
    [batch, h, w, widths[1]]).

    A ReLU comes before every separable convolution. In the last unit, which has no shortcut, ReLUs instead follow every
    convolution, depthwise and pointwise.
    """

    def __init__(self, unit, padding, **kwargs):
        super().__init__(**kwargs)
        self.is_sum, self.has_activation_first, self.shortcut = unit.shortcut == "sum", unit.shortcut != "none", None
        if unit.shortcut == "conv":
            self.shortcut = ConvBatchNorm(
                unit.widths[2], 1, unit.stride, padding=padding, activation="linear", name="shortcut", **NORM
            )
        shared = {"padding": padding, "activation": "linear" if self.has_activation_first else "relu", **NORM}
        self.convolutions = [
            SeparableConvBatchNorm(width, 3, stride, unit.dilation, name=f"separable_conv{index}", **shared)
            for index, (width, stride) in enumerate(zip(unit.widths, (1, 1, unit.stride), strict=True), 1)
        ]

    def call(self, inputs, training=False):
        outputs, steps = inputs, []
        for convolution in self.convolutions:
            outputs = tf.nn.relu(outputs) if self.has_activation_first else outputs
            outputs = convolution(outputs, training=training)
            steps.append(outputs)
        if self.shortcut:
            outputs += self.shortcut(inputs, training=training)
        return (outputs + inputs if self.is_sum else outputs), steps[1]


def plan(output_stride, width_multiplier):
    """Returns the network's units, in order, for an output stride of 8, 16 or 32."""
    units, current_stride, dilation = [], 2, 1
    for scope, count, widths, shortcut, nominal_stride in BLOCKS:
        is_dilated = nominal_stride > 1 and current_stride == output_stride
        stride = 1 if is_dilated else nominal_stride
        widths = tuple(scaled(width, width_multiplier) for width in widths)
        for index in range(1, count + 1):
            units.append(Unit(f"{scope}/unit_{index}", widths, shortcut, nominal_stride, stride, dilation))
        current_stride *= stride
        dilation *= nominal_stride if is_dilated else 1
    return units


def scaled(channels, width_multiplier):
    """Returns `channels` times the multiplier, rounded, and at least 1."""
    return max(1, round(channels * width_multiplier))
