"""Convolutions, batch normalisation, and layers that combine the two."""

import contextlib
import contextvars

import tensorflow as tf
from tensorflow import keras

_dilates_by_space_to_batch = contextvars.ContextVar("dilates_by_space_to_batch", default=False)


@contextlib.contextmanager
def dilation_by_space_to_batch():
    """Traces dilated convolutions as graphs of 2017 had them: SpaceToBatchND, convolution, BatchToSpaceND.

    The results are the same, but the operations compute, and profilers count, a map padded to a multiple of the
    dilation.
    """
    token = _dilates_by_space_to_batch.set(True)
    try:
        yield
    finally:
        _dilates_by_space_to_batch.reset(token)


_num_updates = contextvars.ContextVar("num_updates", default=None)


@contextlib.contextmanager
def statistics_after(num_updates):
    """Tells batch normalisation how often its moving statistics were updated, so that they soon forget their start.

    Args:
      num_updates: integer tensor, the number of training steps so far. The momentum is then `growing_decay` of it.
    """
    token = _num_updates.set(num_updates)
    try:
        yield
    finally:
        _num_updates.reset(token)


def growing_decay(num_updates, decay) -> tf.Tensor:
    """Returns the decay of a moving average after so many updates: min(decay, (1 + n) / (10 + n)).

    With a constant decay of 0.998, the initial value still weighs 37 % after 500 updates. With this one the average
    follows the values closely at first: until it reaches `decay`, it covers about the last tenth of all updates. It is
    the rule of `tf.train.ExponentialMovingAverage(num_updates=...)`.
    """
    count = tf.cast(num_updates, tf.float32)
    return tf.minimum(tf.constant(decay, tf.float32), (1 + count) / (10 + count))


class Conv2D(keras.layers.Layer):
    """2-D convolution that dilates in one native operation.

    Keras' own layer runs a dilated convolution between SpaceToBatchND and BatchToSpaceND, which also computes (and
    counts) padded positions. `tf.nn.conv2d(dilations=)` does not.

    Args:
      filters: output channels.
      kernel_size: side of the square kernel.
      stride, dilation: stride and dilation, in pixels of the input map.
      padding: "same" (TensorFlow's: an extra pixel goes to the bottom right) or "symmetric" (k_eff // 2 on both sides,
        then VALID, as TF-Slim's `conv2d_same`).
      use_bias: whether to add a bias per channel.
      initializer, bias_initializer: Keras initialisers of kernel and bias.
    Input [batch, h, w, c] -> [batch, ceil(h / stride), ceil(w / stride), filters].
    """

    def __init__(
        self,
        filters,
        kernel_size=1,
        stride=1,
        dilation=1,
        padding="same",
        use_bias=False,
        initializer="he_normal",
        bias_initializer="zeros",
        **kwargs,
    ):
        super().__init__(**kwargs)
        if padding not in ("same", "symmetric"):
            raise ValueError(f"padding must be 'same' or 'symmetric', not {padding!r}")
        self.filters, self.kernel_size, self.stride, self.dilation = filters, kernel_size, stride, dilation
        self.padding, self.use_bias, self.initializer = padding, use_bias, initializer
        self.bias_initializer = bias_initializer

    def build(self, input_shape):
        shape = [self.kernel_size, self.kernel_size, input_shape[-1], self.filters]
        self.kernel = self.add_weight("kernel", shape, initializer=self.initializer)
        if self.use_bias:
            self.bias = self.add_weight("bias", [self.filters], initializer=self.bias_initializer)
        super().build(input_shape)

    def call(self, inputs):
        stride = self.stride
        if self.kernel_size == 1 and stride > 1:
            # oneDNN's gradient of a strided 1x1 kernel writes past its memory at even sizes and channels like 5 or 13.
            inputs, stride = inputs[:, ::stride, ::stride], 1  # [batch, ceil(h / stride), ceil(w / stride), c]
        inputs = pad_symmetric(inputs, self.kernel_size, self.dilation) if self.padding == "symmetric" else inputs
        padding = "VALID" if self.padding == "symmetric" else "SAME"
        kernel = tf.cast(self.kernel, inputs.dtype)
        # tf.nn.convolution dilates through SpaceToBatchND.
        convolution = tf.nn.convolution if _dilates_by_space_to_batch.get() and self.dilation > 1 else tf.nn.conv2d
        outputs = convolution(inputs, kernel, stride, padding, dilations=self.dilation)
        return tf.nn.bias_add(outputs, tf.cast(self.bias, outputs.dtype)) if self.use_bias else outputs


class DepthwiseConv2D(keras.layers.Layer):
    """Depthwise convolution with one kernel per channel; same arguments as `Conv2D`, without filters and initialisers.

    Input [batch, h, w, c] -> [batch, ceil(h / stride), ceil(w / stride), c].
    """

    def __init__(self, kernel_size=3, stride=1, dilation=1, padding="same", use_bias=False, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.padding, self.use_bias = padding, use_bias

    def build(self, input_shape):
        shape = [self.kernel_size, self.kernel_size, input_shape[-1], 1]
        # The fan-in of one kernel is its area; Keras would multiply it by the channels.
        initializer = keras.initializers.RandomNormal(stddev=(2 / self.kernel_size**2) ** 0.5)
        self.depthwise_kernel = self.add_weight("depthwise_kernel", shape, initializer=initializer)
        if self.use_bias:
            self.bias = self.add_weight("bias", [input_shape[-1]], initializer="zeros")
        super().build(input_shape)

    def call(self, inputs):
        inputs = pad_symmetric(inputs, self.kernel_size, self.dilation) if self.padding == "symmetric" else inputs
        padding = "VALID" if self.padding == "symmetric" else "SAME"
        kernel = tf.cast(self.depthwise_kernel, inputs.dtype)
        strides = [1, self.stride, self.stride, 1]
        outputs = tf.nn.depthwise_conv2d(inputs, kernel, strides, padding, dilations=[self.dilation] * 2)
        return tf.nn.bias_add(outputs, tf.cast(self.bias, outputs.dtype)) if self.use_bias else outputs


def pad_symmetric(inputs, kernel_size, dilation):
    """Pads every side with zeros by half the dilated kernel, as TF-Slim's `conv2d_same`."""
    before = dilation * (kernel_size - 1) // 2
    after = dilation * (kernel_size - 1) - before
    if before == after == 0:
        return inputs
    return tf.pad(inputs, [[0, 0], [before, after], [before, after], [0, 0]])


class BatchNorm(keras.layers.Layer):
    """Batch normalisation over all replicas, with statistics in float32.

    One replica runs TensorFlow's fused kernel; several sum their moments. Both keep the biased variance, so that the
    number of replicas does not change what is learned (the fused kernel by itself reports the unbiased variance).
    With `trainable = False` the layer normalises with the moving statistics and does not change them. So it does if a
    channel has a single value, as the pooled image of a batch of one: its own statistics would make every value 0.

    Args:
      momentum: of the moving statistics.
      epsilon: what is added to the variance.
      initial_scale: value of gamma before training.
    """

    def __init__(self, momentum=0.99, epsilon=1e-3, initial_scale=1.0, **kwargs):
        super().__init__(**kwargs)
        self.momentum, self.epsilon, self.initial_scale = momentum, epsilon, initial_scale

    def build(self, input_shape):
        channels = [input_shape[-1]]
        statistics = {"trainable": False, "dtype": tf.float32, "synchronization": tf.VariableSynchronization.ON_READ}
        statistics.update(aggregation=tf.VariableAggregation.MEAN, experimental_autocast=False)
        # Otherwise a mixed precision policy would pass gamma and beta to `call` in 16 bits, which the kernel refuses.
        affine = {"dtype": tf.float32, "experimental_autocast": False}
        initializer = keras.initializers.Constant(self.initial_scale)
        self.gamma = self.add_weight("gamma", channels, initializer=initializer, **affine)
        self.beta = self.add_weight("beta", channels, initializer="zeros", **affine)
        self.moving_mean = self.add_weight("moving_mean", channels, initializer="zeros", **statistics)
        self.moving_variance = self.add_weight("moving_variance", channels, initializer="ones", **statistics)
        super().build(input_shape)

    def call(self, inputs, training=False):
        training = keras.backend.learning_phase() if training is None else training
        if not (training and self.trainable):
            return self._normalize_with(inputs, self.moving_mean, self.moving_variance)
        context = tf.distribute.get_replica_context()
        if context is not None and context.num_replicas_in_sync > 1:
            return self._normalize_across(inputs, context)
        if None not in inputs.shape[1:3] and inputs.shape[1] * inputs.shape[2] > 1:
            return self._normalize_batch(inputs)
        return tf.cond(
            tf.size(inputs) > inputs.shape[-1],
            lambda: self._normalize_batch(inputs),
            lambda: self._normalize_with(inputs, self.moving_mean, self.moving_variance),
        )

    def _normalize_batch(self, inputs):
        gamma, beta = tf.convert_to_tensor(self.gamma), tf.convert_to_tensor(self.beta)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(inputs, gamma, beta, epsilon=self.epsilon)
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], tf.float32)
        self._update(mean, variance * (count - 1) / count)
        return outputs

    def _normalize_with(self, inputs, mean, variance):
        outputs, _, _ = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma, self.beta, mean=mean, variance=variance, epsilon=self.epsilon, is_training=False
        )
        return outputs

    def _normalize_across(self, inputs, context):
        values = tf.cast(inputs, tf.float32)
        count = tf.cast(tf.size(values) // tf.shape(values)[-1], tf.float32)
        total, count = context.all_reduce(tf.distribute.ReduceOp.SUM, [tf.reduce_sum(values, [0, 1, 2]), count])
        has_several = count > 1
        mean = tf.where(has_several, total / count, self.moving_mean)
        # Squares are taken around the common mean: the difference of two large sums of squares would lose digits.
        squares = tf.reduce_sum(tf.math.squared_difference(values, mean), [0, 1, 2])
        variance = context.all_reduce(tf.distribute.ReduceOp.SUM, squares) / count
        variance = tf.where(has_several, variance, self.moving_variance)
        self._update(mean, variance)
        scale = self.gamma * tf.math.rsqrt(variance + self.epsilon)
        return tf.cast(values * scale + (self.beta - mean * scale), inputs.dtype)

    def _update(self, mean, variance):
        count = _num_updates.get()
        momentum = self.momentum if count is None else growing_decay(count, self.momentum)
        for moving, value in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign_sub((1 - momentum) * (moving - tf.stop_gradient(value)))


class ConvBatchNorm(keras.layers.Layer):
    """Convolution (depthwise if `filters` is None), then batch normalisation, then the activation.

    Weights are `<name>/conv/kernel` (`depthwise_kernel`) and `<name>/bn/{gamma, beta, moving_mean, moving_variance}`.
    """

    def __init__(
        self,
        filters,
        kernel_size=1,
        stride=1,
        dilation=1,
        padding="same",
        activation="relu",
        momentum=0.99,
        epsilon=1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if filters is None:
            self.conv = DepthwiseConv2D(kernel_size, stride, dilation, padding, name="conv")
        else:
            self.conv = Conv2D(filters, kernel_size, stride, dilation, padding, name="conv")
        self.bn = BatchNorm(momentum, epsilon, name="bn")
        self.activation = keras.activations.get({"relu6": tf.nn.relu6}.get(activation, activation))

    def call(self, inputs, training=False):
        return self.activation(self.bn(self.conv(inputs), training=training))


class SeparableConvBatchNorm(keras.layers.Layer):
    """Depthwise and then 1x1 convolution, each followed by batch normalisation and the activation.

    Arguments are those of `ConvBatchNorm`; kernel size, stride and dilation apply to the depthwise convolution. Weights
    are `<name>/depthwise/...` and `<name>/pointwise/...`.
    """

    def __init__(
        self,
        filters,
        kernel_size=3,
        stride=1,
        dilation=1,
        padding="same",
        activation="relu",
        momentum=0.99,
        epsilon=1e-3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        shared = {"activation": activation, "momentum": momentum, "epsilon": epsilon}
        self.depthwise = ConvBatchNorm(None, kernel_size, stride, dilation, padding, name="depthwise", **shared)
        self.pointwise = ConvBatchNorm(filters, name="pointwise", **shared)

    def call(self, inputs, training=False):
        return self.pointwise(self.depthwise(inputs, training=training), training=training)
