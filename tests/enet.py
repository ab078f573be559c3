"""A network without a backbone, as somebody else would add it: its config and its network, of public parts alone."""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg.errors import InputError
from tfseg.layers.conv import BatchNorm, Conv2D, ConvBatchNorm
from tfseg.models.segmenter import Segmenter, SegmenterConfig

REDUCTION = 4  # of the channels inside a bottleneck
SIDE = 5  # of the asymmetric convolutions


@dataclasses.dataclass
class ENetConfig(SegmenterConfig):
    """The encoder of ENet (Paszke et al. 2016, arXiv:1606.02147), with class logits at stride 8.

    Attributes:
      widths: channels at strides 2, 4 and 8; the first has 3 channels of the image among them.
      depth: bottlenecks at stride 4 beside the one that leads there.
      dilations: at stride 8; before each, a 3x3 and a 5x1 with 1x5 convolution take turns.
      sections: how often the row of `dilations` is run.
    """

    widths: tuple[int, int, int] = (16, 64, 128)
    depth: int = 4
    dilations: tuple[int, ...] = (2, 4, 8, 16)
    sections: int = 2

    def check(self, data):
        """As `SegmenterConfig.check`."""
        super().check(data)
        if not REDUCTION <= self.widths[0] <= self.widths[1] <= self.widths[2]:
            raise InputError(f"widths is {self.widths}; at least {REDUCTION}, and each at least the one before")
        if min(self.dilations, default=1) < 1:
            raise InputError(f"dilations is {self.dilations}; each at least 1")


def _prelu():
    return keras.layers.PReLU(shared_axes=[1, 2])


class Bottleneck(keras.layers.Layer):
    """1x1, a convolution, 1x1, beside the input itself (section 3, figure 2b). Without the paper's dropout.

    Args:
      width: channels of the output.
      stride: 1, or 2 to halve the map: the input is then max-pooled, and zeros fill up its channels.
      dilation: of the 3x3 convolution.
      is_asymmetric: 5x1 and 1x5 in place of 3x3.
    """

    def __init__(self, width, stride=1, dilation=1, is_asymmetric=False, **kwargs):
        super().__init__(**kwargs)
        self.width, self.stride, inner = width, stride, width // REDUCTION
        self.reduced = ConvBatchNorm(inner, kernel_size=stride, stride=stride, activation=_prelu(), name="reduced")
        # `Conv2D` of tfseg has square kernels; Keras' own layer does what it does not.
        self.column = None
        if is_asymmetric:
            self.column = keras.layers.Conv2D(inner, (SIDE, 1), padding="same", use_bias=False, name="column")
            self.row = keras.layers.Conv2D(inner, (1, SIDE), padding="same", use_bias=False, name="row")
            self.bn, self.activation = BatchNorm(name="bn"), _prelu()
        else:
            self.conv = ConvBatchNorm(inner, 3, dilation=dilation, activation=_prelu(), name="conv")
        self.expanded = ConvBatchNorm(width, activation="linear", name="expanded")
        self.out = _prelu()

    def call(self, inputs, training=False):
        outputs = self.reduced(inputs, training=training)
        if self.column:
            outputs = self.activation(self.bn(self.row(self.column(outputs)), training=training))
        else:
            outputs = self.conv(outputs, training=training)
        outputs = self.expanded(outputs, training=training)
        if self.stride > 1:
            inputs = tf.nn.max_pool2d(inputs, self.stride, self.stride, "SAME")
            inputs = tf.pad(inputs, [[0, 0], [0, 0], [0, 0], [0, self.width - inputs.shape[-1]]])
        return self.out(inputs + outputs)


class ENet(Segmenter, keras.Model):
    """[batch, height, width, 3] RGB, 0 to 255 -> "semantic_logits" [batch, h, w, num_classes] at stride 8."""

    def __init__(self, config: ENetConfig, num_classes: int):
        super().__init__(name="enet", autocast=False)
        self.config, self.num_classes, self.canvas_stride = config, num_classes, 8
        first, second, third = config.widths
        self.initial = Conv2D(first - 3, 3, stride=2, name="initial")
        self.initial_bn, self.initial_activation = BatchNorm(name="initial_bn"), _prelu()
        self.blocks = [Bottleneck(second, stride=2), *(Bottleneck(second) for _ in range(config.depth))]
        self.blocks.append(Bottleneck(third, stride=2))
        for _ in range(config.sections):
            for index, dilation in enumerate(config.dilations):
                self.blocks += [Bottleneck(third, is_asymmetric=index % 2 == 1), Bottleneck(third, dilation=dilation)]
        self.classifier = Conv2D(num_classes, use_bias=True, name="logits", dtype=tf.float32)

    def call(self, images, training=False):
        """Logits as the losses read them."""
        logits = self.encode(images, training=training)["canvas"]
        return {"semantic_logits": logits, "canvases": [logits]}

    def encode(self, images, training=False):
        """The whole network: {"canvas": logits}."""
        images = tf.cast(tf.cast(images, tf.float32) / 127.5 - 1, self.compute_dtype)
        outputs = tf.concat([self.initial(images), tf.nn.max_pool2d(images, 2, 2, "SAME")], -1)
        outputs = self.initial_activation(self.initial_bn(outputs, training=training))
        for block in self.blocks:
            outputs = block(outputs, training=training)
        return {"canvas": self.classifier(tf.cast(outputs, tf.float32))}

    def refine(self, features, state=None):
        """Nothing is left to refine: returns `features`."""
        return features
