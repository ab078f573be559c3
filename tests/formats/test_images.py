"""Raw files: class ids are kept exactly, whatever the mode; any other file is refused by name."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats.images import LabelRule, encode_jpeg, read_image, read_label

ANY = LabelRule(num_classes=None)


def test_transparency_is_dropped(tmp_path, save, photo):
    rgba = np.dstack([photo, np.zeros([4, 6], np.uint8)])
    np.testing.assert_array_equal(read_image(save(tmp_path / "i.png", rgba)), photo)


def test_a_single_frame_gif_is_rgb_and_an_animated_one_is_refused(tmp_path, save, photo):
    still = Image.fromarray(photo)
    assert read_image(save(tmp_path / "still.gif", still)).shape == (4, 6, 3)
    moving = save(tmp_path / "moving.gif", still, save_all=True, append_images=[Image.new("RGB", (6, 4))])
    with pytest.raises(InputError, match=r"moving\.gif: has 2 frames"):
        read_image(moving)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_grey_png_labels_of_every_depth_keep_their_values(tmp_path, bits):
    values = np.arange(2**bits, dtype=np.uint8)[np.newaxis]
    path = tmp_path / "l.png"
    path.write_bytes(grey_png(values, bits))
    np.testing.assert_array_equal(read_label(path, ANY), values)


def grey_png(values, bits):
    """Encodes [height, width] values as a PNG with 1, 2, 4 or 8 bits each, which PIL cannot do."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return len(content).to_bytes(4, "big") + kind + content + checksum.to_bytes(4, "big")

    height, width = values.shape
    header = width.to_bytes(4, "big") + height.to_bytes(4, "big") + bytes([bits, 0, 0, 0, 0])
    rows = b""
    for row in values:
        ones = np.unpackbits(row[:, np.newaxis], axis=1)[:, 8 - bits :].ravel()
        rows += b"\0" + np.packbits(ones).tobytes()
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_a_palette_png_gives_indices_not_luminance(tmp_path, save):
    image = Image.fromarray(np.array([[0, 1, 2, 3]], np.uint8), "P")
    image.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    np.testing.assert_array_equal(read_label(save(tmp_path / "l.png", image), ANY), [[0, 1, 2, 3]])


def test_sixteen_bit_labels_keep_their_values_or_are_refused(tmp_path, save):
    fits = save(tmp_path / "fits.png", np.array([[0, 3, 255]], np.uint16))
    np.testing.assert_array_equal(read_label(fits, LabelRule(4)), [[0, 3, 255]])
    large = save(tmp_path / "large.png", np.array([[0, 1000, 1000]], np.uint16))
    with pytest.raises(InputError, match=r"large\.png: label value 1000 \(2 pixels\)"):
        read_label(large, ANY)
    np.testing.assert_array_equal(read_label(large, LabelRule(3, value_map={1000: 2})), [[0, 2, 2]])


def test_a_label_value_out_of_range_is_named_with_its_pixels(tmp_path, save):
    path = save(tmp_path / "l.png", np.array([[0, 2, 2, 200, 255]], np.uint8))
    with pytest.raises(InputError, match=r"l\.png: label value 2 \(2 pixels\), 200 \(1 pixels\) is neither .* 0 to 1 "):
        read_label(path, LabelRule(2))


def test_values_are_mapped_to_class_ids(tmp_path, save):
    path = save(tmp_path / "l.png", np.array([[0, 11, 255]], np.uint8))
    np.testing.assert_array_equal(read_label(path, LabelRule(2, value_map={11: 255, 255: 1})), [[0, 255, 1]])


def test_a_grey_label_saved_as_rgb_is_read_as_grey(tmp_path, save):
    path = save(tmp_path / "l.png", np.full([2, 2, 3], 5, np.uint8))
    np.testing.assert_array_equal(read_label(path, ANY), np.full([2, 2], 5))


def test_colour_coded_labels_need_a_palette_and_unknown_colours_are_counted(tmp_path, save, photo):
    path = save(tmp_path / "l.png", photo)
    with pytest.raises(InputError, match="--palette"):
        read_label(path, ANY)
    red, blue = (255, 0, 0), (0, 0, 255)
    expected = np.repeat([[7, 7, 7, 255, 255, 255]], 4, 0)
    np.testing.assert_array_equal(read_label(path, LabelRule(8, palette={red: 7, blue: 255})), expected)
    with pytest.raises(InputError, match=r"l\.png: colour \(0, 0, 255\) \(12 pixels\) is not in the palette"):
        read_label(path, LabelRule(8, palette={red: 7}))


def test_a_palette_applies_to_the_colours_of_a_palette_png_too(tmp_path, save):
    image = Image.fromarray(np.array([[0, 1]], np.uint8), "P")
    image.putpalette([9, 9, 9, 200, 0, 0])
    rule = LabelRule(2, palette={(9, 9, 9): 1, (200, 0, 0): 0})
    np.testing.assert_array_equal(read_label(save(tmp_path / "l.png", image), rule), [[1, 0]])


def test_a_jpeg_label_is_refused(tmp_path, save, label):
    with pytest.raises(InputError, match="store labels as PNG"):
        read_label(save(tmp_path / "l.jpg", label), ANY)


def test_a_sixteen_bit_grey_image_is_refused_not_clipped(tmp_path, save):
    path = save(tmp_path / "i.png", np.full([2, 2], 3000, np.uint16))
    with pytest.raises(InputError, match=r"i\.png: I;16 pixels"):
        read_image(path)


def test_a_png_with_a_flipped_byte_is_refused(tmp_path, save):
    path = save(tmp_path / "i.png", np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"i\.png: cannot be decoded"):
        read_image(path)


def test_empty_text_and_missing_files_are_refused_by_name(tmp_path):
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("no picture")
    for name, message in {"empty": "is empty", "text": "is not an image", "missing": "no such file"}.items():
        with pytest.raises(InputError, match=rf"{name}\.png: {message}"):
            read_image(tmp_path / f"{name}.png")


def test_a_header_bomb_is_refused_before_anything_is_allocated(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(grey_png(np.zeros([1, 1], np.uint8), 8))
    content = path.read_bytes()
    header = b"IHDR" + (60000).to_bytes(4, "big") * 2 + bytes([8, 0, 0, 0, 0])
    path.write_bytes(content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])
    with pytest.raises(InputError, match=r"bomb\.png: 60000x60000 are 3600 megapixels; --max_pixels"):
        read_image(path)


def test_max_pixels_is_ours_above_and_below_that_of_pil(tmp_path, save, photo, monkeypatch):
    path = save(tmp_path / "i.png", photo)
    with pytest.raises(InputError, match="max_pixels"):
        read_image(path, max_pixels=23)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    assert read_image(path, max_pixels=24).shape == (4, 6, 3)
    assert Image.MAX_IMAGE_PIXELS == 4


def test_names_with_spaces_and_other_alphabets_are_read(tmp_path, save, photo):
    assert read_image(save(tmp_path / "Straße 東 1.png", photo)).shape == (4, 6, 3)


def test_jpegs_keep_colours_at_full_resolution(photo):
    assert Image.open(io.BytesIO(encode_jpeg(photo))).layer[1][1:3] == (1, 1)  # sampling factors of the second channel
