"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) up to its 320-channel block, as a segmentation backbone."""

import dataclasses

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfseg.backbones.origins import SLIM
from tfseg.layers.conv import ConvBatchNorm

# (expansion, output channels, number of blocks, stride of the first block), from Table 2 of the paper.
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@dataclasses.dataclass(frozen=True)
class Block:
    """One inverted residual block.

    Attributes:
      expanded_channels, out_channels: channels of the depthwise convolution and of the projection.
      has_expansion: whether a 1x1 convolution comes first, which widens the input.
      has_shortcut: whether the input is added to the output.
      nominal_stride: the depthwise convolution's stride in the original network.
      stride, dilation: the depthwise convolution's stride and dilation here, given the output stride.
    """

    expanded_channels: int
    out_channels: int
    has_expansion: bool
    has_shortcut: bool
    nominal_stride: int
    stride: int
    dilation: int


class MobileNetV2(keras.layers.Layer):
    """Block i equals `block_i` of `keras.applications.MobileNetV2` (block 0: `expanded_conv`) for the same weights.

    From the requested output stride on, a block's stride becomes a dilation of the depthwise convolutions after it.
    The classifier's 1280-channel convolution is left out: segmentation heads read the 320 channels before it.

    Args:
      output_stride: input pixels per pixel of "last": 8, 16 or 32.
      width_multiplier: factor on all channel counts, which stay multiples of 8.
      kernel_size: kernel side of the depthwise convolutions: 3, 5 or 7.
      padding: "same" (Keras and TF-Slim weights) or "symmetric" (see `tfseg.layers.conv`).
      stem_kernel_size: kernel side of the first convolution: 3, 5 or 7. DeeperLab's wider form has 5 here and in
        `kernel_size`.
      endpoints: which maps "stride_k" holds, see below: "block_output" or "inner".
      first_expansion: whether the first block has a 1x1 convolution, too, which does not widen its input.
      origin: SLIM (Keras' weights, too) or MODEL_GARDEN; with the latter and padding "same" the layer equals Model
        Garden's at any output stride.
    Input: RGB [batch, height, width, 3], 0 to 255; normalised as `origin` says: SLIM maps it to -1..1.
    Returns: dict of [batch, ceil(height / k), ceil(width / k), channels]: "stride_k" for k = 2, 4, 8, 16 up to the
      output stride, and "last" (320 channels) at the output stride. With "block_output", stride_k is the projection
      before the block that leaves stride k (16, 24, 32, 96 channels at width 1). With "inner" it is the depthwise
      convolution's output in the block that ends in that projection (32, 144, 192, 576): DeepLabv3+'s low-level
      features.
    """

    def __init__(
        self,
        output_stride=32,
        width_multiplier=1.0,
        kernel_size=3,
        padding="same",
        stem_kernel_size=3,
        endpoints="block_output",
        first_expansion=False,
        origin=SLIM,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.output_stride, self.has_inner_endpoints, self.origin = output_stride, endpoints == "inner", origin
        self.plan = plan(output_stride, width_multiplier, first_expansion, origin.dilates_at_once)
        stem_channels = _divisible(32 * width_multiplier)
        self.stem = ConvBatchNorm(stem_channels, stem_kernel_size, 2, 1, padding, "relu6", name="stem")
        self.blocks = [
            InvertedResidual(block, kernel_size, padding, name=f"block_{i}") for i, block in enumerate(self.plan)
        ]

    def call(self, inputs, training=False):
        outputs = tf.cast(inputs, tf.float32)
        if self.origin is SLIM:
            outputs = outputs / 127.5 - 1
        else:
            outputs = (outputs - tf.constant(self.origin.mean)) / tf.constant(self.origin.deviation)
        outputs = self.stem(tf.cast(outputs, self.compute_dtype), training=training)
        stride, endpoints = 2, {}
        inner = outputs
        for planned, block in zip(self.plan, self.blocks, strict=True):
            if planned.nominal_stride == 2:
                endpoints[f"stride_{stride}"] = inner if self.has_inner_endpoints else outputs
                stride *= 2
            outputs, inner = block(outputs, training=training)
        endpoints = {key: value for key, value in endpoints.items() if int(key[7:]) <= self.output_stride}
        return {**endpoints, "last": outputs}

    def convolutions(self):
        """{TF-Slim scope: ConvBatchNorm}, from the input to the output."""
        found = {"MobilenetV2/Conv": self.stem}
        for i, block in enumerate(self.blocks):
            scope = f"MobilenetV2/expanded_conv_{i}" if i else "MobilenetV2/expanded_conv"
            parts = {"expand": block.expand, "depthwise": block.depthwise, "project": block.project}
            found.update({f"{scope}/{part}": layer for part, layer in parts.items() if layer})
        return found


class InvertedResidual(keras.layers.Layer):
    """1x1 expansion, depthwise convolution, linear 1x1 projection, plus the input if the plan has a shortcut here.

    [batch, h, w, c] -> ([batch, ceil(h / stride), ceil(w / stride), out_channels], the depthwise convolution's output
    [batch, ceil(h / stride), ceil(w / stride), expanded_channels]).
    """

    def __init__(self, block, kernel_size, padding, **kwargs):
        super().__init__(**kwargs)
        self.has_shortcut = block.has_shortcut
        self.expand = None
        if block.has_expansion:
            self.expand = ConvBatchNorm(block.expanded_channels, activation="relu6", name="expand")
        self.depthwise = ConvBatchNorm(
            None, kernel_size, block.stride, block.dilation, padding, "relu6", name="depthwise"
        )
        self.project = ConvBatchNorm(block.out_channels, activation="linear", name="project")

    def call(self, inputs, training=False):
        outputs = self.expand(inputs, training=training) if self.expand else inputs
        inner = self.depthwise(outputs, training=training)
        outputs = self.project(inner, training=training)
        return (inputs + outputs if self.has_shortcut else outputs), inner


def center_padded(kernel, size):
    """Puts a kernel in the middle of a larger kernel of zeros, which computes the same.

    This lets a network with wide kernels start from the weights of one with narrow kernels.

    Args:
      kernel: [k, k, in, out] kernel of a convolution, depthwise or not.
      size: side of the result, k + 2n for a whole number n.
    Returns:
      [size, size, in, out].
    """
    margin, rest = divmod(size - kernel.shape[0], 2)
    if margin < 0 or rest:
        raise ValueError(f"a {kernel.shape[0]}x{kernel.shape[1]} kernel cannot be centred in a {size}x{size} one")
    return np.pad(kernel, [[margin, margin], [margin, margin], [0, 0], [0, 0]])


def plan(output_stride, width_multiplier, first_expansion=False, dilates_at_once=False):
    """Returns the network's blocks, in order; the arguments are those of `MobileNetV2` and its origin."""
    blocks, channels, current_stride, dilation = [], _divisible(32 * width_multiplier), 2, 1
    for expansion, stage_channels, count, first_stride in STAGES:
        out_channels = _divisible(stage_channels * width_multiplier)
        for nominal_stride in (first_stride, *[1] * (count - 1)):
            is_dilated = nominal_stride > 1 and current_stride == output_stride
            stride = 1 if is_dilated else nominal_stride
            dilation_after = dilation * nominal_stride // stride
            # The nominal stride decides: a dilated block computes the same function as the strided one, only denser.
            # Model Garden's code computes another: the stride that is left decides, and of the blocks whose stride is
            # not taken, the first is dilated like those after it, but a second one like those before it.
            has_shortcut = (stride if dilates_at_once else nominal_stride) == 1 and channels == out_channels
            own_dilation = dilation_after if dilates_at_once and dilation == 1 else dilation
            has_expansion = expansion > 1 or first_expansion
            shape = (channels * expansion, out_channels, has_expansion, has_shortcut)
            blocks.append(Block(*shape, nominal_stride, stride, own_dilation))
            channels, current_stride, dilation = out_channels, current_stride * stride, dilation_after
    return blocks


def _divisible(channels, divisor=8):
    """Returns the multiple of 8 nearest to `channels`, but never more than 10 % below it."""
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * channels else rounded
