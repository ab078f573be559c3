"""Reads raw image and label files with PIL, once, at conversion, and encodes pictures.

An image becomes RGB. Its EXIF rotation is applied. Transparency is dropped. Grey, palette and CMYK files are converted.
A GIF is accepted only if it has a single frame. How labels are read is in `label_file`.
"""

import dataclasses
import io
import os

import numpy as np
from PIL import Image, ImageOps

from tfseg.errors import InputError
from tfseg.formats.image_file import (
    MAX_PIXELS,
    RGB_MODES,
    binary_file,
    deep_range,
    is_deep,
    opened,
    orientation_of,
    stored_size,
)

JPEG_QUALITY = 95


@dataclasses.dataclass(frozen=True)
class StoredImage:
    """An image file, decoded.

    Attributes:
      pixels: [height, width, 3] uint8 RGB, upright.
      jpeg: the file's own bytes if a record can hold them unchanged; otherwise None.
      orientation: EXIF orientation that has been applied, 1 to 8; 1 is none.
      stored_size: (height, width) as stored, before the orientation was applied.
    """

    pixels: np.ndarray
    jpeg: bytes | None
    orientation: int
    stored_size: tuple[int, int]


def read_stored_image(path, max_pixels: int = MAX_PIXELS) -> StoredImage:
    """Reads an image file and how it is stored. Raises InputError that names the file."""
    with opened(path, max_pixels) as image:
        check_depth(image, path)
        size, orientation = stored_size(image), orientation_of(image)
        jpeg = _plain_jpeg(image, path) if orientation == 1 else None
        return StoredImage(_rgb(image), jpeg, orientation, size)


def read_size_and_orientation(path, max_pixels: int = MAX_PIXELS) -> tuple[tuple[int, int], int]:
    """Reads ((height, width) as stored, EXIF orientation) of an image file from its header.

    Raises:
      InputError: the file cannot be used; the message names it.
    """
    with opened(path, max_pixels, header_only=True) as image:
        return stored_size(image), orientation_of(image)


def read_image(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads an image file to [height, width, 3] uint8 RGB, upright. Raises InputError that names the file."""
    with opened(path, max_pixels) as image:
        check_depth(image, path)
        return _rgb(image)


def as_rgb(image) -> np.ndarray:
    """Returns [height, width, 3] uint8 from an image or its path. Raises InputError that says what to change."""
    if isinstance(image, str | os.PathLike):
        return read_image(image)
    image = np.asarray(image)
    wanted = "a model takes one [height, width, 3] uint8 RGB image"
    if image.ndim == 2 or (image.ndim == 3 and image.shape[-1] == 1):
        raise InputError(f"{wanted}; a grey one of shape {image.shape} has to be repeated: np.repeat(..., 3, axis=-1)")
    if image.ndim == 4:
        raise InputError(f"{wanted}; call it once for each image of a batch of shape {image.shape}")
    if image.ndim != 3 or image.shape[-1] != 3 or image.size == 0:
        raise InputError(f"{wanted}, not shape {image.shape}")
    if image.dtype != np.uint8:
        raise InputError(f"{wanted}, values 0 to 255, not {image.dtype}: convert it, scaled as it needs")
    return image


def check_depth(image, source, path=None):
    """Refuses pixels of more than 8 bits: PIL would keep the high byte, and 12 bits stored in 16 become black.

    Args:
      image: what `opened` yields for `source`, not loaded yet.
      source: path or binary file, which may be read again.
      path: the file's name in messages; None for the source.
    Raises:
      InputError: there are more bits; the message names the file and its values.
    """
    path = path or source
    if image.mode not in RGB_MODES:
        values = np.array(image)
        found = f"{image.mode} pixels do not fit 8 bits, values {values.min():g} to {values.max():g}"
    elif is_deep(image):
        found = f"16 bits per channel{deep_range(source, path)}"
    else:
        return
    raise InputError(f"{path}: {found}; convert the image to 8 bits per channel, scaled as its values need")


def encode_jpeg(pixels) -> bytes:
    """Encodes [height, width, 3] uint8 RGB as a JPEG with colours at full resolution; sides are at most 65500."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def encode_png(values) -> bytes:
    """Encodes uint8 [height, width] or [height, width, 3] as a PNG."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def encode_panoptic(class_ids, instance_ids) -> bytes:
    """Encodes [height, width] ids, instances below 65536, as a PNG of (class, instance // 256, instance % 256)."""
    instance_ids = np.asarray(instance_ids, np.int32)  # 256 is no value of the type of small maps
    return encode_png(np.stack([class_ids, instance_ids // 256, instance_ids % 256], -1).astype(np.uint8))


def _rgb(image):
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def _plain_jpeg(image, path):
    """Returns the file's bytes if they are an RGB JPEG that every decoder reads in the same way, else None."""
    if image.format != "JPEG":
        return None
    with binary_file(path) as file:
        content = file.read()
    # After the start of the last scan, FF D9 can only be the end marker. PIL accepts its absence, TensorFlow does not.
    if content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise InputError(f"{path}: cannot be decoded (the end of the JPEG is missing)")
    return content if image.mode == "RGB" else None
