"""TIFF files that PIL cannot write: any number of bands of any type, planes, pages, and marks of reduced copies."""

import dataclasses
import struct

import numpy as np

SHORT, LONG, ASCII = 3, 4, 2
KINDS = {"u": 1, "i": 2, "f": 3}


@dataclasses.dataclass(frozen=True)
class Page:
    """[height, width, bands] pixels of a page, and its further tags {number: value}."""

    pixels: np.ndarray
    is_planar: bool = False
    photometric: int | None = None
    tags: dict = dataclasses.field(default_factory=dict)


def tiff(pages, order="<"):
    """Returns the bytes of an uncompressed TIFF; `order` is that of the bytes, "<" or ">"."""
    content = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    link = 4  # where the offset of the next page is written
    for page in pages:
        link = _append(content, page, order, link)
    return bytes(content)


def _append(content, page, order, link):
    height, width, bands = page.pixels.shape
    planes = [page.pixels[..., band] for band in range(bands)] if page.is_planar else [page.pixels]
    places, lengths = [], []
    for plane in planes:
        places.append(len(content))
        content += plane.astype(plane.dtype.newbyteorder(order)).tobytes()
        lengths.append(len(content) - places[-1])
    colors = 3 if bands >= 3 else 1
    tags = {
        256: width,
        257: height,
        258: [8 * page.pixels.dtype.itemsize] * bands,
        259: 1,
        262: page.photometric if page.photometric is not None else (2 if colors == 3 else 1),
        273: places,
        277: bands,
        278: height,
        279: lengths,
        284: 2 if page.is_planar else 1,
        339: [KINDS[page.pixels.dtype.kind]] * bands,
    }
    if bands > colors:
        tags[338] = [0] * (bands - colors)
    tags |= page.tags
    if bands == 4 and 338 not in page.tags:
        tags[338] = [2]
    entries = b""
    for number, value in sorted(tags.items()):
        entries += _entry(content, number, value, order)
    content += bytes(len(content) % 2)
    content[link : link + 4] = struct.pack(f"{order}I", len(content))
    content += struct.pack(f"{order}H", len(tags)) + entries + bytes(4)
    return len(content) - 4


def _entry(content, number, value, order):
    if isinstance(value, str):
        kind, count, data = ASCII, len(value) + 1, value.encode() + b"\0"
    else:
        values = value if isinstance(value, list) else [value]
        kind = LONG if number in (254, 273, 279) else SHORT
        count, data = len(values), struct.pack(f"{order}{len(values)}{'I' if kind == LONG else 'H'}", *values)
    if len(data) <= 4:
        return struct.pack(f"{order}HHI", number, kind, count) + data.ljust(4, b"\0")
    place = len(content)
    content += data
    return struct.pack(f"{order}HHII", number, kind, count, place)
