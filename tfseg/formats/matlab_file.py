"""Reads a map of whole numbers from a MATLAB file of version 5 to 7.2 (.mat).

A file is a header of 128 bytes and elements, one for a variable. An element is a tag, (kind, number of bytes), and its
content; that of a variable holds elements in turn: flags, dimensions, name, values. A variable may be compressed. Only
what a map needs is read here: the reader of SciPy crashes on some damaged files.
"""

import struct
import zlib

import numpy as np

from tfseg.errors import InputError, listed
from tfseg.formats.image_file import MAX_PIXELS
from tfseg.system.files import failure, open_regular

HEADER_BYTES, TAG_BYTES = 128, 8
LARGEST_NUMBER = 8  # bytes
OVERHEAD = 4096  # bytes that flags, dimensions and name need at most
MATRIX, COMPRESSED = 14, 15
NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
NUMERIC_CLASSES = range(6, 16)  # of MATLAB: double, single, and integers
IS_COMPLEX = 0x0800


class _Damage(ValueError):
    pass


def read_map(path, variable: str, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads a [height, width] int64 map from a variable of a MATLAB file.

    Args:
      path: the file's path.
      variable: the variable's name.
      max_pixels: number of pixels above which the map is refused, before it is read.
    Raises:
      InputError: there is no such file or variable, it cannot be read, or it is not a map of whole numbers of 0 or
        more; the message names the file.
    """
    most_bytes = LARGEST_NUMBER * max_pixels + OVERHEAD
    try:
        with open_regular(path) as file:
            content = file.read(most_bytes + HEADER_BYTES)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({failure(error)})") from None
    try:
        values = _map_in(content, variable, max_pixels, most_bytes)
    except (_Damage, struct.error, zlib.error) as error:
        raise InputError(f"{path}: no MATLAB file with a map {variable} ({error})") from None
    if not (np.isfinite(values) & (values >= 0) & (values == np.floor(values)) & (values < 2**53)).all():
        raise InputError(f"{path}: {variable} is not a map of whole numbers of 0 or more")
    return values.astype(np.int64)


def _map_in(content, variable, max_pixels, most_bytes):
    order = {b"IM": "<", b"MI": ">"}.get(content[HEADER_BYTES - 2 : HEADER_BYTES])
    if order is None:
        raise _Damage("its header is not that of versions 5 to 7.2")
    names, place = [], HEADER_BYTES
    while place < len(content):
        kind, inside, place = _element(content, place, order)
        if kind == COMPRESSED:
            unpacker = zlib.decompressobj()
            unpacked = unpacker.decompress(inside, most_bytes)
            if not unpacker.eof:
                raise _Damage(f"a variable is cut short or has more than {max_pixels} pixels")
            kind, inside, _ = _element(unpacked, 0, order)
        if kind == MATRIX:
            flags, sizes, name, place_of_values = _description(inside, order)
            if name == variable:
                return _values(inside, place_of_values, flags, sizes, order, max_pixels)
            names.append(name)
    raise _Damage(f"its variables are {listed(names) or 'none'}")


def _element(content, place, order):
    """Returns (kind, content, place of the next element) of the element at a place."""
    kind, length = struct.unpack_from(f"{order}II", content, place)
    if kind >> 16:  # small: up to 4 bytes of content are in the tag
        kind, length, begin, after = kind & 0xFFFF, kind >> 16, place + 4, place + TAG_BYTES
        if length > 4:
            raise _Damage("an element is longer than its tag")
    else:
        begin = place + TAG_BYTES
        after = begin + length + (-length % 8 if kind not in (MATRIX, COMPRESSED) else 0)
    if begin + length > len(content):
        raise _Damage("cut short")
    return kind, content[begin : begin + length], after


def _description(content, order):
    """Returns (flags, sizes, name, place of the values) of a variable."""
    _, flags, place = _element(content, 0, order)
    _, sizes, place = _element(content, place, order)
    _, name, place = _element(content, place, order)
    if len(sizes) % 4 or len(sizes) > OVERHEAD // 2:
        raise _Damage("the sizes of a variable are not numbers")
    [flags] = struct.unpack_from(f"{order}I", flags)
    return flags, struct.unpack(f"{order}{len(sizes) // 4}i", sizes), name.decode("latin-1"), place


def _values(content, place, flags, sizes, order, max_pixels):
    if flags & 0xFF not in NUMERIC_CLASSES or flags & IS_COMPLEX:
        raise _Damage("it does not hold real numbers")
    if len(sizes) != 2 or min(sizes) < 1 or sizes[0] * sizes[1] > max_pixels:
        raise _Damage(f"its size is {'x'.join(map(str, sizes[:4]))}; a map has two sides and up to {max_pixels} pixels")
    kind, inside, _ = _element(content, place, order)
    if kind not in NUMBERS:
        raise _Damage("it does not hold numbers")
    dtype = np.dtype(NUMBERS[kind]).newbyteorder(order)
    if len(inside) != sizes[0] * sizes[1] * dtype.itemsize:
        raise _Damage("its size is not that of its values")
    return np.frombuffer(inside, dtype).reshape(sizes, order="F")
