"""What comes out of a .tflite file that another program made: where its map is, and what the values stand for."""

import dataclasses
import math

import numpy as np

from tfseg.errors import InputError, shortened
from tfseg.inference.engines.engine import ClassIds
from tfseg.inference.engines.foreign_input import described, shape_text
from tfseg.inference.engines.foreign_origin import Origin
from tfseg.inference.refinement import Layer, Refinement
from tfseg.labels import MAX_CLASSES

# How far sums of probabilities may lie beside 1, and probabilities beside 0 to 1, in files that are not quantised.
SUM_TOLERANCE, TOLERANCE = 2e-3, 1e-4
MOST_LOST = 0.3  # of the sum, by rounding many small probabilities to 8 bits


@dataclasses.dataclass(frozen=True)
class Reading:
    """A way to read an array as a map.

    Attributes:
      row: the axis of rows; columns are the next one.
      channel: the axis of classes; None if there is none.
      num_channels: number of channels; 1 without such an axis.
    """

    row: int
    channel: int | None
    num_channels: int

    def map(self, array) -> np.ndarray | None:
        """Returns [h, w, num_channels] of the first image; None if the array's axes are not those of this reading."""
        axes = [self.row, self.row + 1] + ([] if self.channel is None else [self.channel])
        if array.ndim <= max(axes):
            return None
        first = array[tuple(slice(None) if axis in axes else 0 for axis in range(array.ndim))]
        if self.channel is None:
            first = first[..., np.newaxis]
        elif self.channel < self.row:
            first = np.moveaxis(first, 0, -1)
        return first if first.shape[-1] == self.num_channels and first.size else None


class MapOutput:
    """The output of class scores or class ids.

    Attributes:
      name: its name in the signature.
      num_classes: number of classes; MAX_CLASSES for class ids of which nothing says how many there are.
    """

    def __init__(self, path, name, tensor, read: Reading, origin: Origin, metadata):
        self.name, self._path, self._reading, self._origin = name, path, read, origin
        self._activation, num_channels = metadata.activation, read.num_channels
        is_stored = np.dtype(tensor.dtype).kind in "iub" and (tensor.scale, tensor.zero_point) in ((0, 0), (1, 0))
        self._has_ids = num_channels == 1 and (is_stored or origin.num_classes is not None)
        self.num_classes = max(num_channels, 2)
        if self._has_ids:
            labels = len(metadata.labels or ())
            two = 2 if tensor.dtype == "bool" else None
            self.num_classes = origin.num_classes or two or (labels if 2 <= labels <= MAX_CLASSES else MAX_CLASSES)

    def answer(self, array, input_size, image_size):
        """Reads the answer for one image.

        Args:
          array: what the file gave.
          input_size: (height, width) of the image that the file got.
          image_size: (height, width) of the image itself.
        Returns:
          A `Refinement`, or `ClassIds`.
        Raises:
          InputError: the array is no such map, or a class id is not one of the classes.
        """
        values = self._reading.map(array)
        if values is None:
            shape = shape_text(array.shape)
            raise InputError(f"{self._path}: its output {shortened(self.name, 30)} has become {shape}, which is no map")
        pitch, origin = _grid(values.shape[:2], input_size, image_size)
        if self._has_ids:
            ids = self._class_ids(values[..., 0])
            rows, columns = (_nearest(*one) for one in zip(ids.shape, image_size, pitch, origin, strict=True))
            return ClassIds([(ids[np.ix_(rows, columns)], None)], self._path)
        scores, are_probabilities = self._scores(values.astype(np.float32))
        return Refinement([Layer(scores[np.newaxis], pitch, origin)], tuple(image_size), are_probabilities)

    def _class_ids(self, values):
        ids = values if values.dtype.kind in "iub" else np.rint(values)
        if not np.isfinite(ids).all() or ids.min() < 0 or ids.max() >= self.num_classes:
            worst = ids.min() if ids.min() < 0 else ids.max()
            raise InputError(f"{self._path}: its map has class id {worst:.0f}; known are 0 to {self.num_classes - 1}")
        return ids.astype(np.uint8)

    def _scores(self, values):
        """Returns [h, w, num_classes] logits or probabilities, and whether they are probabilities."""
        if self._reading.num_channels == 1:
            return self._two_classes(values)
        return values, self._origin.is_sigmoid or self._sum_to_one(values)

    def _sum_to_one(self, values):
        """Whether a softmax made the values: scores before it are hardly ever between 0 and 1, with a sum of 1."""
        step = self._origin.step
        most, off = TOLERANCE + step, max(SUM_TOLERANCE, min(values.shape[-1] * step, MOST_LOST))
        if not self._origin.may_normalize or values.min() < -most or values.max() > 1 + most:
            return False
        return bool(np.abs(values.sum(-1) - 1).max() <= off)

    def _two_classes(self, values):
        """Reads the one channel of the second class; at a probability of 0.5 or a logit of 0 that class is chosen."""
        if self._origin.is_sigmoid:
            is_logit = False
        elif self._activation == "SIGMOID" or self._origin.is_linear:
            is_logit = True
        else:
            most = TOLERANCE + self._origin.step
            is_logit = values.min() < -most or values.max() > 1 + most
        if is_logit:
            return np.concatenate([np.where(values == 0, np.float32(-1e-12), np.float32(0)), values], -1), False
        values = values.clip(0, 1)
        first = np.where(values == 0.5, np.nextafter(np.float32(0.5), np.float32(0)), 1 - values)
        return np.concatenate([first, values], -1), True


def reading(path, name, shape, input_size, batch, num_labels=None) -> Reading | None:
    """Finds out how to read an array as a map of an image.

    Args:
      path, name: the file's path and the output's name, for messages.
      shape: the array's shape.
      input_size: (height, width) of the image that the file got.
      batch: number of images that the file takes.
      num_labels: number of classes that the file names; None if it names none.
    Returns:
      The reading whose rows and columns divide the image's sides alike; None if there is none.
    Raises:
      InputError: there are several.
    """
    found = [one for one in _readings(shape, batch) if _is_alike(_size(one, shape), input_size)]
    if len(found) > 1:
        found = [one for one in found if one.num_channels == num_labels] or found
    if len(found) > 1:
        found = [one for one in found if _is_exact(_size(one, shape), input_size)] or found
    if len(found) > 1:
        sizes = [_size(one, shape) for one in found[:2]]
        ways = [f"{h}x{w} of {one.num_channels} channels" for (h, w), one in zip(sizes, found, strict=False)]
        raise InputError(
            f"{path}: not made by tfseg; its output {shortened(name, 30)} {shape_text(shape)} can be read as "
            f"{' or '.join(ways)}; export it for an image of other sides"
        )
    return found[0] if found else None


def _size(one, shape):
    return tuple(shape[one.row : one.row + 2])


def no_map(path, tensors) -> InputError:
    """Returns the error for a file without a map among its outputs."""
    return InputError(
        f"{path}: not made by tfseg; as output it has {described(tensors)}, wanted is one map of classes, "
        "[1, height, width, num_classes]"
    )


def _readings(shape, batch):
    """Yields all readings of a shape: two axes for rows and columns, at most one of channels, and the batch."""
    start = 1 if batch > 1 else 0
    if start and shape[:1] != (batch,):
        return
    for row in range(start, len(shape) - 1):
        channels = [axis for axis in range(start, len(shape)) if axis not in (row, row + 1) and shape[axis] != 1]
        count = shape[channels[0]] if len(channels) == 1 else 1
        if len(channels) <= 1 and min(shape[row : row + 2]) > 1 and count <= MAX_CLASSES:
            yield Reading(row, channels[0] if channels else None, count)


def _is_alike(size, input_size):
    """Whether a map has the image's proportions, give or take a cell."""
    shares = [side / whole for side, whole in zip(size, input_size, strict=True)]
    return abs(shares[0] - shares[1]) <= 1 / input_size[0] + 1 / input_size[1]


def _is_exact(size, input_size):
    """Whether one stride leads to both sides."""
    stride = round(input_size[0] / size[0])
    strides = range(max(stride - 1, 1), stride + 2)
    rounded = [
        [tuple(way(whole / step) for whole in input_size) for step in strides] for way in (math.ceil, math.floor)
    ]
    return any(tuple(size) in sizes for sizes in rounded)


def _grid(size, input_size, image_size):
    """Returns pitch and origin of a map on the image, see `Layer`."""
    strides = {_aligned_stride(*sides) for sides in zip(input_size, size, strict=True)}
    if len(strides) == 1 and None not in strides:
        [stride] = strides
        return tuple(input_size[axis] / image_size[axis] / stride for axis in range(2)), (0.5 / stride, 0.5 / stride)
    return tuple(size[axis] / image_size[axis] for axis in range(2)), (0.5, 0.5)


def _nearest(length, side, pitch, origin):
    """Returns the index of the nearest of `length` cells for each of an image's `side` pixels."""
    return np.clip(np.floor((np.arange(side) + 0.5) * pitch - origin + 0.5).astype(int), 0, length - 1)


def _aligned_stride(whole, side):
    """Returns the stride of a grid with a cell on the first and the last pixel, e.g. 8 for 513 -> 65; None for others.

    A side that is also a multiple of the map's counts only if the stride is a power of two.
    """
    stride, rest = divmod(whole - 1, max(side - 1, 1))
    if rest or stride < 2 or side < 2:
        return None
    return stride if whole % side or stride & (stride - 1) == 0 else None
