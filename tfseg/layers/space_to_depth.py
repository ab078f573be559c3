"""Moves blocks of pixels into channels and back, for maps of any size."""

import tensorflow as tf


def space_to_depth(inputs, block):
    """Moves blocks of block x block pixels into the channels; the map is padded with zeros at the bottom and right.

    A map of ceil(H / s) rows becomes one of ceil(H / (s * block)) rows, whatever H is. That is the grid of a network
    whose strides multiply to s * block.

    Args:
      inputs: [batch, h, w, channels].
      block: side of a block, in pixels.
    Returns:
      [batch, ceil(h / block), ceil(w / block), block * block * channels]. The pixel in row y and column x of its block
      fills the channels from (y * block + x) * channels on.
    """
    static, dynamic = inputs.shape[1:3], tf.shape(inputs)[1:3]
    # -h mod block is the number of pixels missing up to the next multiple.
    missing = [-(dynamic[axis] if static[axis] is None else static[axis]) % block for axis in range(2)]
    padded = tf.pad(inputs, [[0, 0], [0, missing[0]], [0, missing[1]], [0, 0]])
    return tf.nn.space_to_depth(padded, block)


def depth_to_space(inputs, block, size):
    """Inverse of `space_to_depth`.

    Args:
      inputs: [batch, h, w, block * block * channels].
      block: side of a block, in pixels.
      size: (height, width) of the result, numbers or a tensor, at most block * (h, w).
    Returns:
      [batch, *size, channels].
    """
    return tf.nn.depth_to_space(inputs, block)[:, : size[0], : size[1]]
