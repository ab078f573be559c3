"""Reads raw image and label files with PIL, once, at conversion. Class ids stay exact, whatever the file's mode.

An image becomes RGB. Its EXIF rotation is applied, also to the label if that has the size of the unrotated image.
Transparency is dropped. Grey, palette and CMYK files are converted. A GIF is accepted only if it has a single frame.
"""

import contextlib
import dataclasses
import io
import os
import warnings

import numpy as np
from PIL import Image, ImageOps

from tfseg.errors import InputError
from tfseg.labels import IGNORE_LABEL

MAX_PIXELS = 100_000_000  # larger images are refused unless a caller allows more
JPEG_QUALITY = 95
EXIF_ORIENTATION = 0x0112
RGB_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
WHOLE_NUMBER_MODES = {"1", "L", "P", "I", "I;16", "I;16B", "I;16L"}
# PIL scales 2 and 4 bit grey to the range 0 to 255 by these factors; class ids are the values before scaling.
GREY_SPREAD = {"L;2": 85, "L;4": 17}
SIXTEEN_BITS = ("16B", "16L", "16N")
MAX_LISTED = 3


@dataclasses.dataclass(frozen=True)
class LabelRule:
    """What the values of a label file mean.

    Attributes:
      num_classes: number of classes, so that class ids are 0 to num_classes - 1; None allows all ids up to 254.
      value_map: {label value: class id}; other values are class ids already. 255 is ignored unless mapped.
      palette: {(red, green, blue): class id} for colour-coded labels, None for labels of ids.
    """

    num_classes: int | None
    value_map: dict[int, int] = dataclasses.field(default_factory=dict)
    palette: dict[tuple[int, int, int], int] | None = None


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
        orientation = _orientation(image)
        jpeg = _plain_jpeg(image, path) if orientation == 1 else None
        return StoredImage(_rgb(image, path), jpeg, orientation, image.size[::-1])


def turned(values, orientation: int) -> np.ndarray:
    """Turns a [height, width] map, as stored, by an EXIF orientation."""
    return np.asarray(_rotated(Image.fromarray(values), orientation))


def encode_jpeg(pixels) -> bytes:
    """Encodes [height, width, 3] uint8 RGB as a JPEG with colours at full resolution."""
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
    return encode_png(np.stack([class_ids, instance_ids // 256, instance_ids % 256], -1).astype(np.uint8))


def read_image(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads an image file to [height, width, 3] uint8 RGB, upright. Raises InputError that names the file."""
    with opened(path, max_pixels) as image:
        return _rgb(image, path)


def read_label(source, rule: LabelRule, max_pixels: int = MAX_PIXELS, name: str | None = None) -> np.ndarray:
    """Reads a label file to [height, width] uint8 class ids, as stored (not rotated).

    Args:
      source: path or binary file.
      rule: what the file's values mean.
      max_pixels: number of pixels above which files are refused.
      name: the file's name in messages; None for the path.
    Raises:
      InputError: the file cannot be used; the message names it.
    """
    path = name or source
    with opened(source, max_pixels, path) as image:
        if image.format in ("JPEG", "MPO"):
            raise InputError(f"{path}: a JPEG blurs class ids; store labels as PNG")
        if rule.palette is not None:
            return _ids_of_colors(_colors(image, path), rule, path)
        return _ids_of_values(_label_values(image, path), rule, path)


def read_values(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads [height, width] int32 integers, 0 to 65535, from an image file of ids. Raises InputError that names it."""
    with opened(path, max_pixels) as image:
        return _in_16_bits(_label_values(image, path), path).astype(np.int32)


@contextlib.contextmanager
def opened(source, max_pixels: int, path=None):
    """Yields the PIL image of a file, header checked; any failure to decode is an InputError that names the file.

    Args:
      source: path or binary file.
      max_pixels: number of pixels above which the file is refused.
      path: the file's name in messages; None for the source.
    """
    path = path or source
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our limit is checked below, before any allocation
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's remarks on odd metadata
            with Image.open(source) as image:
                width, height = image.size
                if width * height > max_pixels:
                    raise InputError(
                        f"{path}: {width}x{height} are {width * height / 1e6:.0f} megapixels; "
                        f"--max_pixels allows {max_pixels / 1e6:g} million"
                    )
                if getattr(image, "n_frames", 1) > 1 and image.format != "MPO":
                    raise InputError(f"{path}: has {image.n_frames} frames; store each in a file of its own")
                yield image
    except (InputError, MemoryError):
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:  # PIL's decoders raise OSError, SyntaxError, ValueError, struct.error and others
        raise InputError(f"{path}: {_decode_failure(path, error)}") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def _decode_failure(path, error):
    if os.path.isfile(path) and os.path.getsize(path) == 0:
        return "is empty (0 bytes)"
    if isinstance(error, Image.UnidentifiedImageError):
        return "is not an image of a known format"
    return f"cannot be decoded ({error})"


def _orientation(image):
    orientation = image.getexif().get(EXIF_ORIENTATION, 1)
    return orientation if orientation in range(2, 9) else 1


def _rotated(image, orientation):
    """Rotates `image` by the EXIF orientation of another image."""
    image.getexif()[EXIF_ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def _rgb(image, path):
    if image.mode not in RGB_MODES:
        raise InputError(
            f"{path}: {image.mode} pixels do not fit 8 bits; convert the image to 8 bits per channel, suitably scaled"
        )
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def _plain_jpeg(image, path):
    """Returns the file's bytes if they are an RGB JPEG that every decoder reads in the same way, else None."""
    if image.format != "JPEG":
        return None
    with open(path, "rb") as file:
        content = file.read()
    # After the start of the last scan, FF D9 can only be the end marker. PIL accepts its absence, TensorFlow does not.
    if content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise InputError(f"{path}: cannot be decoded (the end of the JPEG is missing)")
    return content if image.mode == "RGB" else None


def _label_values(image, path):
    """Returns the [height, width] integers of a label file: grey values or palette indices, never scaled."""
    raw_mode = _raw_mode(image)
    if image.mode in WHOLE_NUMBER_MODES:
        values = np.array(image)
        return values.astype(np.uint8) if values.dtype == bool else values // GREY_SPREAD.get(raw_mode, 1)
    if image.mode not in ("LA", "RGB", "RGBA") or raw_mode.endswith(SIXTEEN_BITS):
        raise InputError(f"{path}: labels must be grey or palette images; this has {image.mode} pixels ({raw_mode})")
    channels = np.array(image)[..., : 1 if image.mode == "LA" else 3]
    if (channels != channels[..., :1]).any():
        raise InputError(f"{path}: a colour-coded label; --palette names a file with one class per line: name r g b")
    return channels[..., 0]


def _colors(image, path):
    """Returns the exact [height, width, 3] uint8 colours of a colour-coded label, not rotated."""
    if image.mode not in RGB_MODES or _raw_mode(image).endswith(SIXTEEN_BITS):
        raise InputError(f"{path}: a colour-coded label needs 8 bits per channel; this has {_raw_mode(image)} pixels")
    return np.array(image.convert("RGB"))


def _raw_mode(image):
    """Returns how the file stores pixels, which PIL's mode does not tell. Call it before the pixels are loaded."""
    arguments = image.tile[0][3] if image.tile else image.mode
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _in_16_bits(values, path):
    if values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path}: label value {values.min() if values.min() < 0 else values.max()} is not a class id")
    return values


def _ids_of_values(values, rule, path):
    counts = np.bincount(_in_16_bits(values, path).ravel())
    present = np.flatnonzero(counts)
    ids = np.array([rule.value_map.get(int(value), int(value)) for value in present])
    largest = (rule.num_classes or IGNORE_LABEL) - 1
    is_bad = (ids > largest) & (ids != IGNORE_LABEL)
    if is_bad.any():
        listed = [f"{value} ({counts[value]} pixels)" for value in present[is_bad][:MAX_LISTED]]
        more = f" and {is_bad.sum() - MAX_LISTED} more" if is_bad.sum() > MAX_LISTED else ""
        raise InputError(
            f"{path}: label value {', '.join(listed)}{more} is neither a class id 0 to {largest} nor 255 (ignored)"
        )
    table = np.zeros(len(counts), np.uint8)
    table[present] = ids
    return table[values]


def _ids_of_colors(pixels, rule, path):
    codes = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    present, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colors = [(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in present]
    unknown = [f"{color} ({n} pixels)" for color, n in zip(colors, counts, strict=True) if color not in rule.palette]
    if unknown:
        more = f" and {len(unknown) - MAX_LISTED} more" if len(unknown) > MAX_LISTED else ""
        raise InputError(f"{path}: colour {', '.join(unknown[:MAX_LISTED])}{more} is not in the palette")
    return np.array([rule.palette[color] for color in colors], np.uint8)[inverse].reshape(codes.shape)
