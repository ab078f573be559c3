"""Raw image and label files, read with PIL once, at conversion: class ids stay exact, whatever the file's mode.

An image becomes RGB. Its EXIF rotation is carried out, on the label too if that has the size of the unrotated image;
transparency is dropped; grey, palette and CMYK files are converted; of a GIF only a single frame is accepted.
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
# PIL spreads 2 and 4 bit grey over 0 to 255; the class ids are what they were before.
GREY_SPREAD = {"L;2": 85, "L;4": 17}
SIXTEEN_BITS = ("16B", "16L", "16N")
MAX_LISTED = 3


@dataclasses.dataclass(frozen=True)
class LabelRule:
    """What the values of a label file mean.

    Attributes:
      num_classes: class ids are 0 to num_classes - 1; None: whatever is found, up to 254.
      value_map: label value -> class id; other values are class ids already. 255 is ignored unless mapped.
      palette: (red, green, blue) -> class id for colour-coded labels, None for labels of ids.
    """

    num_classes: int | None
    value_map: dict[int, int] = dataclasses.field(default_factory=dict)
    palette: dict[tuple[int, int, int], int] | None = None


@dataclasses.dataclass(frozen=True)
class StoredImage:
    """An image file, decoded.

    Attributes:
      pixels: [height, width, 3] uint8 RGB, upright.
      jpeg: the file's own bytes where a record can hold them as they are; None otherwise.
      orientation: EXIF orientation that has been carried out, 1 to 8; 1 is none.
      stored_size: (height, width) as stored, before that.
    """

    pixels: np.ndarray
    jpeg: bytes | None
    orientation: int
    stored_size: tuple[int, int]


def read_stored_image(path, max_pixels: int = MAX_PIXELS) -> StoredImage:
    """An image file with what is known of how it is stored. Raises InputError naming the file."""
    with opened(path, max_pixels) as image:
        orientation = _orientation(image)
        jpeg = _plain_jpeg(image, path) if orientation == 1 else None
        return StoredImage(_rgb(image, path), jpeg, orientation, image.size[::-1])


def turned(values, orientation: int) -> np.ndarray:
    """A [height, width] map as stored, with an EXIF orientation carried out."""
    return np.asarray(_rotated(Image.fromarray(values), orientation))


def encode_jpeg(pixels) -> bytes:
    """JPEG of [height, width, 3] uint8 RGB, with colours at full resolution."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def encode_png(values) -> bytes:
    """PNG of uint8 [height, width] or [height, width, 3]."""
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def encode_panoptic(class_ids, instance_ids) -> bytes:
    """PNG of (class, instance // 256, instance % 256) from [height, width] ids; those of instances are below 65536."""
    return encode_png(np.stack([class_ids, instance_ids // 256, instance_ids % 256], -1).astype(np.uint8))


def read_image(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """[height, width, 3] uint8 RGB of an image file, upright. Raises InputError naming the file."""
    with opened(path, max_pixels) as image:
        return _rgb(image, path)


def read_label(source, rule: LabelRule, max_pixels: int = MAX_PIXELS, name: str | None = None) -> np.ndarray:
    """[height, width] uint8 class ids of a label file, as stored (not rotated).

    Args:
      source: path or binary file.
      name: what messages call it; None: the path.
    Raises:
      InputError: naming the file.
    """
    path = name or source
    with opened(source, max_pixels, path) as image:
        if image.format in ("JPEG", "MPO"):
            raise InputError(f"{path}: a JPEG blurs class ids; store labels as PNG")
        if rule.palette is not None:
            return _ids_of_colors(_colors(image, path), rule, path)
        return _ids_of_values(_label_values(image, path), rule, path)


def read_values(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """[height, width] int32 whole numbers, 0 to 65535, of a file that is no picture. Raises InputError naming it."""
    with opened(path, max_pixels) as image:
        return _in_16_bits(_label_values(image, path), path).astype(np.int32)


@contextlib.contextmanager
def opened(source, max_pixels: int, path=None):
    """The PIL image of a file, header checked; every way it can fail to decode is an InputError naming the file.

    Args:
      source: path or binary file.
      path: what messages call it; None: the source.
    """
    path = path or source
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # ours is checked below, before anything is allocated
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
                    raise InputError(f"{path}: has {image.n_frames} frames; give each as a file of its own")
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
    """`image` turned as the EXIF orientation of another says."""
    image.getexif()[EXIF_ORIENTATION] = orientation
    return ImageOps.exif_transpose(image)


def _rgb(image, path):
    if image.mode not in RGB_MODES:
        raise InputError(
            f"{path}: {image.mode} pixels do not fit 8 bits; convert the image to 8 bits a channel, scaled as it needs"
        )
    return np.array(ImageOps.exif_transpose(image).convert("RGB"))


def _plain_jpeg(image, path):
    """The file's bytes if they are an RGB JPEG that any decoder reads alike, else None."""
    if image.format != "JPEG":
        return None
    with open(path, "rb") as file:
        content = file.read()
    # After the start of the last scan, FF D9 can only be the end marker; PIL forgives its absence, TensorFlow does not.
    if content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda"):
        raise InputError(f"{path}: cannot be decoded (the end of the JPEG is missing)")
    return content if image.mode == "RGB" else None


def _label_values(image, path):
    """[height, width] whole numbers of a label file: grey values or palette indices, never scaled."""
    raw_mode = _raw_mode(image)
    if image.mode in WHOLE_NUMBER_MODES:
        values = np.array(image)
        return values.astype(np.uint8) if values.dtype == bool else values // GREY_SPREAD.get(raw_mode, 1)
    if image.mode not in ("LA", "RGB", "RGBA") or raw_mode.endswith(SIXTEEN_BITS):
        raise InputError(f"{path}: labels are grey or palette images; this one has {image.mode} pixels ({raw_mode})")
    channels = np.array(image)[..., : 1 if image.mode == "LA" else 3]
    if (channels != channels[..., :1]).any():
        raise InputError(f"{path}: a colour-coded label; --palette names a file with one class a line: name r g b")
    return channels[..., 0]


def _colors(image, path):
    """[height, width, 3] uint8 of a colour-coded label, exact, not rotated."""
    if image.mode not in RGB_MODES or _raw_mode(image).endswith(SIXTEEN_BITS):
        raise InputError(f"{path}: a colour-coded label has 8 bits a channel; this one has {_raw_mode(image)} pixels")
    return np.array(image.convert("RGB"))


def _raw_mode(image):
    """How the file stores pixels, which PIL's mode does not tell; before they are loaded."""
    arguments = image.tile[0][3] if image.tile else image.mode
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _in_16_bits(values, path):
    if values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path}: label value {values.min() if values.min() < 0 else values.max()} is no class id")
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
