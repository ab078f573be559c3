"""PNG files whose checksums are wrong are refused, wherever the damage sits."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats import png_chunks
from tfseg.formats.images import read_image

PIXELS = np.random.default_rng(0).integers(0, 256, [12, 16, 3], np.uint8)


@pytest.fixture
def png():
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_whole_file_passes_and_is_left_where_it_was(png):
    file = io.BytesIO(png)
    file.seek(3)
    png_chunks.check(file, "a.png")
    assert file.tell() == 3


def test_every_changed_byte_after_the_signature_is_noticed(png):
    for place in range(len(png_chunks.SIGNATURE), len(png)):
        damaged = png[:place] + bytes([png[place] ^ 1]) + png[place + 1 :]
        with pytest.raises(InputError, match=r"a\.png: (damaged|cannot be decoded) .*; get it again"):
            png_chunks.check(io.BytesIO(damaged), "a.png")


def test_every_cut_is_noticed(png):
    for length in range(len(png_chunks.SIGNATURE), len(png)):
        with pytest.raises(InputError, match="a\\.png: "):
            png_chunks.check(io.BytesIO(png[:length]), "a.png")


def test_a_remark_with_a_wrong_checksum_does_not_matter(png):
    """Chunks whose names begin with a small letter have nothing to do with the pixels."""
    remark = struct.pack(">I", 2) + b"teXt" + b"hi" + struct.pack(">I", zlib.crc32(b"another"))
    png_chunks.check(io.BytesIO(png[:33] + remark + png[33:]), "a.png")


def test_an_image_whose_last_checksum_is_wrong_is_refused(png, tmp_path):
    end = png.rindex(b"IEND") - 8  # the checksum of the pixels
    (tmp_path / "a.png").write_bytes(png[:end] + b"\0\0\0\0" + png[end + 4 :])
    with pytest.raises(InputError, match=r"a\.png: damaged"):
        read_image(tmp_path / "a.png")
