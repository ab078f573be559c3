"""Files with their checksum beside them, in a file that `sha256sum --check` reads."""

import hashlib
import os
import re
from pathlib import Path

from tfseg.errors import InputError
from tfseg.system.files import failure, file_sha256, open_regular, write_atomically

LINE = r"([0-9a-fA-F]{64})(?:[ \t]+\S.*)?"
MAX_BYTES = 1 << 16


def write_with_sha256(path, data: bytes):
    """Writes a file, and its checksum into `<path>.sha256`.

    At every moment the checksum beside the file is that of its content, whenever this process is killed: while the file
    is exchanged, `<path>.sha256` has a line for the new content and one for the content before.

    Raises:
      RunError: one of the files cannot be written.
    """
    beside, new = _beside(path), hashlib.sha256(data).hexdigest()
    try:
        before = [one for one in _read(beside) if one != new]
    except (OSError, InputError):
        before = []
    _write(beside, [new, *before], path)
    write_atomically(path, data)
    _write(beside, [new], path)


def check_sha256_beside(path):
    """Compares a file with the checksum beside it.

    Raises:
      InputError: there is no such file, or its checksum differs, is missing, or is not one.
    """
    beside = _beside(path)
    try:
        expected = _read(beside)
    except FileNotFoundError:
        raise InputError(f"{path}: its checksum {beside.name} is missing beside it") from None
    except OSError as error:
        raise InputError(f"{beside}: cannot be read ({failure(error)})") from None
    try:
        actual = file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({failure(error)})") from None
    if actual not in expected:
        raise InputError(f"{path}: sha256 is {actual}, {beside.name} says {expected[0]}: another or a damaged file")


def _beside(path):
    return Path(f"{path}.sha256")


def _write(beside, sums, path):
    write_atomically(beside, b"".join(b"%s  %s\n" % (one.encode(), os.fsencode(Path(path).name)) for one in sums))


def _read(beside):
    """Returns the checksums in the file, in lower case. Raises OSError, or InputError if it holds anything else."""
    with open_regular(beside) as file:
        lines = file.read(MAX_BYTES).decode(errors="replace").splitlines()
    found = [re.fullmatch(LINE, line.strip()) for line in lines if line.strip()]
    if not found or None in found:
        raise InputError(f"{beside}: not a checksum (64 hex digits and a name); copy it again with the file beside it")
    return [match[1].lower() for match in found]
