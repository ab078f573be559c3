"""Opens image files that strangers wrote: regular files of a few formats, and none larger than agreed.

PIL knows forty formats more, some of which start other programs; none of them is ever tried.
"""

import contextlib
import os
import struct
import warnings

import numpy as np
from PIL import Image

from tfseg.errors import InputError, listed, shortened
from tfseg.formats import png_chunks, signatures, tiff_pages
from tfseg.system.files import open_regular

FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "GIF", "PPM")
# Endings, in small letters, of the names of files in these formats.
ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm"}
MAX_PIXELS = 100_000_000  # larger images are refused unless a caller allows more
MAX_SIDE = 65_500  # of a JPEG, in which images are stored in records
EXIF_ORIENTATION = 0x0112
RGB_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "HSV", "LAB"}
SIXTEEN_BITS = ("16B", "16L", "16N")
# PIL keeps the high byte of colours of 16 bits. {how the file stores them: the raw mode that gives the low byte}
LOW_BYTES = {
    f"{bands};16{order}": f"{bands};16{other}"
    for bands in ("RGB", "RGBA", "RGBX")
    for order, other in (("B", "L"), ("L", "B"), ("N", "B"))
}
# Of these, PIL gives the bytes themselves: grey, high and low, then alpha, high and low.
AS_BYTES = {"LA;16B": "RGBA"}
# What to do with files that are no pictures, by the names that `signatures` gives them.
ADVICE = {
    "AppleDouble": "macOS keeps it beside a file; leave it out",
    "Git LFS pointer": "fetch the file itself with git lfs pull",
    "HTML": "a web page, as of a download that failed; download the picture again",
    "ZIP": "unpack it",
    "gzip": "unpack it",
    "MP4": "store single frames as PNG",
    "QuickTime": "store single frames as PNG",
}
MAX_REASON = 100


@contextlib.contextmanager
def opened(source, max_pixels: int, path=None, formats=FORMATS, header_only=False):
    """Yields the PIL image of a file, header checked; any failure to decode is an InputError that names the file.

    Of a TIFF with overviews (reduced copies in further pages) it is the picture at full size.

    Args:
      source: path of a regular file, or a binary file.
      max_pixels: number of pixels above which the file is refused.
      path: the file's name in messages; None for the source.
      formats: PIL's names of the formats that are tried.
      header_only: whether no pixels are wanted; then the checksums of a PNG are not compared.
    """
    path = path or source
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None  # our limit is checked below, before any allocation
    try:
        with warnings.catch_warnings(), memory_named(path), binary_file(source) as file:
            warnings.simplefilter("ignore")  # PIL's remarks on odd metadata
            with _identified(file, path, formats) as image:
                _check_size(image.size, max_pixels, path)
                if image.format == "PNG" and not header_only:
                    png_chunks.check(file, path)
                # The second picture in an MPO is for 3D screens.
                if image.format not in ("MPO", "TIFF") and getattr(image, "n_frames", 1) > 1:
                    raise InputError(f"{path}: has {image.n_frames} frames; store each in a file of its own")
                yield image
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno:
            raise InputError(f"{path}: cannot be read ({error.strerror})") from None
        # PIL's decoders raise OSError without a number, SyntaxError, ValueError, struct.error and others.
        raise InputError(f"{path}: cannot be decoded ({shortened(error, MAX_REASON)})") from error
    finally:
        Image.MAX_IMAGE_PIXELS = limit


@contextlib.contextmanager
def memory_named(path):
    """Turns a MemoryError into an InputError that names the file that was being worked on."""
    try:
        yield
    except MemoryError:
        raise InputError(f"{path}: needs more memory than there is; shrink the picture, or leave it out") from None


def binary_file(source):
    """Opens a path for reading; a binary file is returned as it is, in a context that leaves it open."""
    return open_regular(source) if isinstance(source, str | os.PathLike) else contextlib.nullcontext(source)


def raw_mode(image) -> str:
    """Returns how the file stores pixels, which PIL's mode does not tell. Call it before the pixels are loaded."""
    arguments = image.tile[0][3] if image.tile else image.mode
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def largest_grey(image) -> int:
    """Returns the value that is white in a grey file, e.g. 1 for 1 bit; PIL scales such values to 0 to 255 or 65535.

    It is 255 for colours, and where PIL does not scale. Call it before the pixels are loaded.
    """
    if image.format == "PPM" and image.mode in ("L", "I"):
        arguments = image.tile[0][3]
        return arguments[1] if isinstance(arguments, tuple) and len(arguments) > 1 else 255
    if image.mode == "1":
        return 1
    bits = raw_mode(image).partition(";")[2][:1]  # "L;4" of a PNG, "L;2I" and others of a TIFF
    return 2 ** int(bits) - 1 if image.mode == "L" and bits in ("2", "4") else 255


def stored_size(image) -> tuple[int, int]:
    """Returns (height, width) as stored. Call it before the pixels are loaded, when PIL turns a TIFF."""
    if image.format == "TIFF":
        return int(image.tag_v2[257]), int(image.tag_v2[256])  # PIL may give the size after turning
    return image.size[::-1]


def orientation_of(image) -> int:
    """Returns the EXIF orientation, 1 to 8; 1 is upright. Call it before the pixels are loaded.

    It loads the pixels of a PNG in which something is written behind them.
    """
    is_known = image.format != "PNG" or "exif" in image.info or png_chunks.has_chunks_behind_pixels(image.fp)
    # PIL's own method for PNG would always load the pixels, in case that the orientation is behind them.
    exif = image.getexif() if is_known else Image.Image.getexif(image)
    orientation = exif.get(EXIF_ORIENTATION, 1)
    return orientation if orientation in range(2, 9) else 1


def is_deep(image) -> bool:
    """Whether the file has more than 8 bits per channel, of which PIL drops some. Call it before pixels are loaded."""
    if image.format == "TIFF":
        return max(image.tag_v2.get(258, (1,))) > 8  # the tag BitsPerSample
    if image.format == "PPM" and isinstance(image.tile[0][3], tuple):
        return image.tile[0][3][1] > 255
    return raw_mode(image).endswith(SIXTEEN_BITS)


def deep_range(source, path) -> str:
    """Returns ", values 16 to 4080" for a file of colours with 16 bits per channel; "" if they cannot be read."""
    with contextlib.suppress(OSError, ValueError, SyntaxError, KeyError):
        high, low = _high_and_low_bytes(source, path)
        values = 256 * high.astype(np.int32) + low
        return f", values {values.min()} to {values.max()}"
    return ""


def _high_and_low_bytes(source, path):
    """Decodes a file that was opened before; PIL gives one byte of each value at a time."""
    with binary_file(source) as file, _identified(file, path, FORMATS) as image:
        raw, (decoder, _, offset, _) = raw_mode(image), image.tile[0]
        if decoder == "ppm":
            file.seek(offset)
            values = np.frombuffer(file.read(), np.uint8)
            return values[::2], values[1::2]
    if raw in AS_BYTES:
        values = _decoded_as(source, path, AS_BYTES[raw])
        return values[..., 0], values[..., 1]
    return _decoded_as(source, path, raw)[..., :3], _decoded_as(source, path, LOW_BYTES[raw])[..., :3]


def _decoded_as(source, path, raw):
    with binary_file(source) as file, _identified(file, path, FORMATS) as image:
        image.tile = [(*tile[:3], (raw, *tile[3][1:]) if isinstance(tile[3], tuple) else raw) for tile in image.tile]
        return np.array(image)


@contextlib.contextmanager
def _identified(file, path, formats):
    """Yields the PIL image of the right page of a binary file. Raises InputError for a file of another format."""
    start = file.read(signatures.NUM_BYTES)
    file.seek(0)
    if not start:
        raise InputError(f"{path}: is empty (0 bytes)")
    found = signatures.format_of(start)
    pages = tiff_pages.read_pages(file) if found == "TIFF" and "TIFF" in formats else []
    page = tiff_pages.main_page(pages, path) if pages else 0
    try:
        image = Image.open(file, formats=formats)
        if page:
            image.seek(page)
    except (Image.UnidentifiedImageError, SyntaxError) as error:
        raise InputError(f"{path}: {_unreadable(found, pages and pages[page], formats)}") from error
    with image:
        if pages and pages[page].is_misread:
            raise InputError(f"{path}: {_unreadable(found, pages[page], formats)}")
        if image.format == "BMP":
            _check_bmp(image, start, path)
        yield image


def _unreadable(found, page, formats):
    if page:
        return f"{page.bands}; a TIFF can be read with 1 band (grey) or 3 (RGB) of uint8: convert it, suitably scaled"
    if found in formats:
        return f"cannot be decoded (a {found} file whose header is damaged or of a rare kind)"
    if found:
        return f"is not an image of a known format but {found}; {ADVICE.get(found, 'convert it to PNG')}"
    return f"is not an image of a known format ({listed(formats)})"


def _check_bmp(image, start, path):
    """Refuses what PIL misreads: grey palettes in BMPs whose bits per pixel are more than their colours need."""
    (bits,) = struct.unpack_from("<H", start, 24 if start[14:18] == struct.pack("<I", 12) else 28)
    if {"1": 1, "L": 8}.get(raw_mode(image), bits) != bits:
        raise InputError(f"{path}: a BMP of {bits} bits per pixel with a grey palette cannot be read; save it as PNG")


def _check_size(size, max_pixels, path):
    width, height = size
    if width * height > max_pixels:
        raise InputError(
            f"{path}: {width}x{height} are {width * height / 1e6:.0f} megapixels; "
            f"--max_pixels allows {max_pixels / 1e6:g} million"
        )
    if max(size) > MAX_SIDE:
        raise InputError(f"{path}: {width}x{height}, but a side has at most {MAX_SIDE} pixels; cut or shrink it")
