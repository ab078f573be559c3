"""A server decodes an image file to the pixels of `segment.py` or refuses it, and refuses what `segment.py` refuses."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfseg.errors import InputError
from tfseg.export.serving import image_files
from tfseg.formats.images import read_image

EXIF_ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def decode():
    """decode(bytes) -> pixels as in a served graph; None if they are refused."""
    run = tf.function(
        lambda content: image_files.decoded(content, lambda size: []), input_signature=[tf.TensorSpec([], tf.string)]
    )

    def decoded(content):
        try:
            return run(tf.constant(content)).numpy()
        except tf.errors.InvalidArgumentError:
            return None

    return decoded


def picture(mode="RGB", size=(37, 50)):
    """Colours with hard edges: where decoders differ."""
    values = np.random.default_rng(0).integers(0, 256, [size[0] // 5 + 1, size[1] // 5 + 1, 3])
    values = values.repeat(5, 0).repeat(5, 1)[: size[0], : size[1]]
    return Image.fromarray(values.astype(np.uint8)).convert(mode)


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def translucent(mode):
    image = picture(mode)
    image.putalpha(picture("L"))
    return image


def with_transparency(mode):
    image = picture(mode)
    image.info["transparency"] = {"P": 3, "L": image.getpixel((0, 0)), "RGB": image.getpixel((0, 0))}[mode]
    return image


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(bits, color, channels, *, height=4, width=8, palette=b"", animation=b"", interlaced=0):
    """A PNG of random samples, written by hand."""
    row = -(-width * channels * bits // 8)
    rows = np.random.default_rng(1).integers(0, 256, [height, row]).astype(np.uint8)
    content = b"".join(b"\0" + one.tobytes() for one in rows)
    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, interlaced)), animation]
    parts += [chunk(b"PLTE", palette)] if palette else []
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(content)), chunk(b"IEND", b"")])


def bmp(bits, *, height=4, width=6, compression=0, header=40, palette=b"", data=None):
    row = (width * bits + 31) // 32 * 4
    pixels = np.random.default_rng(2).integers(0, 256, [abs(height), row]).astype(np.uint8).tobytes()
    pixels = pixels if data is None else data
    if header == 12:
        fields = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        fields = struct.pack("<IiiHHIIiiII", header, width, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
        fields += bytes(header - 40)
    start = 14 + len(fields) + len(palette)
    return struct.pack("<2sIHHI", b"BM", start + len(pixels), 0, 0, start) + fields + palette + pixels


COLORS = bytes(np.random.default_rng(3).integers(0, 256, 256 * 3).astype(np.uint8))
BMP_COLORS = bytes(np.random.default_rng(3).integers(0, 256, 256 * 4).astype(np.uint8))
ANIMATED = chunk(b"acTL", struct.pack(">II", 2, 0))
TEXT = chunk(b"tEXt", b"Comment\0acTL and IDAT are only words here")

ACCEPTED = {
    **{
        f"JPEG {quality} {sub}": encoded(picture(), "JPEG", quality=quality, subsampling=sub)
        for quality in (30, 75, 95)
        for sub in ("4:4:4", "4:2:2", "4:2:0")
    },
    "progressive JPEG": encoded(picture(), "JPEG", progressive=True),
    "grey JPEG": encoded(picture("L"), "JPEG"),
    "JPEG of odd size": encoded(picture(size=(7, 3)), "JPEG"),
    "JPEG of one pixel": encoded(picture(size=(1, 1)), "JPEG"),
    "JPEG with restarts": bytes(cv2.imencode(".jpg", np.array(picture()), [cv2.IMWRITE_JPEG_RST_INTERVAL, 2])[1]),
    "JPEG of RGB as it is": encoded(picture(), "JPEG", keep_rgb=True),
    "JPEG and more behind it": encoded(picture(), "JPEG") + b"more",
    "several JPEGs in one file": encoded(picture(), "MPO", save_all=True, append_images=[picture(size=(9, 9))]),
    **{f"PNG {mode}": encoded(picture(mode), "PNG") for mode in ("1", "L", "P", "RGB")},
    **{f"PNG {mode}A": encoded(translucent(mode), "PNG") for mode in ("L", "RGB")},
    **{f"PNG {mode} with a transparent colour": encoded(with_transparency(mode), "PNG") for mode in ("L", "P", "RGB")},
    **{f"grey PNG of {bits} bits": png(bits, 0, 1) for bits in (1, 2, 4, 8)},
    **{f"palette PNG of {bits} bits": png(bits, 3, 1, palette=COLORS[: 3 << bits]) for bits in (1, 2, 4, 8)},
    "PNG with words": png(8, 2, 3, animation=TEXT),
    "PNG with a profile": encoded(picture(), "PNG", icc_profile=b"acTL" * 50_000),
    "BMP": encoded(picture(), "BMP"),
    "BMP from top to bottom": bmp(24, height=-4),
    "BMP with a long header": bmp(24, header=124),
}
REFUSED = {
    "nothing": b"",
    "text": b"no image at all",
    "one byte": b"\xff",
    "CMYK JPEG": encoded(picture("CMYK"), "JPEG"),
    "JPEG cut": encoded(picture(), "JPEG")[:500],
    "JPEG of a header": encoded(picture(), "JPEG")[:3],
    **{
        f"PNG of 16 bits, colour type {color}": png(16, color, channels)
        for color, channels in ((0, 1), (2, 3), (4, 2), (6, 4))
    },
    "16-bit RGB PNG of OpenCV": bytes(cv2.imencode(".png", np.full([5, 5, 3], 4000, np.uint16))[1]),
    "animated PNG": encoded(picture(), "PNG", save_all=True, append_images=[picture("L").convert("RGB")]),
    "PNG that says it is animated": png(8, 2, 3, animation=TEXT + ANIMATED),
    "PNG of nothing but its mark": png(8, 2, 3)[:8],
    "PNG cut in its header": png(8, 2, 3)[:20],
    "PNG cut in its pixels": png(8, 2, 3)[:60],
    "PNG with an endless part": png(8, 2, 3, animation=b"\xff\xff\xff\xfftEXt"),
    "PNG with a part of 2 GB": png(8, 2, 3, animation=b"\x7f\xff\xff\xfftEXt"),
    "palette BMP": encoded(picture("P"), "BMP"),
    "BMP of 4 bits": bmp(4, palette=BMP_COLORS[:64]),
    "BMP of 1 bit": encoded(picture("1"), "BMP"),
    "grey BMP": encoded(picture("L"), "BMP"),
    "BMP of 16 bits": bmp(16),
    "BMP of 32 bits": encoded(translucent("RGB"), "BMP"),
    "packed BMP": bmp(8, compression=1, palette=BMP_COLORS, data=b"\x06\x01\0\0" * 4 + b"\0\1"),
    "BMP of OS/2": bmp(24, header=12),
    "BMP cut": encoded(picture(), "BMP")[:40],
    "BMP without pixels": encoded(picture(), "BMP")[:60],
    "GIF": encoded(picture("P"), "GIF"),
    "animated GIF": encoded(picture("P"), "GIF", save_all=True, append_images=[picture("P", (37, 50)).rotate(90)]),
    "WebP": encoded(picture(), "WEBP", lossless=True),
    "TIFF": encoded(picture(), "TIFF"),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_what_is_accepted_has_the_pixels_of_the_command(decode, name, tmp_path):
    (tmp_path / "image").write_bytes(ACCEPTED[name])
    found = decode(ACCEPTED[name])
    assert found is not None
    np.testing.assert_array_equal(found, read_image(tmp_path / "image"))


@pytest.mark.parametrize("name", REFUSED)
def test_what_would_be_read_otherwise_is_refused(decode, name):
    assert decode(REFUSED[name]) is None


def test_what_the_command_refuses_the_server_refuses(decode, tmp_path):
    num_refused = 0
    for name, content in (ACCEPTED | REFUSED).items():
        (tmp_path / "image").write_bytes(content)
        try:
            read_image(tmp_path / "image")
        except InputError:
            num_refused += 1
            assert decode(content) is None, name
    assert num_refused > 5


def test_any_damage_is_refused_or_read_alike(decode, tmp_path):
    """One byte of each file is changed, at many places."""
    generator = np.random.default_rng(4)
    for name in ("PNG RGB", "palette PNG of 4 bits", "BMP", "grey PNG of 8 bits"):
        content = ACCEPTED[name]
        for place in generator.integers(0, len(content), 60):
            changed = bytearray(content)
            changed[place] ^= 1 << int(generator.integers(8))
            (tmp_path / "image").write_bytes(changed)
            found = decode(bytes(changed))
            try:
                wanted = read_image(tmp_path / "image", max_pixels=10**6)
            except InputError:
                continue
            if found is not None:
                np.testing.assert_array_equal(found, wanted, err_msg=f"{name}, byte {place}")


def test_pixels_are_as_stored_whatever_the_orientation_says(decode):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6
    content = encoded(picture(), "JPEG", exif=exif)
    assert decode(content).shape == (37, 50, 3)


def test_sizes_are_checked_before_anything_is_decoded():
    """These files claim to be 60000 pixels wide and hold next to nothing."""
    asked = []

    def check_size(size):
        return [tf.debugging.Assert(tf.reduce_prod(tf.cast(size, tf.float64)) < 1e6, ["too large", size])]

    jpeg = bytearray(encoded(picture(), "JPEG"))
    start = jpeg.index(b"\xff\xc0")
    jpeg[start + 5 : start + 9] = struct.pack(">HH", 60000, 60000)
    large = png(8, 0, 1)
    large = large[:16] + struct.pack(">II", 60000, 60000) + large[24:]
    flat = bmp(24)
    flat = flat[:18] + struct.pack("<ii", 60000, -60000) + flat[26:]
    for content in (bytes(jpeg), large, flat):
        with pytest.raises(tf.errors.InvalidArgumentError, match="too large") as caught:
            tf.function(lambda content: image_files.decoded(content, check_size))(tf.constant(content))
        asked.append(str(caught.value))
    assert len(asked) == 3
