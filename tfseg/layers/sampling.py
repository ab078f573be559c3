"""Reads maps between their positions."""

import tensorflow as tf


def bilinear_sample(maps, rows, columns, factors=None):
    """Reads a map at any places, bilinearly; it is 0 outside.

    Args:
      maps: [batch, h, w, channels].
      rows, columns: [batch, n] float32 places, in positions of the map: (0, 0) is the centre of the first one.
      factors: [batch, n] float32 by which what is read is multiplied; None for 1.
    Returns:
      [batch, n, channels] of the dtype of `maps`.
    """
    batch, height, width = (tf.shape(maps)[axis] if maps.shape[axis] is None else maps.shape[axis] for axis in range(3))
    # A frame of zeros makes every place outside read zeros. Places further away are moved onto it.
    framed = tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]])
    rows = tf.clip_by_value(rows + 1, 0.0, tf.cast(height + 1, tf.float32))
    columns = tf.clip_by_value(columns + 1, 0.0, tf.cast(width + 1, tf.float32))
    top, left = tf.floor(rows), tf.floor(columns)
    # The corner before the last, so that its neighbours exist.
    top = tf.minimum(top, tf.cast(height, tf.float32))
    left = tf.minimum(left, tf.cast(width, tf.float32))
    down, across = rows - top, columns - left
    stride = width + 2
    first = tf.cast(top, tf.int32) * stride + tf.cast(left, tf.int32)  # [batch, n]
    first += tf.range(batch)[:, tf.newaxis] * (height + 2) * stride
    flat = tf.reshape(framed, [-1, maps.shape[-1]])
    down = down if factors is None else down * factors
    up = (1.0 if factors is None else factors) - down
    shares = (up * (1 - across), up * across, down * (1 - across), down * across)
    corners = (0, 1, stride, stride + 1)
    return tf.add_n(
        [
            tf.cast(share, maps.dtype)[..., tf.newaxis] * tf.gather(flat, first + corner)
            for share, corner in zip(shares, corners, strict=True)
        ]
    )
