"""Finds out how to use a .tflite segmenter that another program made."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfseg.errors import InputError
from tfseg.labels import MAX_CLASSES, DatasetInfo, default_colors
from tfseg.system.progress import say


@dataclasses.dataclass(frozen=True)
class ForeignForm:
    """How to use such a file.

    Attributes:
      info: its classes; they are called class_0, class_1, ... if the file does not name them.
      size: (height, width) of its input image.
      prepare: [1, height, width, 3] float32 RGB, 0 to 255 -> the input that the file takes.
      logits: (prepared image, iterations, last_only) -> a list of one [1, h, w, num_classes] float32.
    """

    info: DatasetInfo
    size: tuple[int, int]
    prepare: Callable
    logits: Callable


def foreign_form(program, metadata, normalization) -> ForeignForm:
    """Finds out how to use a file that has no description by tfseg.

    Args:
      program: the file's `tflite_runtime.Program`.
      metadata: the file's `formats.tflite_metadata.Metadata`.
      normalization: (mean, std), each one value or one per channel: a float32 file takes (image - mean) / std. None
        uses what the file's metadata says.
    Raises:
      InputError: the file does not take one image and return logits, or nothing says how to normalise.
    """
    if len(program.signatures) != 1:
        raise InputError(
            f"{program.path}: not made by tfseg, and has {len(program.signatures)} signatures instead of one"
        )
    [(signature, tensors)] = program.signatures.items()
    image_name, image = _only(program.path, "input", tensors.inputs, ("float32", "uint8"))
    logits_name, logits = _only(program.path, "output", tensors.outputs, ("float32", "uint8", "int8"))
    num_classes = logits.shape[3]
    if image.shape[3] != 3 or not 2 <= num_classes <= MAX_CLASSES:
        raise InputError(
            f"{program.path}: not made by tfseg; its input has {image.shape[3]} channels and its output {num_classes}, "
            f"wanted are 3, and logits of 2 to {MAX_CLASSES} classes"
        )

    def run(prepared, iterations, last_only):
        return [program.run(signature, {image_name: prepared})[logits_name]]

    names = _names(program.path, metadata.labels, num_classes)
    info = DatasetInfo(Path(program.path).stem, names, default_colors(num_classes))
    return ForeignForm(info, image.shape[1:3], _preparation(program.path, image, metadata, normalization), run)


def _only(path, what, tensors, dtypes):
    """Returns (name, Tensor) of the only input or output."""
    described = ", ".join(
        f"{name} {one.dtype} [{', '.join('?' if side is None else str(side) for side in one.shape)}]"
        for name, one in tensors.items()
    )
    [(name, tensor), *others] = tensors.items() or [("", None)]
    # Converters leave the batch size open; interpreters allocate one image.
    is_map = tensor is not None and len(tensor.shape) == 4 and tensor.shape[0] in (1, None)
    is_map = is_map and None not in tensor.shape[1:]
    if others or not is_map or tensor.dtype not in dtypes:
        wanted = "[1, height, width, 3]" if what == "input" else "[1, height, width, num_classes] of logits"
        raise InputError(
            f"{path}: not made by tfseg; as {what} it has {described or 'nothing'}, wanted is one {wanted}, "
            f"{' or '.join(dtypes)}"
        )
    return name, tensor


def _names(path, labels, num_classes):
    if labels and len(labels) == num_classes:
        return tuple(labels)
    if labels:
        say(f"note: {path}: has {len(labels)} labels for {num_classes} classes; they are not used")
    return tuple(f"class_{class_id}" for class_id in range(num_classes))


def _preparation(path, image, metadata, normalization):
    if image.dtype == "uint8":
        if normalization is not None:
            raise InputError(f"--mean and --std do not apply to {path}: it takes uint8 images as they are")
        return lambda pixels: np.clip(np.rint(pixels), 0, 255).astype(np.uint8)
    if normalization is None and not (metadata.mean and metadata.std):
        raise InputError(
            f"{path}: takes float32 images and has no NormalizationOptions that say how they are normalised; "
            "give it as --mean=127.5 --std=127.5 (for -1 to 1), or whatever it was trained with"
        )
    mean, std = (np.float32(values) for values in normalization or (metadata.mean, metadata.std))
    if not (mean.shape in ((1,), (3,)) and std.shape in ((1,), (3,)) and np.isfinite(mean).all() and (std > 0).all()):
        raise InputError(f"{path}: mean {mean} and std {std}; wanted are one number or three each, std above 0")
    return lambda pixels: (pixels - mean) / std
