"""Tells when a canvas has settled, so that further iterations are not worth their time."""

import tensorflow as tf

NEVER = -1.0  # a tolerance that no canvas ever meets: none changes by less


def changed_share(before, after):
    """Share of positions whose class differs between two canvases [batch, h, w, num_classes]: a float32, 0 to 1."""
    before, after = (tf.argmax(canvas, -1, tf.int32) for canvas in (before, after))  # each [batch, h, w]
    return tf.reduce_mean(tf.cast(tf.not_equal(before, after), tf.float32))
