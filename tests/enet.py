"""A network without a backbone, as somebody else would add it: its config and its network use only public parts."""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg.errors import InputError
from tfseg.layers.conv import BatchNorm, Conv2D, ConvBatchNorm
from tfseg.models.segmenter import Segmenter, SegmenterConfig

REDUCTION = 4  # factor by which a bottleneck reduces its channels
SIDE = 5  # kernel length of the asymmetric convolutions


@dataclasses.dataclass
class ENetConfig(SegmenterConfig):
    """The encoder of ENet (Paszke et al. 2016, arXiv:1606.02147), with class logits at stride 8.

    Attributes:
      widths: channels at strides 2, 4 and 8; the first number includes the 3 channels of the pooled image.
      depth: number of bottlenecks at stride 4, besides the one that downsamples to it.
      dilations: dilations of the bottlenecks at stride 8. Before each dilated bottleneck comes one that is not
        dilated: in turn with a 3x3 convolution, and with a 5x1 and a 1x5 convolution.
      sections: how often the sequence of `dilations` is repeated.
    """

    widths: tuple[int, int, int] = (16, 64, 128)
    depth: int = 4
    dilations: tuple[int, ...] = (2, 4, 8, 16)
    sections: int = 2

    def check(self, data):
        """See `SegmenterConfig.check`."""
        super().check(data)
        if not REDUCTION <= self.widths[0] <= self.widths[1] <= self.widths[2]:
            raise InputError(f"widths is {self.widths}; at least {REDUCTION}, and each at least the one before")
        if min(self.dilations, default=1) < 1:
            raise InputError(f"dilations is {self.dilations}; each at least 1")


def _prelu():
    return keras.layers.PReLU(shared_axes=[1, 2])


class Bottleneck(keras.layers.Layer):
    """Adds three convolutions (1x1, 3x3, 1x1) to the input itself (section 3, figure 2b), without the paper's dropout.

    Args:
      width: number of output channels.
      stride: 1, or 2 to halve the map; the input is then max-pooled and padded with channels of zeros.
      dilation: dilation of the 3x3 convolution.
      is_asymmetric: whether a 5x1 and a 1x5 convolution replace the 3x3 one.
    """

    def __init__(self, width, stride=1, dilation=1, is_asymmetric=False, **kwargs):
        super().__init__(**kwargs)
        self.width, self.stride, inner = width, stride, width // REDUCTION
        self.reduced = ConvBatchNorm(inner, kernel_size=stride, stride=stride, activation=_prelu(), name="reduced")
        # `Conv2D` of tfseg has only square kernels, so these are Keras' own layers.
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
        """Returns the logits under the names that the losses read."""
        logits = self.encode(images, training=training)["canvas"]
        return {"semantic_logits": logits, "canvases": [logits]}

    def encode(self, images, training=False):
        """Runs the whole network and returns {"canvas": logits}."""
        images = tf.cast(tf.cast(images, tf.float32) / 127.5 - 1, self.compute_dtype)
        # [b, h / 2, w / 2, widths[0]]
        outputs = tf.concat([self.initial(images), tf.nn.max_pool2d(images, 2, 2, "SAME")], -1)
        outputs = self.initial_activation(self.initial_bn(outputs, training=training))
        for block in self.blocks:
            outputs = block(outputs, training=training)
        return {"canvas": self.classifier(tf.cast(outputs, tf.float32))}

    def refine(self, features, state=None):
        """Returns `features`: a feed-forward network has nothing left to refine."""
        return features
