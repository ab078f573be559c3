"""Compares the checksums of a PNG file, which PIL leaves out once it has all the pixels that it wants."""

import zlib

from tfseg.errors import InputError

SIGNATURE = b"\x89PNG\r\n\x1a\n"
END = b"IEND"


def check(file, path):
    """Raises InputError if a chunk that pixels depend on is damaged or the end is missing.

    Chunks that a reader may pass over (their names begin with a small letter) are not compared.

    Args:
      file: binary file with a PNG; it is read from its start, and left where it was.
      path: the file's name in messages.
    """
    place = file.tell()
    try:
        file.seek(len(SIGNATURE))
        while True:
            head = file.read(8)
            kind, length = head[4:], int.from_bytes(head[:4], "big")
            content, checksum = file.read(length), file.read(4)
            if len(head) < 8 or len(content) < length or len(checksum) < 4:
                raise InputError(f"{path}: cannot be decoded (the end of the PNG is missing); get it again")
            is_needed = not kind[0] & 0x20
            if is_needed and zlib.crc32(content, zlib.crc32(kind)) != int.from_bytes(checksum, "big"):
                raise InputError(f"{path}: damaged (a checksum in the PNG is wrong); get it again")
            if kind == END:
                return
    finally:
        file.seek(place)
