"""Runs of pixels as annotation tools encode them."""

import numpy as np

from tfseg.errors import InputError
from tfseg.formats.annotations.photograph import RunLengths

FIRST_CHARACTER, VALUE_BITS, SIGN_BIT, MORE_BIT = 48, 5, 0x10, 0x20  # of COCO's text
MAX_RUN = 1 << 40


def from_coco(segmentation: dict, place: str) -> RunLengths:
    """Reads COCO's object {"size": [height, width], "counts": text or list of numbers}; its runs go down columns.

    Args:
      segmentation: the object.
      place: file and object, for messages.
    Raises:
      InputError: it has another form, or the runs do not fill the size.
    """
    size, counts = segmentation.get("size"), segmentation.get("counts")
    is_size = isinstance(size, list) and [type(side) for side in size] == [int, int] and min(size) > 0
    if not is_size:
        raise InputError(f"{place}: an RLE whose size is not [height, width]; export the annotations again")
    if isinstance(counts, str):
        counts = _from_text(counts, place)
    return run_lengths(counts, tuple(size), place)


def run_lengths(counts, size, place: str, is_row_major=False, corner=None) -> RunLengths:
    """Returns RunLengths of numbers in a file; arguments are its attributes, `place` is for messages.

    Raises:
      InputError: the numbers are not lengths of runs that fill the size.
    """
    try:
        values = np.array(counts)
    except (ValueError, OverflowError):  # lists of different lengths
        values = np.array("")
    values = values.astype(np.int64) if values.size == 0 and values.ndim == 1 else values
    is_whole = values.ndim == 1 and values.dtype.kind in "iu"
    if not is_whole or (values.size and (values.min() < 0 or values.max() > MAX_RUN)):
        raise InputError(f"{place}: an RLE whose counts are not whole numbers from 0 on; export the annotations again")
    height, width = size
    total = sum(map(int, values)) if values.size else 0
    if total != height * width:
        raise InputError(
            f"{place}: an RLE of {total} pixels for {width}x{height} (width x height), which are {height * width}; "
            "export the annotations again, or delete the object"
        )
    return RunLengths(values.astype(np.int64), (height, width), is_row_major, corner)


def of_mask(mask: np.ndarray, corner=None) -> RunLengths:
    """Returns the runs along the rows of a [height, width] bool mask; `corner` is that of RunLengths."""
    pixels = mask.ravel()
    changes = np.flatnonzero(pixels[1:] != pixels[:-1]) + 1
    starts = [0, *([0] if pixels.size and pixels[0] else []), *changes.tolist(), pixels.size]
    return RunLengths(np.diff(np.array(starts, np.int64)), mask.shape, True, corner)


def to_mask(shape: RunLengths) -> np.ndarray:
    """Returns [height, width] bool: whether a pixel of the box is inside."""
    is_inside = np.arange(len(shape.counts)) % 2 == 1
    pixels = np.repeat(is_inside, shape.counts)
    return pixels.reshape(shape.size) if shape.is_row_major else pixels.reshape(shape.size[::-1]).T


def _from_text(text, place):
    """Decodes COCO's text: five bits a character, the lowest first; from the fourth run on, differences.

    A difference is to the run two before. See rleFrString in the COCO API (Lin et al. 2014).
    """
    counts, value, shift = [], 0, 0
    for character in text:
        code = ord(character) - FIRST_CHARACTER
        if not 0 <= code < 64 or shift > 35:
            raise InputError(f"{place}: an RLE whose text is damaged; export the annotations again")
        value |= (code & 0x1F) << shift
        shift += VALUE_BITS
        if code & MORE_BIT:
            continue
        if code & SIGN_BIT:
            value -= 1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value, shift = 0, 0
    if shift:
        raise InputError(f"{place}: an RLE whose text is cut; export the annotations again")
    return counts
