"""Finds out how to use a .tflite segmenter that another program made, and uses it."""

import math
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed
from tfseg.formats import tflite_file
from tfseg.inference.engines.foreign_input import image_input
from tfseg.inference.engines.foreign_origin import origin_of
from tfseg.inference.engines.foreign_output import MapOutput, no_map, reading
from tfseg.inference.views import WHOLE_IMAGE_PIXELS, Tiling, View, network_inputs
from tfseg.labels import DatasetInfo, default_colors
from tfseg.system.progress import say

# An image of unequal sides, which tells rows from columns; what stands for open sides while a file is looked at.
PROBE_SIZE = (64, 96)
# Networks that halve an image several times, and join maps of equal sizes again, need sides that this divides.
GRID = 32
LONGEST_LABEL = 100


class ForeignSegmenter:
    """A .tflite file without a description by tfseg.

    Attributes:
      info: its classes; they are called class_0, class_1, ... if the file does not name them.
      size: (height, width) of its input image; None if the file leaves both or one open.
    """

    def __init__(self, program, metadata, normalization):
        """Finds out how to use it.

        Args:
          program: the file's `tflite_runtime.Program`.
          metadata: the file's `formats.tflite_metadata.Metadata`.
          normalization: (mean, std), each one value or one per channel: the file takes (image - mean) / std. None uses
            what the file's metadata says, or what the scale and zero point of 8 bits stand for.
        Raises:
          InputError: the file does not take one image and return one map, or nothing says how to normalise.
        """
        if len(program.signatures) != 1:
            raise InputError(
                f"{program.path}: not made by tfseg, and has {len(program.signatures)} signatures instead of one"
            )
        [(self._signature, tensors)] = program.signatures.items()
        self._path, self._program = program.path, program
        self._image = image_input(program.path, tensors.inputs, metadata, normalization)
        self.size = None if None in self._image.size else self._image.size
        self._has_grid = False
        self._map = self._map_output(tensors.outputs, metadata)
        names = _names(program.path, metadata.labels, self._map.num_classes)
        self.info = DatasetInfo(Path(program.path).stem, names, default_colors(len(names), names))

    def answer(self, image):
        """Returns what `Engine.answer` does.

        Args:
          image: [height, width, 3] uint8 RGB.
        """
        size = self._size_for(image.shape[:2])
        try:
            outputs = self._run(image, size)
        except InputError:
            if self._has_grid or self.size is not None:
                raise
            self._has_grid = True
            size = self._size_for(image.shape[:2])
            outputs = self._run(image, size)
        return self._map.answer(outputs[self._map.name], size, image.shape[:2])

    def _run(self, image, size):
        [pixels] = network_inputs(image, View(base_size=size), Tiling(size, size))
        return self._program.run(self._signature, {self._image.name: self._image.prepare(pixels.numpy())})

    def _size_for(self, image_size):
        """Returns (height, width) that the file gets: open sides are those of the image, up to WHOLE_IMAGE_PIXELS."""
        if self.size is not None:
            return self.size
        factor = min(1.0, math.sqrt(WHOLE_IMAGE_PIXELS / math.prod(image_size)))
        sides = [max(int(side * factor), 1) for side in image_size]
        if self._has_grid:
            sides = [max(round(side / GRID), 1) * GRID for side in sides]
        return tuple(fixed or side for fixed, side in zip(self._image.size, sides, strict=True))

    def _map_output(self, tensors, metadata):
        """Returns the `MapOutput` of the only output that is a map."""
        size = tuple(fixed or side for fixed, side in zip(self._image.size, PROBE_SIZE, strict=True))
        shapes = self._shapes(tensors, size)
        labels = len(metadata.labels or ()) or None
        found = {}
        for name, shape in shapes.items():
            if one := reading(self._path, name, shape, size, self._image.batch, labels):
                found[name] = one
        if not found:
            raise no_map(self._path, tensors)
        if len(found) > 1:
            raise InputError(
                f"{self._path}: not made by tfseg; several of its outputs are maps: {listed(found)}; export it "
                "with the one that is wanted"
            )
        [(name, one)] = found.items()
        subgraph = tflite_file.signatures(self._program.model)[self._signature]
        origin = origin_of(self._program.model, subgraph, tensors[name].index)
        return MapOutput(self._path, name, tensors[name], one, origin, metadata)

    def _shapes(self, tensors, size):
        """Returns {name: shape} of the outputs, from a run on a grey image if more than the batch is open."""
        shapes = {name: (one.shape[0] or 1, *one.shape[1:]) for name, one in tensors.items() if one.shape}
        if self.size is not None and all(None not in shape for shape in shapes.values()):
            return shapes
        grey = np.full([*size, 3], 128, np.uint8)
        return {name: value.shape for name, value in self._run(grey, size).items()}


def _names(path, labels, num_classes):
    if labels and len(labels) == 1 and num_classes == 2:
        labels = ("background", *labels)
    if labels and len(labels) == num_classes and max(map(len, labels)) <= LONGEST_LABEL:
        return tuple(labels)
    if labels and len(labels) == num_classes:
        say(f"note: {path}: has labels of more than {LONGEST_LABEL} characters; they are not used")
    elif labels:
        say(f"note: {path}: has {len(labels)} labels for {num_classes} classes; they are not used")
    return tuple(f"class_{class_id}" for class_id in range(num_classes))
