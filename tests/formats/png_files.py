"""PNG files that PIL cannot write."""

import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, content):
    """A PNG's chunk: length, kind, content, checksum."""
    return len(content).to_bytes(4, "big") + kind + content + zlib.crc32(kind + content).to_bytes(4, "big")


def png_of(size, bits, color_type, rows, *others, behind=()):
    """A PNG of (width, height), bits, colour type and the bytes of each row; `others` are chunks before the pixels."""
    header = size[0].to_bytes(4, "big") + size[1].to_bytes(4, "big") + bytes([bits, color_type, 0, 0, 0])
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [chunk(b"IHDR", header), *others, chunk(b"IDAT", pixels), *behind, chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(chunks)


def grey_png(values, bits):
    """A PNG of [height, width] uint8 values with 1, 2, 4 or 8 bits each."""
    rows = []
    for row in values:
        ones = np.unpackbits(row[:, np.newaxis], axis=1)[:, 8 - bits :].ravel()
        rows.append(np.packbits(ones).tobytes())
    return png_of(values.shape[::-1], bits, 0, rows)


def deep_png(values):
    """A PNG of [height, width, channels] uint16 values: 1 is grey, 2 grey and alpha, 3 RGB, 4 RGBA."""
    height, width, channels = values.shape
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    return png_of((width, height), 16, color_type, [row.astype(">u2").tobytes() for row in values])
