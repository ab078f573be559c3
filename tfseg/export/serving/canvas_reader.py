"""Turns a canvas into class ids and confidence inside exported graphs, a few classes at a time to save memory."""

import tensorflow as tf

from tfseg.layers.resize import upsample

# How many classes are enlarged to the image's size at a time.
GROUP = 32


class CanvasReader:
    """Turns canvases into maps in the size of their images.

    Args:
      network: has `num_classes`, `canvas_stride` and `padding`.
      size: (height, width) of the network's input if images are resized to it; otherwise None.
    """

    def __init__(self, network, size=None):
        self._num_classes, self._size = network.num_classes, size
        self._stride, self._padding = network.canvas_stride, network.padding

    def read(self, canvas, size, with_confidence):
        """[batch, h, w, num_classes] -> [batch, *size] uint8 class ids and, if wanted, their softmax probability."""
        best = class_ids = total = None
        for first in range(0, self._num_classes, GROUP):
            with tf.control_dependencies([part for part in (best, class_ids, total) if part is not None]):
                group = tf.identity(canvas[..., first : first + GROUP])  # [batch, h, w, GROUP or fewer]
            logits = self._enlarged(group, size)
            highest = tf.reduce_max(logits, -1)  # [batch, *size], like all maps below
            ids = tf.cast(tf.argmax(logits, -1, output_type=tf.int32) + first, tf.uint8)
            summed = tf.reduce_sum(tf.exp(logits - highest[..., tf.newaxis]), -1) if with_confidence else None
            if best is not None:
                ids, highest, before = tf.where(highest > best, ids, class_ids), tf.maximum(highest, best), highest
                if with_confidence:
                    summed = summed * tf.exp(before - highest) + total * tf.exp(best - highest)
            best, class_ids, total = highest, ids, summed
        return (class_ids, 1 / total) if with_confidence else (class_ids,)

    def _enlarged(self, canvas, size):
        """[batch, h, w, channels] -> [batch, *size, channels]; a size other than the network's needs a batch of 1."""
        stride, padding = self._stride, self._padding
        if padding == "same" or size is self._size or self._size is None:
            return upsample(canvas, size, stride, padding)
        # Position i of the canvas is at pixel stride * i of the resized image. The canvas is sampled at the centres of
        # the image's own pixels. At the border they lie outside the canvas, so its edge is repeated once all around.
        canvas = tf.pad(canvas, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")  # [1, h + 2, w + 2, channels]
        pitch = tf.constant(self._size, tf.float32) / tf.cast(size, tf.float32) / stride
        first = 0.5 * pitch - 0.5 / stride + 1
        last = first + pitch * tf.cast(size - 1, tf.float32)
        # [4]: top, left, bottom, right as shares of the padded canvas.
        box = tf.concat([first, last], 0) / tf.tile(tf.cast(tf.shape(canvas)[1:3] - 1, tf.float32), [2])
        return tf.image.crop_and_resize(canvas, box[tf.newaxis], [0], size)
