"""Dropout that depends on nothing but a seed."""

import tensorflow as tf

DROPOUT_KINDS = ("spatial", "element")


def dropout(inputs, rate, kind, seed):
    """Sets a share `rate` of [batch, h, w, channels] to zero and scales the rest up: values, or whole channels.

    Args:
      inputs: [batch, h, w, channels].
      rate: 0 to below 1.
      kind: "spatial" or "element".
      seed: [2] int32; None returns the inputs.
    """
    if seed is None or not rate:
        return inputs
    shape = tf.shape(inputs)
    noise_shape = tf.stack([shape[0], 1, 1, shape[3]]) if kind == "spatial" else None
    return tf.nn.experimental.stateless_dropout(inputs, rate, seed, noise_shape=noise_shape)


def split_seed(seed, count):
    """Returns a list of `count` seeds made of one; of None, a list of None."""
    return [None] * count if seed is None else tf.unstack(tf.random.experimental.stateless_split(seed, count))
