"""The chunks of a PNG file: their checksums, which PIL leaves out once it has all the pixels that it wants, and order.

A chunk has the length of its content in 4 bytes, 4 letters, the content, and a checksum of 4 bytes. If the first letter
is small, a reader may pass over the chunk (https://www.w3.org/TR/png-3/, Sec. 5).
"""

import contextlib
import zlib

from tfseg.errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS, END = b"IDAT", b"IEND"


def check(file, path):
    """Raises InputError if a chunk that pixels depend on is damaged or the end is missing.

    Args:
      file: binary file with a PNG; it is left where it was.
      path: the file's name in messages.
    """
    with _from_start(file):
        kind = None
        while kind != END:
            kind, length = _head(file)
            content, checksum = file.read(length), file.read(4)
            if len(content) < length or len(checksum) < 4:
                raise InputError(f"{path}: cannot be decoded (the end of the PNG is missing); get it again")
            is_needed = not kind[0] & 0x20
            if is_needed and zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(checksum, "big"):
                raise InputError(f"{path}: damaged (a checksum in the PNG is wrong); get it again")


def has_chunks_behind_pixels(file) -> bool:
    """Whether a PNG, which is left where it was, has a chunk other than the end behind its pixels."""
    with _from_start(file):
        kind, has_pixels = None, False
        while kind != END:
            kind, length = _head(file)
            if not kind:
                return False
            if has_pixels and kind not in (PIXELS, END):
                return True
            has_pixels |= kind == PIXELS
            file.seek(length + 4, 1)
        return False


@contextlib.contextmanager
def _from_start(file):
    place = file.tell()
    file.seek(len(SIGNATURE))
    try:
        yield
    finally:
        file.seek(place)


def _head(file):
    """Reads the next chunk's (letters, length of its content); at the end of the file (b"", 1)."""
    head = file.read(8)
    return (head[4:], int.from_bytes(head[:4], "big")) if len(head) == 8 else (b"", 1)
