"""Resizing of feature maps and logits."""

import tensorflow as tf


def resize_bilinear(inputs, size):
    """Resizes [batch, h, w, c] to [batch, *size, c], float32, with half-pixel centres and without antialiasing."""
    return tf.image.resize(tf.cast(inputs, tf.float32), size, method="bilinear")


def upsample(inputs, size, stride, padding):
    """Enlarges a map to the grid it was computed from.

    Where a position of the map sits on that grid depends on how the strided convolutions were padded:

    - "same": position i covers `stride` positions, as in TensorFlow's resizing with half-pixel centres;
    - "symmetric": position i sits on `stride` * i. At sizes n * stride + 1 this is resizing with aligned corners; at
      other sizes the last position is repeated to the end.

    Args:
      inputs: [batch, ceil(H / stride), ceil(W / stride), channels].
      size: (H, W), numbers or a tensor.
      stride: the map's stride, in positions of the result.
      padding: "same" or "symmetric".
    Returns:
      [batch, H, W, channels] float32.
    """
    if padding == "same":
        return resize_bilinear(inputs, size)
    inputs = tf.cast(inputs, tf.float32)
    static, dynamic = inputs.shape[1:3], tf.shape(inputs)[1:3]
    reached = [(dynamic[axis] if static[axis] is None else static[axis]) * stride + 1 for axis in range(2)]
    inputs = tf.concat([inputs, inputs[:, -1:]], 1)  # [batch, h + 1, w, channels]
    inputs = tf.concat([inputs, inputs[:, :, -1:]], 2)  # [batch, h + 1, w + 1, channels]
    outputs = tf.compat.v1.image.resize_bilinear(inputs, reached, align_corners=True)  # [batch, *reached, channels]
    return outputs[:, : size[0], : size[1]]


def shape_of(values) -> list:
    """Returns the sides of a tensor: Python numbers where they are known, else scalar tensors."""
    dynamic = tf.shape(values)
    return [dynamic[axis] if length is None else length for axis, length in enumerate(values.shape)]


def map_size(images, stride):
    """Returns (height, width) of the map at a stride: Python numbers where the image size is known, else tensors."""
    static = images.shape[1:3]
    dynamic = tf.shape(images)[1:3]
    return tuple(
        -(-static[axis] // stride) if static[axis] is not None else (dynamic[axis] + stride - 1) // stride
        for axis in range(2)
    )
