"""Images of any kind become RGB; what 8 bits cannot hold, and any other file, is refused by name."""

import contextlib
import io
import os
import socket
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps, PngImagePlugin

import tfseg
from tests.formats.png_files import chunk, deep_png, grey_png, png_of
from tests.formats.tiff_files import Page, tiff
from tfseg.errors import InputError
from tfseg.formats import image_file
from tfseg.formats.images import encode_jpeg, read_image, read_size_and_orientation, read_stored_image
from tfseg.formats.label_file import LabelRule, read_label

OPENING = "Image.open("


def test_transparency_is_dropped(tmp_path, save, photo):
    rgba = np.dstack([photo, np.zeros([4, 6], np.uint8)])
    np.testing.assert_array_equal(read_image(save(tmp_path / "i.png", rgba)), photo)


def test_a_single_frame_gif_is_rgb_and_an_animated_one_is_refused(tmp_path, save, photo):
    still = Image.fromarray(photo)
    assert read_image(save(tmp_path / "still.gif", still)).shape == (4, 6, 3)
    moving = save(tmp_path / "moving.gif", still, save_all=True, append_images=[Image.new("RGB", (6, 4))])
    with pytest.raises(InputError, match=r"moving\.gif: has 2 frames"):
        read_image(moving)


def test_a_sixteen_bit_grey_image_is_refused_not_clipped(tmp_path, save):
    path = save(tmp_path / "i.png", np.full([2, 2], 3000, np.uint16))
    with pytest.raises(InputError, match=r"i\.png: I;16 pixels"):
        read_image(path)


def test_a_png_with_a_flipped_byte_is_refused(tmp_path, save):
    path = save(tmp_path / "i.png", np.random.default_rng(0).integers(0, 256, [64, 64, 3], np.uint8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"i\.png: damaged \(a checksum in the PNG is wrong\)"):
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


DEEP = {
    "RGB PNG": ("i.png", deep_png(np.uint16([[[16, 4080, 255]]]))),
    "RGBA PNG": ("i.png", deep_png(np.uint16([[[16, 4080, 255, 65535]]]))),
    "grey and alpha PNG": ("i.png", deep_png(np.uint16([[[16, 65535], [4080, 0]]]))),
    "PPM": ("i.ppm", b"P6 1 1 65535\n" + np.array([16, 4080, 255], ">u2").tobytes()),
}


@pytest.mark.parametrize("name, content", DEEP.values(), ids=DEEP)
def test_sixteen_bits_per_channel_are_refused_with_their_values_not_darkened(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    for read in (read_image, read_stored_image):
        with pytest.raises(InputError, match=rf"{name}: 16 bits per channel, values 16 to 4080; convert .* to 8 bits"):
            read(tmp_path / name)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [3, 4])
def test_tiffs_of_sixteen_bits_per_channel_are_refused_as_pngs_are(tmp_path, order, channels):
    values = np.full([4, 4, channels], 16, f"{order}u2")
    values[0, 0, 0] = 4080
    (tmp_path / "i.tif").write_bytes(tiff([Page(values)], order))
    with pytest.raises(InputError, match=r"i\.tif: 16 bits per channel, values 16 to 4080;"):
        read_image(tmp_path / "i.tif")


def test_a_maximum_value_below_255_is_scaled_as_the_format_says(tmp_path):
    (tmp_path / "i.ppm").write_bytes(b"P6 1 1 15\n\x0f\x00\x0f")
    np.testing.assert_array_equal(read_image(tmp_path / "i.ppm"), [[[255, 0, 255]]])


OTHER_FORMATS = {
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n",
    "Photoshop": b"8BPS\0\1" + bytes(20),
    "PDF": b"%PDF-1.7\n",
    "HEIC": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic",
    "AVIF": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
    "SVG": b"<?xml version='1.0'?>\n<svg width='1'/>",
    "JPEG XL": b"\xff\x0a" + bytes(20),
    "FITS": b"SIMPLE  =                    T" + bytes(60),
    "DICOM": bytes(128) + b"DICM",
    "HTML": b"\n<!DOCTYPE html><title>404</title>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
    "AppleDouble": b"\0\5\x16\7\0\2\0\0Mac OS X        ",
    "NumPy": b"\x93NUMPY\1\0",
    "ZIP": b"PK\3\4" + bytes(20),
}


@pytest.mark.parametrize("format_name, content", OTHER_FORMATS.items(), ids=OTHER_FORMATS)
def test_other_formats_are_named_and_never_parsed(tmp_path, monkeypatch, format_name, content):
    Image.init()
    for name, (_, accept) in list(Image.OPEN.items()):
        if name not in image_file.FORMATS:
            monkeypatch.setitem(Image.OPEN, name, (lambda *_: pytest.fail("parsed"), accept))
    (tmp_path / "photo.jpg").write_bytes(content)
    message = rf"photo\.jpg: is not an image of a known format but {format_name}.*; \w+"
    with pytest.raises(InputError, match=message):
        read_image(tmp_path / "photo.jpg")


def test_no_module_lets_pil_choose_among_all_its_formats():
    folder = Path(tfseg.__file__).parent
    opened = [
        (path, line) for path in folder.rglob("*.py") for line in path.read_text().splitlines() if OPENING in line
    ]
    page = folder / "export" / "serving" / "page.py"  # programs for clients, who open their own photos
    assert opened and all("formats=" in line for path, line in opened if path != page)


@pytest.mark.parametrize("through_a_link", [False, True])
def test_a_pipe_socket_folder_or_device_is_refused_at_once(tmp_path, through_a_link):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(tmp_path):
        listener.bind("socket")
        for name in ("pipe", "folder", "socket", "/dev/zero"):
            path = tmp_path / name
            if through_a_link:
                path = tmp_path / "link.png"
                path.unlink(missing_ok=True)
                path.symlink_to(tmp_path / name)
            for read in (read_image, read_label_of_ids):
                with pytest.raises(InputError, match=rf"{path.name}: .*not a regular file"):
                    read(path)


def read_label_of_ids(path):
    return read_label(path, LabelRule(None))


def test_a_dangling_link_is_a_missing_file(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(InputError, match=r"link\.png: no such file"):
        read_image(tmp_path / "link.png")


@pytest.mark.parametrize("size", [(65501, 1), (1, 65501), (90_000_000, 1)])
def test_a_side_that_no_jpeg_holds_is_refused_before_decoding(tmp_path, size):
    (tmp_path / "long.png").write_bytes(png_of(size, 8, 0, []))
    with pytest.raises(InputError, match=rf"long\.png: {size[0]}x{size[1]}, but a side has at most 65500 pixels"):
        read_image(tmp_path / "long.png")


def test_the_longest_side_of_all_is_read(tmp_path):
    (tmp_path / "long.png").write_bytes(png_of((65500, 1), 8, 0, [bytes(65500)]))
    assert encode_jpeg(read_image(tmp_path / "long.png"))


def test_lack_of_memory_names_the_file(tmp_path, save, photo, monkeypatch):
    path = save(tmp_path / "i.png", photo)

    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(ImageOps, "exif_transpose", fail)
    with pytest.raises(InputError, match=r"i\.png: needs more memory than there is"):
        read_image(path)


def test_a_photo_for_3d_screens_is_read_as_its_first_picture(tmp_path, photo):
    image = Image.fromarray(photo)
    image.save(tmp_path / "i.jpg", "MPO", save_all=True, append_images=[Image.new("RGB", (6, 4))])
    assert np.abs(read_image(tmp_path / "i.jpg").astype(int) - photo).max() < 130


@pytest.mark.parametrize("form", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_size_and_orientation_are_those_of_the_header(tmp_path, photo, form):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(photo).save(tmp_path / "i", form, exif=exif)
    assert read_size_and_orientation(tmp_path / "i") == ((4, 6), 6)
    assert read_stored_image(tmp_path / "i").stored_size == (4, 6)
    assert read_image(tmp_path / "i").shape == (6, 4, 3)


def test_the_orientation_of_a_png_may_be_behind_its_pixels_which_are_not_decoded_otherwise(tmp_path, monkeypatch):
    tags = Image.Exif()
    tags[0x0112] = 8
    behind = chunk(b"eXIf", tags.tobytes().removeprefix(b"Exif\0\0"))
    (tmp_path / "behind.png").write_bytes(png_of((2, 1), 8, 0, [bytes(2)], behind=[behind]))
    (tmp_path / "plain.png").write_bytes(png_of((2, 1), 8, 0, [bytes(2)]))
    assert read_size_and_orientation(tmp_path / "behind.png") == ((1, 2), 8)
    assert read_image(tmp_path / "behind.png").shape == (2, 1, 3)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load", lambda _: pytest.fail("decoded"))
    assert read_size_and_orientation(tmp_path / "plain.png") == ((1, 2), 1)
