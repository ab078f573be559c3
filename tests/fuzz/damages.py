"""Damages to files: what disks, networks, editors and strangers do to them."""

import dataclasses
import gzip
import io
import os
import re
import stat
import zipfile
from collections.abc import Callable

import numpy as np
from PIL import Image

MOST_BYTES = 64  # that are inserted or removed
LONG_LINE = 1 << 20
# Where headers and trailers of common formats end: PNG, zip, flatbuffers, TFRecord, HDF5.
STARTS = (1, 4, 8, 12, 16, 20, 26, 33, 64, 96)
ENDS = (1, 4, 8, 12, 16, 22, 48)
HUGE = (b"\xff" * 4, b"\xff" * 8, b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x7f", b"\x7f\x00\x00\x00")
NUMBER = re.compile(rb"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?")


@dataclasses.dataclass(frozen=True)
class Damage:
    """One way to damage a file.

    Attributes:
      name: its name in the program's output.
      change: (content, numpy Generator) -> the damaged content.
      can_be_told: whether the file then breaks its own format, so that a reader can tell without a checksum.
      is_whole: whether the file is a whole one, whose own checksums are right.
    """

    name: str
    change: Callable[[bytes, np.random.Generator], bytes]
    can_be_told: bool = False
    is_whole: bool = False


@dataclasses.dataclass(frozen=True)
class Place:
    """What stands under a file's name in place of the file.

    Attributes:
      name: its name in the program's output.
      put: called with the path, which is free, and the content of the file that was there.
      can_be_told, is_whole: see `Damage`; none of these can be read as the file.
    """

    name: str
    put: Callable[[str, bytes], None]
    can_be_told: bool = True
    is_whole: bool = False


def _span(content, random):
    """Returns (start, end) of a few bytes within the content."""
    start = int(random.integers(len(content)))
    return start, min(len(content), start + int(random.integers(1, MOST_BYTES + 1)))


def _flipped(content, random, count):
    damaged = bytearray(content)
    for place in random.integers(len(content) * 8, size=count):
        damaged[place // 8] ^= 1 << (place % 8)
    return bytes(damaged)


def _flip_bit(content, random):
    return _flipped(content, random, 1)


def _flip_bits(content, random):
    return _flipped(content, random, int(random.integers(2, 17)))


def _cut_anywhere(content, random):
    return content[: random.integers(len(content))]


def _cut_at_structure(content, random):
    places = [*STARTS, len(content) // 2, *(len(content) - end for end in ENDS)]
    return content[: max(0, int(random.choice(places)))]


def _insert(content, random):
    start, _ = _span(content, random)
    return content[:start] + random.bytes(int(random.integers(1, MOST_BYTES + 1))) + content[start:]


def _remove(content, random):
    start, end = _span(content, random)
    return content[:start] + content[end:]


def _repeat(content, random):
    start, end = _span(content, random)
    return content[:end] + content[start:]


def _zero(content, random):
    start, end = _span(content, random)
    return content[:start] + bytes(end - start) + content[end:]


def _zero_page(content, random):
    """A page of a disk that was never written."""
    start = int(random.integers(len(content) // 512 + 1)) * 512
    return content[:start] + bytes(len(content[start : start + 512])) + content[start + 512 :]


def _swap_halves(content, random):
    middle = len(content) // 2
    return content[middle:] + content[:middle]


def _empty(content, random):
    return b""


def _random(content, random):
    return random.bytes(max(1, len(content)))


def _zeros(content, random):
    return bytes(len(content))


def _wrong_magic(content, random):
    return random.bytes(min(8, len(content))) + content[8:]


def _append(content, random):
    return content + random.bytes(int(random.integers(1, MOST_BYTES + 1)))


def _declare_huge(content, random):
    """Writes a huge number over four or eight bytes, as a size that a header declares."""
    number = HUGE[random.integers(len(HUGE))]
    start = int(random.integers(min(len(content), 512))) // 2 * 2
    return (content[:start] + number + content[start + len(number) :])[: max(len(content), len(number))]


def _with_number(content, random, change):
    """Replaces one of the numbers in a text, if there is one, by `change(number)`."""
    found = list(NUMBER.finditer(content))
    if not found:
        return content
    number = found[random.integers(len(found))]
    return content[: number.start()] + change(number[0]) + content[number.end() :]


def _digit(content, random):
    digit = str(random.integers(10)).encode()
    return _with_number(content, random, lambda number: number[:-1] + digit)


def _sign(content, random):
    return _with_number(content, random, lambda number: b"-" + number.lstrip(b"-"))


def _huge_number(content, random):
    return _with_number(content, random, lambda _: b"9" * int(random.choice([10, 20, 400, 5000])))


def _not_finite(content, random):
    return _with_number(content, random, lambda _: bytes(random.choice([b"nan", b"inf", b"-inf", b"1e999"])))


def _not_a_number(content, random):
    return _with_number(content, random, lambda _: bytes(random.choice([b"x", b"1.2.3", b"--1", b"0x1"])))


def _byte_order_mark(content, random):
    return b"\xef\xbb\xbf" + content


def _utf_16(content, random):
    return content.decode(errors="replace").encode("utf-16")


def _not_utf_8(content, random):
    start, _ = _span(content, random)
    return content[:start] + b"\xe4\xff" + content[start:]


def _windows_lines(content, random):
    return content.replace(b"\n", b"\r\n")


def _old_mac_lines(content, random):
    return content.replace(b"\n", b"\r")


def _nul(content, random):
    start, _ = _span(content, random)
    return content[:start] + b"\0" + content[start:]


def _lines_changed(content, random, change):
    lines = content.splitlines(keepends=True)
    change(lines, int(random.integers(len(lines))))
    return b"".join(lines)


def _line_removed(content, random):
    return _lines_changed(content, random, lambda lines, index: lines.pop(index))


def _line_repeated(content, random):
    return _lines_changed(content, random, lambda lines, index: lines.insert(index, lines[index]))


def _empty_line(content, random):
    return _lines_changed(content, random, lambda lines, index: lines.insert(index, b"\n"))


def _long_line(content, random):
    return _lines_changed(content, random, lambda lines, index: lines.insert(index, b"9" * LONG_LINE + b"\n"))


def _strangers():
    """Small whole files of many kinds."""
    files = [b"road 1 2 3\n", b"step,loss\n1,0.5\n", b'{"format": 1}\n', gzip.compress(b"tfseg" * 100, mtime=0)]
    pixels = Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3))
    for kind in ("PNG", "JPEG", "GIF", "BMP", "TIFF"):
        buffer = io.BytesIO()
        pixels.save(buffer, kind)
        files.append(buffer.getvalue())
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("a/b.txt"), "tfseg")
    files.append(buffer.getvalue())
    buffer = io.BytesIO()
    np.savez(buffer, kernel=np.ones([2, 3], np.float32))
    return [*files, buffer.getvalue()]


STRANGERS = _strangers()


def _another_kind(content, random):
    return STRANGERS[random.integers(len(STRANGERS))]


def _put_unreadable(path, content):
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0)


BYTES = (
    Damage("one bit", _flip_bit),
    Damage("some bits", _flip_bits),
    Damage("cut anywhere", _cut_anywhere),
    Damage("cut at a border", _cut_at_structure),
    Damage("bytes inserted", _insert),
    Damage("bytes removed", _remove),
    Damage("bytes repeated", _repeat),
    Damage("bytes zeroed", _zero),
    Damage("page zeroed", _zero_page),
    Damage("halves swapped", _swap_halves),
    Damage("empty", _empty, can_be_told=True),
    Damage("random bytes", _random),
    Damage("only zeros", _zeros, can_be_told=True),
    Damage("wrong magic", _wrong_magic),
    Damage("bytes appended", _append),
    Damage("huge size", _declare_huge),
    Damage("another kind of file", _another_kind, is_whole=True),
)
NOT_FINITE = Damage("not finite", _not_finite, can_be_told=True)
NOT_A_NUMBER = Damage("not a number", _not_a_number, can_be_told=True)
TEXT = (
    Damage("digit", _digit),
    Damage("sign", _sign),
    Damage("huge number", _huge_number),
    NOT_FINITE,
    NOT_A_NUMBER,
    Damage("byte order mark", _byte_order_mark, can_be_told=True),
    Damage("UTF-16", _utf_16, can_be_told=True),
    Damage("not UTF-8", _not_utf_8, can_be_told=True),
    Damage("CRLF", _windows_lines, can_be_told=True),
    Damage("CR", _old_mac_lines, can_be_told=True),
    Damage("NUL", _nul, can_be_told=True),
    Damage("line removed", _line_removed),
    Damage("line repeated", _line_repeated),
    Damage("empty line", _empty_line),
    Damage("long line", _long_line),
)
PLACES = (
    Place("missing", lambda path, content: None),
    Place("directory", lambda path, content: os.mkdir(path)),
    Place("FIFO", lambda path, content: os.mkfifo(path)),
    Place("socket", lambda path, content: os.mknod(path, stat.S_IFSOCK | 0o600)),
    Place("dangling link", lambda path, content: os.symlink("nowhere", path)),
    Place("link to itself", lambda path, content: os.symlink(os.path.basename(path), path)),
    Place("unreadable", _put_unreadable, can_be_told=False),
)
