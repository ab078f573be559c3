"""Raw files: class ids are kept exactly, whatever the mode; any other file is refused by name."""

import io
import zlib

import numpy as np
import pytest
from PIL import Image

from tfseg.data.conversion.raw import RawExample
from tfseg.data.images import LabelRule, encode_arrays, encode_jpeg, encode_pair, read_image, read_label
from tfseg.errors import InputError

ANY = LabelRule(num_classes=None)
ROTATE_270 = 6  # EXIF: the stored image must be turned by 90 degrees clockwise to be upright


def decoded(content):
    return np.asarray(Image.open(io.BytesIO(content)))


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def pair(image, label):
    return RawExample(str(image), str(label), filename=image.name)


def test_a_pair_becomes_jpeg_and_png_with_counts(tmp_path, save, photo, label):
    encoded = encode_pair(pair(save(tmp_path / "i.png", photo), save(tmp_path / "l.png", label)), LabelRule(2))
    assert (encoded.height, encoded.width, encoded.filename) == (4, 6, "i.png")
    np.testing.assert_array_equal(decoded(encoded.label_png), label)
    assert np.abs(decoded(encoded.image_jpeg).astype(int) - photo).max() <= 4
    assert {i: n for i, n in enumerate(encoded.class_counts) if n} == {0: 12, 1: 8, 255: 4}


def test_a_plain_rgb_jpeg_is_kept_byte_for_byte(tmp_path, save, photo, label):
    image = save(tmp_path / "i.jpg", photo, quality=50)
    encoded = encode_pair(pair(image, save(tmp_path / "l.png", label)), ANY)
    assert encoded.image_jpeg == image.read_bytes()


@pytest.mark.parametrize("mode", ["L", "1", "CMYK", "YCbCr"])
def test_other_jpeg_and_tiff_modes_become_rgb(tmp_path, save, mode):
    grey = Image.new("L", (6, 4), 255).convert(mode)
    image = save(tmp_path / ("i.tif" if mode == "1" else "i.jpg"), grey)
    encoded = encode_pair(pair(image, save(tmp_path / "l.png", np.zeros([4, 6], np.uint8))), ANY)
    assert Image.open(io.BytesIO(encoded.image_jpeg)).mode == "RGB"
    assert decoded(encoded.image_jpeg).min() > 250


def test_transparency_is_dropped(tmp_path, save, photo):
    rgba = np.dstack([photo, np.zeros([4, 6], np.uint8)])
    np.testing.assert_array_equal(read_image(save(tmp_path / "i.png", rgba)), photo)


def test_a_single_frame_gif_is_rgb_and_an_animated_one_is_refused(tmp_path, save, photo):
    still = Image.fromarray(photo)
    assert read_image(save(tmp_path / "still.gif", still)).shape == (4, 6, 3)
    moving = save(tmp_path / "moving.gif", still, save_all=True, append_images=[Image.new("RGB", (6, 4))])
    with pytest.raises(InputError, match=r"moving\.gif: has 2 frames"):
        read_image(moving)


def test_exif_rotation_turns_the_image_and_a_label_of_the_stored_size(tmp_path, save, photo, label):
    image = save(tmp_path / "i.jpg", photo, exif=exif(ROTATE_270), quality=100, subsampling=0)
    encoded = encode_pair(pair(image, save(tmp_path / "l.png", label)), ANY)
    assert encoded.is_rotated and (encoded.height, encoded.width) == (6, 4)
    np.testing.assert_array_equal(decoded(encoded.label_png), np.rot90(label, -1))
    upright = decoded(encoded.image_jpeg)
    assert upright[0, 0, 0] > 200 and upright[-1, 0, 2] > 200  # red above blue
    assert not Image.open(io.BytesIO(encoded.image_jpeg)).getexif()


def test_exif_rotation_leaves_a_label_that_is_upright_already(tmp_path, save, photo, label):
    image = save(tmp_path / "i.jpg", photo, exif=exif(ROTATE_270))
    upright = np.rot90(label, -1)
    encoded = encode_pair(pair(image, save(tmp_path / "l.png", upright)), ANY)
    np.testing.assert_array_equal(decoded(encoded.label_png), upright)


def test_sizes_that_differ_by_one_pixel_are_named(tmp_path, save, photo, label):
    with pytest.raises(InputError, match=r"l\.png: label of 5x4 pixels for an image of 6x4"):
        encode_pair(pair(save(tmp_path / "i.png", photo), save(tmp_path / "l.png", label[:, 1:])), ANY)


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


@pytest.mark.parametrize("kept", [0.5, 0.9])
@pytest.mark.parametrize("ending", ["jpg", "png"])
def test_truncated_files_are_refused(tmp_path, save, ending, kept):
    noise = np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8)
    path = save(tmp_path / f"i.{ending}", noise)
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(InputError, match=rf"i\.{ending}: cannot be decoded"):
        encode_pair(pair(path, path), ANY)


def test_a_jpeg_without_its_last_two_bytes_is_refused(tmp_path, save, photo, label):
    path = save(tmp_path / "i.jpg", photo)
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(InputError, match=r"i\.jpg: cannot be decoded"):
        encode_pair(pair(path, save(tmp_path / "l.png", label)), ANY)


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


def test_panoptic_pictures_hold_class_and_instance(photo, label):
    instances = np.full([4, 6], 513, np.int32)
    encoded = encode_arrays(photo, label, "scene", panoptic=(label, instances), sequence_id="s", frame_id=3)
    panoptic = decoded(encoded.panoptic_png)
    np.testing.assert_array_equal(panoptic[..., 0], label)
    assert (panoptic[..., 1:] == [2, 1]).all()  # 513 = 2 * 256 + 1
    assert (encoded.sequence_id, encoded.frame_id) == ("s", 3)


def test_jpegs_keep_colours_at_full_resolution(photo):
    assert Image.open(io.BytesIO(encode_jpeg(photo))).layer[1][1:3] == (1, 1)  # sampling factors of the second channel
