"""Reads maps between their positions."""

import tensorflow as tf

from tfseg.layers.resize import shape_of


def bilinear_sample(maps, rows, columns, factors=None):
    """Reads a map at any places, bilinearly; it is 0 outside.

    Args:
      maps: [batch, h, w, channels].
      rows, columns: [batch, n] float32 places, in positions of the map: (0, 0) is the centre of the first one.
      factors: [batch, n] float32 by which what is read is multiplied; None for 1.
    Returns:
      [batch, n, channels] of the dtype of `maps`.
    """
    framed, first, steps, shares = corners(maps, rows, columns, factors)
    flat = tf.reshape(framed, [-1, maps.shape[-1]])
    return tf.add_n(
        [
            tf.cast(share, maps.dtype)[..., tf.newaxis] * tf.gather(flat, first + step)
            for share, step in zip(shares, steps, strict=True)
        ]
    )


def corners(maps, rows, columns, factors=None):
    """Returns which positions `bilinear_sample` reads, and their shares; arguments are the same.

    Returns:
      framed: [batch, h + 2, w + 2, channels], the map in a frame of zeros.
      first: [batch, n] int32, the upper left one of four neighbours, as a number among all framed positions.
      steps: four integers; the neighbours are `first` + step: upper left and right, lower left and right.
      shares: four [batch, n] float32, in the same order.
    """
    batch, height, width, _ = shape_of(maps)
    # A frame of zeros makes every place outside read zeros. Places further away are moved onto it.
    framed = tf.pad(maps, [[0, 0], [1, 1], [1, 1], [0, 0]])
    rows = tf.clip_by_value(rows + 1, 0.0, tf.cast(height + 1, tf.float32))
    columns = tf.clip_by_value(columns + 1, 0.0, tf.cast(width + 1, tf.float32))
    # At most the corner before the last, so that its neighbours exist.
    top = tf.minimum(tf.floor(rows), tf.cast(height, tf.float32))
    left = tf.minimum(tf.floor(columns), tf.cast(width, tf.float32))
    down, across = rows - top, columns - left
    stride = width + 2
    first = tf.cast(top, tf.int32) * stride + tf.cast(left, tf.int32)
    first += tf.range(batch)[:, tf.newaxis] * (height + 2) * stride
    down = down if factors is None else down * factors
    up = (1.0 if factors is None else factors) - down
    shares = (up * (1 - across), up * across, down * (1 - across), down * across)
    return framed, first, (0, 1, stride, stride + 1), shares
