"""A SavedModel of another program, for example of Keras, as an engine: one image in, one map of classes out."""

import typing
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfseg.errors import InputError, listed
from tfseg.formats import saved_model
from tfseg.inference.engines.foreign_input import mean_and_std
from tfseg.inference.refinement import Layer, Refinement
from tfseg.inference.views import Tiling, View, network_inputs
from tfseg.labels import MAX_CLASSES, DatasetInfo, default_colors

PROBABILITY_TOLERANCE = 1e-3  # by which the probabilities of a pixel may miss the sum of 1
LEAST_PROBABILITY = 1e-12


class ForeignSavedModelEngine:
    """Runs a signature of one image and one output, [1, h, w, num_classes]. See `engine.py` for the interface.

    An image is resized if the signature has a fixed size; otherwise it goes in as it is. The output's grid is enlarged
    to the image's size. Outputs from 0 to 1 that sum to 1 at every pixel are probabilities, others are logits.
    """

    is_recurrent, has_every_iteration = False, True
    min_iterations = max_iterations = default_iterations = trained_iterations = 1
    answer_until = encode = panoptic = serve = carry = segmenter = None
    state_channels: typing.ClassVar[dict] = {}

    def __init__(self, signature, normalization=None):
        """Sets up a SavedModel that was loaded.

        Args:
          signature: its `formats.saved_model.ImageSignature`.
          normalization: (mean, std), each one value or one per channel: a float32 signature takes (image - mean) / std.
        Raises:
          InputError: the signature does not give one map of 2 to MAX_CLASSES classes, or nothing says how images are
            normalised.
        """
        self.path, self._signature = signature.path, signature
        sides = tuple(signature.image.shape[1:3])
        self.size = None if None in sides else sides
        num_classes = self._num_classes(signature)
        names = tuple(f"class_{class_id}" for class_id in range(num_classes))
        self.info = DatasetInfo(Path(self.path).resolve().name, names, default_colors(num_classes))
        self._prepared = _preparation(self.path, signature.image.dtype, normalization)

    def answer(self, image, iterations, last_only):
        image_size = tuple(image.shape[:2])
        size = self.size or image_size
        [pixels] = network_inputs(image, View(base_size=size), Tiling(size, size))  # [1, *size, 3]
        with saved_model.refusing(self._signature, size):
            [output] = self._signature.function(**{self._signature.image_name: self._prepared(pixels)}).values()
        canvas = np.asarray(output, np.float32)
        self._check(canvas, size)
        scale = tuple(canvas.shape[axis + 1] / image_size[axis] for axis in range(2))
        return Refinement([Layer(_as_logits(canvas), scale)], image_size)

    def _num_classes(self, signature):
        outputs = signature.function.structured_outputs
        wanted = f"wanted is one, float [batch, height, width, classes] of 2 to {MAX_CLASSES} classes"
        has = f"{self.path}: not made by tfseg; of {signature.name}"
        if signature.iterations is not None:
            raise InputError(f"{has} the input is an image and a number of iterations, wanted is an image alone")
        if len(outputs) != 1:
            raise InputError(f"{has} the outputs are {listed(sorted(outputs))}; {wanted}")
        [(name, output)] = outputs.items()
        is_map = output.shape.rank == 4 and output.dtype.is_floating and output.shape[3] is not None
        if not is_map or not 2 <= output.shape[3] <= MAX_CLASSES:
            raise InputError(f"{has} the output is {name}, {output.dtype.name} {output.shape}; {wanted}")
        return output.shape[3]

    def _check(self, canvas, size):
        """Raises InputError unless the output is one finite map on a grid over the whole image."""
        height, width = canvas.shape[1:3]
        # A grid may be larger or smaller by a cell than the image's proportions say, or by a row of padding.
        is_grid = canvas.shape[0] == 1 and abs(height * size[1] - width * size[0]) <= size[0] + size[1]
        if not (is_grid and height and width):
            raise InputError(
                f"{self.path}: gives {list(canvas.shape)} for an image of {size[0]}x{size[1]}; wanted are "
                "[1, height, width, classes], height and width in the image's proportions"
            )
        if not np.isfinite(canvas).all():
            raise InputError(f"{self.path}: gives numbers that are not finite; are --mean and --std those of training?")


def _preparation(path, dtype, normalization):
    if dtype == tf.uint8:
        if normalization is not None:
            raise InputError(f"--mean and --std do not apply to {path}: it takes uint8 images as they are")
        return lambda pixels: tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8)
    if normalization is None:
        raise InputError(
            f"{path}: not made by tfseg, and takes float32 images; say how they are normalised: --mean=127.5 "
            "--std=127.5 (-1 to 1), --mean=0 --std=255 (0 to 1), or --mean=0 --std=1 (0 to 255)"
        )
    mean, std = mean_and_std(path, *normalization)
    return lambda pixels: (pixels - mean) / std


def _as_logits(canvas):
    is_share = canvas.min() >= 0 and canvas.max() <= 1 + PROBABILITY_TOLERANCE
    if is_share and np.abs(canvas.sum(-1) - 1).max() <= PROBABILITY_TOLERANCE:
        return np.log(np.maximum(canvas, LEAST_PROBABILITY))
    return canvas
