"""Resizing of feature maps, logits and label maps."""

import tensorflow as tf


def resize_bilinear(inputs, size, align_corners=False):
    """[batch, h, w, c] -> [batch, *size, c], float32. Half-pixel centres unless `align_corners`; no antialiasing."""
    inputs = tf.cast(inputs, tf.float32)
    if align_corners:
        return tf.compat.v1.image.resize_bilinear(inputs, size, align_corners=True)
    return tf.image.resize(inputs, size, method="bilinear")
