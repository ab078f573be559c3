"""A network's answer for an image, read at the image's resolution, one strip of rows at a time."""

import copy
import dataclasses
import functools

import numpy as np
import tensorflow as tf

STRIP_LOGITS = 1 << 24  # 64 MB of float32


@dataclasses.dataclass(frozen=True)
class Layer:
    """What one view contributes to the answer.

    Attributes:
      canvases: [iterations, h, w, num_classes] logits.
      pitch: canvas positions per image pixel, (down, across).
      origin: (row, column) of the first canvas position's middle, in canvas positions from the image's corner.
    """

    canvases: tf.Tensor | np.ndarray
    pitch: tuple[float, float]
    origin: tuple[float, float] = (0.5, 0.5)


@dataclasses.dataclass(frozen=True)
class Stopped:
    """The result of a run that may have ended early, because of a time limit or a settled canvas.

    Attributes:
      answer: a `Refinement`, or an object that is read like one; it holds only the last canvas.
      iterations: number of iterations that ran.
      began: time.perf_counter() at which the last iteration began; None if that is not known or it was the only one.
      state: the last state, with which the next frame can start; None if the model keeps none, and in tiles.
    """

    answer: object
    iterations: int
    began: float | None = None
    state: dict | None = None


class Refinement:
    """A network's answer for one image: class ids after every kept iteration, in the image's size.

    The logits of every view are upsampled bilinearly. The class ids are the argmax of the mean over the views, by
    default of their logits. The fusion "probabilities" takes the mean of their softmax. "exp_logits" sums the logits of
    each scale with those of its mirror image, and then the exponentials of these sums: the surer a scale, the more it
    weighs.

    Args:
      layers: one for each view.
      size: (height, width) of the image.
      are_probabilities: whether the canvases hold probabilities, from 0 to 1, instead of logits.
      fusion: one of `views.FUSIONS`.
      groups: for "exp_logits": a number for each view, the same for those whose logits are summed.
    """

    def __init__(self, layers: list[Layer], size: tuple[int, int], are_probabilities=False, fusion="logits", groups=()):
        self._layers, self._size, self._are_probabilities = layers, size, are_probabilities
        self._fusion = fusion, tuple(groups)
        self._grids = tf.constant([(layer.pitch, layer.origin) for layer in layers], tf.float32)

    def __len__(self):
        return len(self._layers[0].canvases)

    def canvas(self, index=-1) -> np.ndarray:
        """Returns [h, w, channels] float32 as the network gave it after kept iteration `index`, for a single view."""
        [layer] = self._layers
        return np.asarray(layer.canvases[index])

    def with_canvas(self, canvas) -> "Refinement":
        """Returns the answer of a single view with another last canvas, [h, w, channels] float32, and no others."""
        [layer] = self._layers
        answer = copy.copy(self)
        answer._layers = [dataclasses.replace(layer, canvases=canvas[np.newaxis])]
        return answer

    def class_ids(self, index=-1) -> np.ndarray:
        """Returns [height, width] uint8 class ids after kept iteration `index` (0 is the first)."""
        return self._read(index, False)[0]

    def class_ids_and_confidence(self, index=-1) -> tuple[np.ndarray, np.ndarray]:
        """Returns what `class_ids` does, and the probability of the class, [height, width] float32."""
        return self._read(index, True)

    def _read(self, index, with_confidence):
        height, width = self._size
        canvases = tuple(tf.convert_to_tensor(layer.canvases[index]) for layer in self._layers)
        read = _reader(len(canvases), with_confidence, self._are_probabilities, *self._fusion)
        step = max(STRIP_LOGITS // (width * canvases[0].shape[-1]), 1)
        types = (np.uint8, np.float32) if with_confidence else (np.uint8,)
        maps = tuple(np.empty(self._size, dtype) for dtype in types)
        for top in range(0, height, step):
            rows = top, min(top + step, height)
            for whole, strip in zip(maps, read(canvases, self._grids, self._size, rows), strict=True):
                whole[slice(*rows)] = strip.numpy()
        return maps


@functools.cache
def _reader(num_views, with_confidence, are_probabilities, fusion, groups):
    """Returns a function (canvases, grids, size, rows) -> tuple of these rows' class ids and, if asked, confidence."""

    def read(canvases, grids, size, rows):
        views = [upsample_rows(canvases[i], grids[i], size, rows) for i in range(num_views)]
        if fusion == "probabilities":
            scores = tf.add_n([tf.nn.softmax(logits) for logits in views]) / num_views
        elif fusion == "exp_logits":
            scores = _exponential_sums(views, groups)
        else:
            scores = views[0] if num_views == 1 else tf.add_n(views) / num_views  # [rows, width, num_classes]
        class_ids = tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), tf.uint8)
        if not with_confidence:
            return (class_ids,)
        shares = scores if are_probabilities or fusion != "logits" else tf.nn.softmax(scores)
        return class_ids, tf.reduce_max(shares, axis=-1)

    canvas, pair = tf.TensorSpec([None, None, None], tf.float32), tf.TensorSpec([2], tf.int32)
    grids = tf.TensorSpec([num_views, 2, 2], tf.float32)
    return tf.function(read, input_signature=[(canvas,) * num_views, grids, pair, pair])


def _exponential_sums(views, groups):
    """Returns shares [rows, width, num_classes]: of the sums, over the groups, of exp(sum of a group's logits)."""
    sums = [tf.add_n([view for view, one in zip(views, groups, strict=True) if one == group]) for group in set(groups)]
    largest = tf.reduce_max(tf.stack([tf.reduce_max(logits, -1, keepdims=True) for logits in sums]), 0)
    total = tf.add_n([tf.exp(logits - largest) for logits in sums])  # minus the largest, lest it overflow
    return total / tf.reduce_sum(total, -1, keepdims=True)


def upsample_rows(canvas, grid, size, rows):
    """Returns rows of a bilinearly upsampled map, equal to those of `tfseg.layers.resize.upsample` bit by bit.

    Args:
      canvas: [h, w, channels].
      grid: [2, 2] float32, pitch and origin of a `Layer`.
      size: [2] int32 height and width of the output.
      rows: [2] int32 first row, and the row after the last.
    Returns:
      [rows[1] - rows[0], size[1], channels].
    """
    top, bottom, down = _neighbors(tf.range(rows[0], rows[1]), tf.shape(canvas)[0], grid[:, 0])
    left, right, across = _neighbors(tf.range(size[1]), tf.shape(canvas)[1], grid[:, 1])
    first = top[0]
    canvas = canvas[first : bottom[-1] + 1]
    left, right = tf.gather(canvas, left, axis=1), tf.gather(canvas, right, axis=1)  # [rows of the canvas, width, c]
    canvas = left + (right - left) * across[:, tf.newaxis]
    upper, lower = tf.gather(canvas, top - first), tf.gather(canvas, bottom - first)
    return upper + (lower - upper) * down[:, tf.newaxis, tf.newaxis]


def _neighbors(positions, length, grid):
    """Returns (index before, index after, share of the latter) for output positions along an axis of the canvas."""
    pitch, origin = tf.unstack(grid)
    centers = (tf.cast(positions, tf.float32) + 0.5) * pitch - origin
    before = tf.floor(centers)
    # The share comes from the unclipped position: at an edge both neighbours are the same, so it does not matter.
    after = tf.minimum(tf.cast(tf.math.ceil(centers), tf.int32), length - 1)
    return tf.maximum(tf.cast(before, tf.int32), 0), after, centers - before
