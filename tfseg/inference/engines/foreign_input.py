"""How an image goes into a .tflite file that another program made: layout, batch, normalisation and quantisation."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tfseg.errors import InputError, listed, shortened

# Ranges of normalised images that programs agree on, for images from 0 to 255.
RANGES = ((0.0, 255.0), (0.0, 1.0), (-1.0, 1.0))
# How far the smallest and the largest value that a file can store may lie beside such a range, in grey levels: scales
# come from measurements, and 1/128 often stands for 1/127.5.
GREY_LEVELS = 5
# A normalisation does not fit a quantised input if more than half of a channel's values are cut off, or if all of them
# together use less than a tenth of what can be stored.
LEAST_KEPT, LEAST_USED = 0.5, 0.1


@dataclasses.dataclass(frozen=True)
class ImageInput:
    """The input for images.

    Attributes:
      name: its name in the signature.
      size: (height, width); None for a side that the file leaves open.
      batch: number of images that the file takes at once.
      prepare: [1, height, width, 3] float32 RGB, 0 to 255 -> the array that the file takes. It holds the image first;
        if the file takes several, the others are zeros.
    """

    name: str
    size: tuple[int | None, int | None]
    batch: int
    prepare: Callable


def image_input(path, tensors, metadata, normalization) -> ImageInput:
    """Finds out how images go in.

    Args:
      path: the file's path, for messages.
      tensors: {name: Tensor} of the signature's inputs.
      metadata: the file's `formats.tflite_metadata.Metadata`.
      normalization: (mean, std), each one value or one per channel; None uses what the file says.
    Raises:
      InputError: the file takes something else than one image, or nothing says how images are normalised.
    """
    [(name, tensor), *others] = tensors.items() or [("", None)]
    if others or tensor is None or len(tensor.shape) not in (3, 4):
        raise InputError(
            f"{path}: not made by tfseg; as input it has {described(tensors)}, wanted is one [1, height, width, 3]"
        )
    is_first, sides = _layout(path, tensor)
    normalize = _normalization(path, tensor, metadata, normalization)
    batch = (tensor.shape[0] or 1) if len(tensor.shape) == 4 else 1  # interpreters allocate one image if it is open

    def prepare(pixels):
        image = normalize(pixels)
        if is_first:
            image = np.moveaxis(image, -1, 1)
        if len(tensor.shape) == 3:
            return image[0]
        return np.concatenate([image, *[np.zeros_like(image)] * (batch - 1)])

    return ImageInput(name, sides, batch, prepare)


def described(tensors) -> str:
    """Returns names, types and shapes of inputs or outputs, for messages."""
    ends = (f"{shortened(name, 16)} {one.dtype} {shape_text(one.shape)}" for name, one in tensors.items())
    return listed(ends) or "nothing"


def shape_text(shape) -> str:
    """Returns e.g. "[1, ?, ?, 3]"."""
    return f"[{', '.join('?' if side is None else str(side) for side in shape)}]"


def _layout(path, tensor):
    """Returns whether channels come before rows, and (height, width)."""
    *_, before, middle, last = tensor.shape
    is_last, is_first = last == 3, before == 3
    if is_last and is_first:
        raise InputError(
            f"{path}: not made by tfseg; its input {shape_text(tensor.shape)} can be read as an image of 3x{middle} or "
            f"of {middle}x3; export it for a larger image"
        )
    if not is_last and not is_first:
        raise InputError(
            f"{path}: not made by tfseg; its input {shape_text(tensor.shape)} does not have 3 channels, red, green and "
            "blue; wanted is one [1, height, width, 3]"
        )
    return is_first, (middle, last) if is_first else (before, middle)


def _normalization(path, tensor, metadata, given):
    """Returns the function from [1, height, width, 3] float32 pixels to the values of the input."""
    dtype = np.dtype(tensor.dtype)
    if dtype.kind == "f":
        if given is None and not (metadata.mean and metadata.std):
            raise InputError(
                f"{path}: takes {dtype} images and has no NormalizationOptions that say how they are normalised; "
                "give it as --mean=127.5 --std=127.5 (for -1 to 1), or whatever it was trained with"
            )
        return _standardized(*mean_and_std(path, *(given or (metadata.mean, metadata.std)), is_given=bool(given)))
    if dtype.kind not in "iu":
        raise InputError(f"{path}: not made by tfseg; its input is of type {dtype}, wanted are numbers")
    if tensor.scale:
        return _quantized_normalization(path, tensor, metadata, given)
    if given is not None:
        raise InputError(f"--mean and --std do not apply to {path}: it takes {dtype} images as they are")
    if np.iinfo(dtype).max < 255:
        raise InputError(
            f"{path}: takes {dtype} images and has no scale that says what they stand for; export it again"
        )
    return lambda pixels: np.clip(np.rint(pixels), 0, 255).astype(dtype)


def _quantized_normalization(path, tensor, metadata, given):
    limits = np.iinfo(tensor.dtype)
    lowest, highest = (tensor.scale * (stored - tensor.zero_point) for stored in (limits.min, limits.max))
    if given is not None:
        mean, std = mean_and_std(path, *given, is_given=True)
        if not _fits(mean, std, lowest, highest):
            raise InputError(
                f"--mean and --std do not fit {path}: they give {_range(mean, std)}, its scale and zero point can hold "
                f"{lowest:.4g} to {highest:.4g}"
            )
        return _standardized(mean, std)
    if metadata.mean and metadata.std:
        mean, std = mean_and_std(path, metadata.mean, metadata.std)
        if _fits(mean, std, lowest, highest):
            return _standardized(mean, std)
    low, high = _range_of(tensor, lowest, highest)
    if low is None:
        raise InputError(
            f"{path}: takes {tensor.dtype} images whose scale {tensor.scale:.4g} and zero point {tensor.zero_point} "
            f"stand for {lowest:.4g} to {highest:.4g}, not for 0 to 255, 0 to 1 or -1 to 1; give --mean and --std "
            "of its training"
        )
    step = 1.01 * (high - low) / 255
    if abs(lowest - low) <= step and abs(highest - high) <= step:
        # One stored value for each grey level: rounding would map some pairs of levels to the same one.
        return lambda pixels: (np.clip(np.rint(pixels), 0, 255) + limits.min).astype(tensor.dtype)
    return lambda pixels: np.float32(low) + pixels * np.float32((high - low) / 255)


def _range_of(tensor, lowest, highest):
    """Returns that of RANGES for which the scale and zero point of 8 bits stand; (None, None) if it is none."""
    if np.dtype(tensor.dtype).itemsize == 1:
        for low, high in RANGES:
            most = GREY_LEVELS * (high - low) / 255
            if abs(lowest - low) <= most and abs(highest - high) <= most:
                return low, high
    return None, None


def mean_and_std(path, mean, std, is_given=False):
    """Returns mean and std as float32 arrays of 1 or 3 values.

    Args:
      path: the file's path, for messages.
      mean, std: one value or one per channel, for images from 0 to 255.
      is_given: whether a user gave them, who may have meant images from 0 to 1, which is refused.
    Raises:
      InputError: there are more or fewer values, a std is not above 0, or they are for images from 0 to 1.
    """
    mean, std = np.float32(mean), np.float32(std)
    if not (mean.shape in ((1,), (3,)) and std.shape in ((1,), (3,)) and np.isfinite(mean).all() and (std > 0).all()):
        raise InputError(f"{path}: mean {mean} and std {std}; wanted are one number or three each, std above 0")
    if is_given and std.max() < 1:
        raise InputError(
            f"--mean and --std of {path} are for images from 0 to 255; a std of {std.max():.4g} is for 0 to 1; "
            "multiply both by 255"
        )
    return mean, std


def _standardized(mean, std):
    return lambda pixels: (pixels - mean) / std


def _fits(mean, std, lowest, highest):
    """Whether normalised images lie mostly within what can be stored, and use enough of it."""
    low, high = (0 - mean) / std, (255 - mean) / std
    kept = (np.minimum(high, highest) - np.maximum(low, lowest)) / (high - low)
    return kept.min() >= LEAST_KEPT and high.max() - low.min() >= LEAST_USED * (highest - lowest)


def _range(mean, std):
    return f"{((0 - mean) / std).min():.4g} to {((255 - mean) / std).max():.4g}"
