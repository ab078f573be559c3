"""DeeperLab's decoders and heads (Yang et al. 2019, arXiv:1902.05093, Sec. 3)."""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import Conv2D, ConvBatchNorm, SeparableConvBatchNorm
from tfseg.layers.resize import upsample
from tfseg.layers.space_to_depth import depth_to_space, space_to_depth

DECODED_STRIDE = 4


class Decoder(keras.layers.Layer):
    """Joins context of a coarse stride and detail of stride 4.

    With "space_to_depth" (S2D) the detail is brought to the coarse grid, where two convolutions of width * block^2
    channels run whose channels become pixels again. With "bilinear" (BU) the context is enlarged and they run, `width`
    wide, at stride 4: 7 times fewer multiplications and over 100 times fewer weights, but 1.3 to 1.8 times the memory.

    Args:
      kind: "space_to_depth" or "bilinear".
      width: output channels.
      kernel_size: side of the two depthwise convolutions.
      block: stride of the context / 4.
      low_level_width: channels to which the detail is reduced first.
    Call:
      context: [batch, ceil(h / block), ceil(w / block), any].
      low_level: [batch, h, w, any].
    Returns:
      [batch, h, w, width].
    """

    def __init__(self, kind, width, kernel_size, block, low_level_width=32, **kwargs):
        super().__init__(**kwargs)
        self.is_coarse, self.block = kind == "space_to_depth", block
        channels = width * block**2 if self.is_coarse else width
        self.reduction = ConvBatchNorm(low_level_width, name="low_level")
        self.convolutions = [
            SeparableConvBatchNorm(channels, kernel_size, name=f"convolution_{index}") for index in (1, 2)
        ]

    def call(self, context, low_level, training=False):
        detail = self.reduction(low_level, training=training)
        static, dynamic = detail.shape[1:3], tf.shape(detail)[1:3]
        size = [dynamic[axis] if static[axis] is None else static[axis] for axis in range(2)]
        if self.is_coarse:
            detail = space_to_depth(detail, self.block)
        else:
            context = tf.cast(upsample(context, size, self.block, "symmetric"), detail.dtype)
        outputs = tf.concat([context, detail], -1)
        for convolution in self.convolutions:
            outputs = convolution(outputs, training=training)
        return depth_to_space(outputs, self.block, size) if self.is_coarse else outputs


class Head(keras.layers.Layer):
    """A separable convolution (deeper heads, DH; None: without) and a 1x1 one with bias, which is float32.

    Args:
      num_outputs: channels of the result.
      hidden_width: channels of the separable convolution; None leaves it out.
      kernel_size: of its depthwise part.
      bias: initial value of all biases.
    [batch, h, w, channels] -> [batch, h, w, num_outputs] float32.
    """

    def __init__(self, num_outputs, hidden_width, kernel_size, bias=0.0, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.hidden = None
        if hidden_width is not None:
            self.hidden = SeparableConvBatchNorm(hidden_width, kernel_size, name="hidden")
        self.projection = Conv2D(
            num_outputs,
            use_bias=True,
            initializer="glorot_normal",
            bias_initializer=keras.initializers.Constant(bias),
            name="projection",
            dtype=tf.float32,
        )

    def call(self, inputs, training=False):
        outputs = inputs if self.hidden is None else self.hidden(inputs, training=training)
        return self.projection(tf.cast(outputs, tf.float32))
