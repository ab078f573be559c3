"""Reads label files with PIL. Class ids stay exact, whatever the file's mode, and nothing in a file is guessed.

Lossy files, and files with transparent pixels, are refused. A label is turned upright if it has an EXIF orientation.
"""

import dataclasses

import numpy as np
from PIL import Image, ImageOps

from tfseg.errors import InputError, listed
from tfseg.formats.image_file import (
    EXIF_ORIENTATION,
    MAX_PIXELS,
    RGB_MODES,
    is_deep,
    largest_grey,
    opened,
    orientation_of,
    raw_mode,
)
from tfseg.labels import IGNORE_LABEL

WHOLE_NUMBER_MODES = {"1", "L", "P", "I", "I;16", "I;16B", "I;16L"}
COLOR_MODES = {"LA", "RGB", "RGBA"}
SAMPLES = 277  # the tag SamplesPerPixel
# Values of the tag Compression: none, CCITT, LZW, deflate, PackBits, LZMA, Zstandard.
COMPRESSION, LOSSLESS_TIFF = 259, {1, 2, 3, 4, 5, 8, 32771, 32773, 32946, 34925, 50000}


@dataclasses.dataclass(frozen=True)
class LabelRule:
    """What the values of a label file mean.

    Attributes:
      num_classes: number of classes, so that class ids are 0 to num_classes - 1; None allows all ids up to 254.
      value_map: {label value: class id}; other values are class ids already. 255 is ignored unless mapped.
      palette: {(red, green, blue): class id} for colour-coded labels, None for labels of ids.
      refuses_two_meanings: whether a label is refused that has a value which is not in the map, but to which another
        value is mapped: whether the two are one class only the user of the map can say.
    """

    num_classes: int | None
    value_map: dict[int, int] = dataclasses.field(default_factory=dict)
    palette: dict[tuple[int, int, int], int] | None = None
    refuses_two_meanings: bool = False


@dataclasses.dataclass(frozen=True)
class StoredValues:
    """How a label file stores its values, which tells only in comparison with other files what they stand for.

    Attributes:
      name: the file.
      colors: {value in the file: (red, green, blue) that viewers show for it}, of grey values up to 255.
      palette: (red, green, blue) of all values, if the file has a palette; None if it is grey.
      largest_grey: the value that is white: 1, 3 or 15 for 1, 2 or 4 bits, otherwise 255.
    """

    name: str
    colors: dict[int, tuple[int, int, int]]
    palette: tuple[tuple[int, int, int], ...] | None = None
    largest_grey: int = 255

    @property
    def facts(self) -> list[tuple]:
        """What the file tells, one for each value; files that tell the same have equal facts."""
        kind = self.largest_grey if self.palette is None else "palette"
        return [(kind, value, color) for value, color in self.colors.items()]


@dataclasses.dataclass(frozen=True)
class StoredLabel:
    """A label file, decoded.

    Attributes:
      class_ids: [height, width] uint8, turned upright as the file's own EXIF orientation says.
      orientation: that orientation, 1 to 8; 1 is none.
      values: how the ids are stored; None if they were found by their colours.
    """

    class_ids: np.ndarray
    orientation: int
    values: StoredValues | None


def read_label(source, rule: LabelRule, max_pixels: int = MAX_PIXELS, name: str | None = None) -> np.ndarray:
    """Reads a label file to [height, width] uint8 class ids; arguments and errors are those of `read_stored_label`."""
    return read_stored_label(source, rule, max_pixels, name).class_ids


def read_stored_label(source, rule: LabelRule, max_pixels: int = MAX_PIXELS, name: str | None = None) -> StoredLabel:
    """Reads a label file and how it is stored.

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
        _check_lossless(image, path)
        if rule.palette is not None:
            colors, orientation = _colors(image, path)
            return StoredLabel(_ids_of_colors(colors, rule, path), orientation, None)
        values, stored, orientation = _label_values(image, path)
        return StoredLabel(_ids_of_values(values, rule, path), orientation, stored)


def read_values(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads [height, width] int32 integers, 0 to 65535, from an image file of ids. Raises InputError that names it."""
    with opened(path, max_pixels) as image:
        _check_lossless(image, path)
        return _in_16_bits(_label_values(image, path)[0], path).astype(np.int32)


def read_colors(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads the exact [height, width, 3] uint8 RGB colours of a label file. Raises InputError that names it."""
    with opened(path, max_pixels) as image:
        _check_lossless(image, path)
        return _colors(image, path)[0]


def turned(values, orientation: int) -> np.ndarray:
    """Turns a [height, width] map, as stored, upright by an EXIF orientation."""
    if orientation == 1:
        return values
    image = Image.fromarray(values)
    image.getexif()[EXIF_ORIENTATION] = orientation
    return np.asarray(ImageOps.exif_transpose(image))


def _check_lossless(image, path):
    form = None
    if image.format in ("JPEG", "MPO"):
        form = "a JPEG"
    elif image.format == "WEBP" and _is_lossy_webp(image.fp):
        form = "lossy WebP"
    elif image.format == "TIFF" and image.tag_v2.get(COMPRESSION, 1) not in LOSSLESS_TIFF:
        form = f"a TIFF with {image.info.get('compression', 'lossy')} compression"
    if form:
        raise InputError(f"{path}: {form} blurs class ids; store labels as PNG")


def _is_lossy_webp(file):
    """Whether one of a WebP's chunks holds lossy pixels; a chunk has 4 letters, its length, and its content."""
    file.seek(0)
    content, place = file.read(), 12
    while place + 8 <= len(content):
        if content[place : place + 4] == b"VP8 ":
            return True
        length = int.from_bytes(content[place + 4 : place + 8], "little")
        place += 8 + length + length % 2
    return False


def _label_values(image, path):
    """Reads the integers of a label file, grey values or palette indices, never scaled.

    Returns:
      ([height, width] integers, upright; their StoredValues; EXIF orientation by which they were turned).
    """
    raw, white = raw_mode(image), largest_grey(image)
    is_readable = image.mode in WHOLE_NUMBER_MODES or (image.mode in COLOR_MODES and not is_deep(image))
    if not is_readable or _has_more_bands(image):
        more = f", {image.tag_v2[SAMPLES]} bands" if _has_more_bands(image) else ""
        raise InputError(f"{path}: labels must be grey or palette images; this has {image.mode} pixels ({raw}{more})")
    image, orientation = _upright(image)
    pixels = np.array(image)
    values = _unscaled(pixels, white) if image.mode in WHOLE_NUMBER_MODES else pixels[..., 0]
    _check_opaque(_alpha(image, pixels, values), path)
    if image.mode in ("RGB", "RGBA") and (pixels[..., :3] != pixels[..., :1]).any():
        raise InputError(f"{path}: a colour-coded label; --palette names a file with one class per line: name r g b")
    return values, _stored_values(image, values, white, path), orientation


def _colors(image, path):
    """Returns (the exact [height, width, 3] uint8 colours of a label, upright; EXIF orientation that was applied)."""
    if image.mode not in RGB_MODES or is_deep(image) or _has_more_bands(image):
        raise InputError(f"{path}: a colour-coded label needs 8 bits per channel; this has {raw_mode(image)} pixels")
    white = largest_grey(image)
    image, orientation = _upright(image)
    pixels = np.array(image)
    values = _unscaled(pixels, white) if pixels.ndim == 2 else None
    _check_opaque(_alpha(image, pixels, values), path)
    return np.array(image.convert("RGB")), orientation


def _has_more_bands(image):
    """Whether a TIFF has a band that PIL drops, which may say which pixels are transparent."""
    return image.format == "TIFF" and image.tag_v2.get(SAMPLES, 1) > len(image.getbands())


def _upright(image):
    orientation = orientation_of(image)
    return (image if orientation == 1 else ImageOps.exif_transpose(image)), orientation


def _unscaled(pixels, white):
    """Undoes PIL's scaling of grey values, of which `white` is the largest."""
    if pixels.dtype == bool:
        return pixels.astype(np.uint8)
    scaled = 255 if white <= 255 else 65535
    if white == scaled:
        return pixels
    return ((pixels.astype(np.int64) * white + scaled // 2) // scaled).astype(np.uint8 if white < 255 else np.int32)


def _alpha(image, pixels, values):
    """Returns the [height, width] opacity, 0 to 255; None if the file knows no transparency."""
    if image.mode in ("LA", "PA", "RGBA"):
        return pixels[..., -1]
    clear = image.info.get("transparency")
    if isinstance(clear, bytes):  # of each entry of the palette; the rest is opaque
        return np.frombuffer(clear[:256].ljust(256, b"\xff"), np.uint8)[values]
    if clear is None:
        return None
    is_clear = (pixels == np.array(clear)).all(-1) if pixels.ndim == 3 else values == clear
    return np.where(is_clear, 0, 255)


def _check_opaque(alpha, path):
    if alpha is None:
        return
    least, most = int(alpha.min()), int(alpha.max())
    if least < most or most == 0:
        found = f"alpha is not constant, {least} to {most}" if least < most else "alpha is 0 everywhere"
        raise InputError(
            f"{path}: {found}: it has transparent pixels, whose class is not clear; save the mask without transparency"
        )


def _stored_values(image, values, white, path):
    present = np.flatnonzero(np.bincount(np.clip(values, 0, 256).ravel(), minlength=257)[:256]).tolist()
    if image.mode == "P":
        entries = image.getpalette("RGB")
        palette = tuple(zip(entries[::3], entries[1::3], entries[2::3], strict=True))
        return StoredValues(str(path), {value: palette[value] for value in present if value < len(palette)}, palette)
    shown = {value: value if white >= 255 else round(value * 255 / white) for value in present}
    return StoredValues(str(path), {value: (grey,) * 3 for value, grey in shown.items()}, largest_grey=min(white, 255))


def _in_16_bits(values, path):
    if values.min() < 0 or values.max() > 65535:
        raise InputError(f"{path}: label value {values.min() if values.min() < 0 else values.max()} is not a class id")
    return values


def _ids_of_values(values, rule, path):
    counts = np.bincount(_in_16_bits(values, path).ravel())
    present = np.flatnonzero(counts)
    if rule.refuses_two_meanings:
        _check_one_meaning(present, rule.value_map, path)
    ids = np.array([rule.value_map.get(int(value), int(value)) for value in present])
    largest = (rule.num_classes or IGNORE_LABEL) - 1
    is_bad = (ids > largest) & (ids != IGNORE_LABEL)
    if is_bad.any():
        found = [f"{value} ({counts[value]} pixels)" for value in present[is_bad]]
        most = "" if rule.num_classes else f"; at most {IGNORE_LABEL} classes are possible"
        raise InputError(
            f"{path}: label value {listed(found)} is neither a class id 0 to {largest} nor 255 (ignored){most}"
        )
    table = np.zeros(len(counts), np.uint8)
    table[present] = ids
    return table[values]


def _check_one_meaning(present, value_map, path):
    targets = set(value_map.values()) - set(value_map) - {IGNORE_LABEL}
    found = sorted(targets.intersection(present.tolist()))
    if found:
        value = found[0]
        source = next(key for key, target in value_map.items() if target == value)
        raise InputError(
            f"{path}: {value} is not in --map, and {source} becomes {value}; give {value}:{IGNORE_LABEL} or "
            f"{value}:{value}"
        )


def _ids_of_colors(pixels, rule, path):
    codes = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    present, inverse, counts = np.unique(codes, return_inverse=True, return_counts=True)
    colors = [(int(code) >> 16, int(code) >> 8 & 255, int(code) & 255) for code in present]
    unknown = [f"{color} ({n} pixels)" for color, n in zip(colors, counts, strict=True) if color not in rule.palette]
    if unknown:
        raise InputError(f"{path}: colour {listed(unknown)} is not in the palette")
    return np.array([rule.palette[color] for color in colors], np.uint8)[inverse].reshape(codes.shape)
