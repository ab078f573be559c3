"""The six aggregations of a dynamic cell: two maps [batch, h, w, width] -> the same shape (arXiv:1904.02371, Sec. 4).

Predictive, affine and attention treat the first map, x, and the second, y, differently.
"""

import tensorflow as tf
from tensorflow import keras

from tfseg.layers.conv import BatchNorm, Conv2D
from tfseg.layers.resize import map_size
from tfseg.layers.sampling import bilinear_sample
from tfseg.models.arch2 import EPSILON
from tfseg.models.cells.genotype import AGGREGATIONS

PREDICTIVE = ("local", "global")


def aggregation(number: int, width: int, predictive: str = "local", **kwargs):
    """Returns the layer of an aggregation.

    Args:
      number: its place in AGGREGATIONS.
      width: channels of its inputs and output.
      predictive: "local" or "global", see the classes below.
    """
    kinds = {
        "sum": WeightedSum,
        "concat": Concatenation,
        "predictive": Predictive if predictive == "local" else GlobalPredictive,
        "affine": Affine,
        "conv3d": Convolution3D,
        "attention": Attention,
    }
    return kinds[AGGREGATIONS[number]](width, **kwargs)


class Aggregation(keras.layers.Layer):
    """What all have in common: the number of channels."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width


class WeightedSum(Aggregation):
    """a x + b y, with a and b for every channel, 1 at the start."""

    def build(self, input_shape):
        self.first = self.add_weight("first", [self.width], initializer="ones")
        self.second = self.add_weight("second", [self.width], initializer="ones")
        super().build(input_shape)

    def call(self, x, y, training=False):
        del training
        return x * tf.cast(self.first, x.dtype) + y * tf.cast(self.second, y.dtype)


class Concatenation(Aggregation):
    """Concatenation, batch normalisation, ReLU, and a 1x1 convolution back to `width` channels."""

    def __init__(self, width, **kwargs):
        super().__init__(width, **kwargs)
        self.bn = BatchNorm(epsilon=EPSILON, name="bn")
        self.reduction = Conv2D(width, name="reduction")

    def call(self, x, y, training=False):
        return self.reduction(tf.nn.relu(self.bn(tf.concat([x, y], -1), training=training)))


class Predictive(Aggregation):
    """Filters y by 3x3 kernels that are predicted from x: one for each position, the same for all channels.

    A kernel is the softmax of nine channels of a 3x3 convolution, so its sum is 1 (after Li et al. 2018, "Low-Latency
    Video Semantic Segmentation", arXiv:1804.00389, Sec. 3.2).
    """

    def __init__(self, width, **kwargs):
        super().__init__(width, **kwargs)
        self.kernels = Conv2D(9, 3, use_bias=True, name="kernels")

    def call(self, x, y, training=False):
        del training
        kernels = tf.nn.softmax(tf.cast(self.kernels(x), tf.float32))  # [batch, h, w, 9]
        kernels = tf.cast(kernels, y.dtype)
        height, width = map_size(y, 1)
        framed = tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]])
        shifted = [framed[:, down : down + height, across : across + width] for down in range(3) for across in range(3)]
        return tf.add_n([kernels[..., tap : tap + 1] * one for tap, one in enumerate(shifted)])


class GlobalPredictive(Aggregation):
    """Filters y by 3x3 depthwise kernels that are predicted from the mean of x: the same at every position."""

    def __init__(self, width, **kwargs):
        super().__init__(width, **kwargs)
        self.kernels = keras.layers.Dense(9 * width, name="kernels")

    def call(self, x, y, training=False):
        del training
        kernels = self.kernels(tf.reduce_mean(tf.cast(x, tf.float32), [1, 2]))  # [batch, 9 * width]
        kernels = tf.cast(tf.reshape(kernels, [-1, 9, 1, 1, self.width]), y.dtype)
        height, width = map_size(y, 1)
        framed = tf.pad(y, [[0, 0], [1, 1], [1, 1], [0, 0]])
        shifted = [framed[:, down : down + height, across : across + width] for down in range(3) for across in range(3)]
        return tf.add_n([kernels[:, tap] * one for tap, one in enumerate(shifted)])


class Affine(Aggregation):
    """Samples x on a grid that an affine map moves; the map is predicted from the mean of y, at the start the identity.

    Coordinates go from -1 to 1 between the outer edges of the picture, so positions are at half-pixel centres; x is 0
    outside (after Jaderberg et al. 2015, "Spatial Transformer Networks", arXiv:1506.02025, Sec. 3).
    """

    def __init__(self, width, **kwargs):
        super().__init__(width, **kwargs)
        self.hidden = keras.layers.Dense(32, activation="relu", name="hidden")
        identity = keras.initializers.Constant([1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
        self.matrix = keras.layers.Dense(6, kernel_initializer="zeros", bias_initializer=identity, name="matrix")

    def call(self, x, y, training=False):
        del training
        mean = tf.reduce_mean(tf.cast(y, tf.float32), [1, 2])  # [batch, width]
        matrix = tf.reshape(tf.cast(self.matrix(self.hidden(mean)), tf.float32), [-1, 2, 3])
        height, width = map_size(x, 1)
        rows, columns = (
            (2 * tf.range(side, dtype=tf.float32) + 1) / tf.cast(side, tf.float32) - 1 for side in (height, width)
        )
        columns, rows = (tf.reshape(one, [1, -1]) for one in tf.meshgrid(columns, rows))  # each [1, h * w]
        across = matrix[:, 0, :1] * columns + matrix[:, 0, 1:2] * rows + matrix[:, 0, 2:]
        down = matrix[:, 1, :1] * columns + matrix[:, 1, 1:2] * rows + matrix[:, 1, 2:]
        places = [((one + 1) * tf.cast(side, tf.float32) - 1) / 2 for one, side in ((down, height), (across, width))]
        return tf.reshape(bilinear_sample(x, *places), tf.shape(x))


class Convolution3D(Aggregation):
    """3-D convolution of 2x3x3 over the two maps, which leaves one, batch normalisation and ReLU.

    A kernel of depth 2 over two maps is a 3x3 convolution of their concatenation, as which it runs.
    """

    def __init__(self, width, **kwargs):
        super().__init__(width, **kwargs)
        self.convolution = Conv2D(width, 3, name="convolution")
        self.bn = BatchNorm(epsilon=EPSILON, name="bn")

    def call(self, x, y, training=False):
        return tf.nn.relu(self.bn(self.convolution(tf.concat([x, y], -1)), training=training))


class Attention(Aggregation):
    """x times the sigmoid of y."""

    def call(self, x, y, training=False):
        del training
        return x * tf.sigmoid(y)
