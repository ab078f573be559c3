"""Files that are read: PNGs inside their folder, of 8 bits and three colours, and no pipe that would wait for ever."""

import json
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.annotations import read_annotations, read_image_ids
from tfseg.formats.coco_panoptic.segment_ids import encode_ids, read_ids

IDS = np.array([[0, 300, 300], [70000, 300, 2**24 - 1]])


@pytest.fixture
def image(tmp_path):
    """image(file name) is the one annotation of a JSON file that gives a PNG this name; `val/139.png` is a PNG."""

    def read(file_name):
        (tmp_path / "val").mkdir(exist_ok=True)
        Image.fromarray(encode_ids(IDS)).save(tmp_path / "val" / "139.png")
        content = {
            "categories": [{"id": 1, "name": "person", "isthing": 1}],
            "annotations": [{"image_id": 139, "file_name": file_name, "segments_info": []}],
        }
        (tmp_path / "val.json").write_text(json.dumps(content))
        (found,) = read_annotations(tmp_path / "val.json").images.values()
        return found

    return read


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(depth, color_type, row, *others):
    """A PNG of 1x1 with any depth and colour type, which PIL cannot write."""
    header = struct.pack(">IIBBBBB", 1, 1, depth, color_type, 0, 0, 0)
    chunks = [chunk(b"IHDR", header), *others, chunk(b"IDAT", zlib.compress(b"\0" + row)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


OUTSIDE = ["../139.png", "a/../../139.png", "..", "a/..", "/etc/passwd", "//x.png", "..\\139.png", "a\\b.png", "C:\\x"]
NO_NAME = ["", ".", "/", "a\0.png", "a\n.png", "\x1b[31m.png", "\ud800.png", 139, None, True, ["139.png"], {"a": 1}]


@pytest.mark.parametrize("file_name", OUTSIDE + NO_NAME, ids=repr)
def test_a_name_that_leads_out_or_is_none_is_refused_with_file_image_and_field(image, tmp_path, file_name):
    with pytest.raises(InputError) as error:
        image(file_name)
    message = str(error.value)
    assert message.startswith(f"{tmp_path}/val.json: image 139: the file_name is ")
    assert message.endswith("; it must be the path of a PNG inside the folder of PNGs, with / and without ..")
    assert message.isprintable() and len(message) < 300


@pytest.mark.parametrize("file_name", ["../" + "x" * 100_000, "x" * 256, "a/" + "日" * 86 + "/139.png"])
def test_a_name_that_no_file_can_have_is_shown_short(image, file_name):
    with pytest.raises(InputError, match=r"val\.json: image 139: the file_name is .*\.\.\..*; it must be the") as error:
        image(file_name)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize(
    "file_name", ["139.png", "./139.png", "deep//139.png", "..139.png", "straße 1.png", "日本.png"]
)
def test_names_inside_the_folder_are_read(image, tmp_path, file_name):
    found = image(file_name)
    (tmp_path / "val" / "deep").mkdir()
    Image.fromarray(encode_ids(IDS)).save(tmp_path / "val" / file_name)
    np.testing.assert_array_equal(read_image_ids(found), IDS)


def test_links_inside_the_folder_and_a_link_to_the_folder_are_read(image, tmp_path):
    found = image("link.png")
    (tmp_path / "val" / "link.png").symlink_to("139.png")
    np.testing.assert_array_equal(read_image_ids(found), IDS)
    (tmp_path / "val").rename(tmp_path / "elsewhere")
    (tmp_path / "val").symlink_to(tmp_path / "elsewhere")
    np.testing.assert_array_equal(read_image_ids(found), IDS)


def link_to_a_file(folder):
    Image.fromarray(encode_ids(IDS)).save(folder.parent / "secret.png")
    (folder / "x").symlink_to("../secret.png")


def link_to_a_device(folder):
    (folder / "x").symlink_to("/dev/zero")


def link_to_a_link(folder):
    link_to_a_file(folder)
    (folder / "x").rename(folder / "y")
    (folder / "x").symlink_to("y")


def link_to_nothing_outside(folder):
    (folder / "x").symlink_to("../nothing.png")


def link_of_like_name(folder):
    (folder.parent / "val2").mkdir()
    Image.fromarray(encode_ids(IDS)).save(folder.parent / "val2" / "x.png")
    (folder / "x").symlink_to("../val2/x.png")


@pytest.mark.parametrize(
    "make", [link_to_a_file, link_to_a_device, link_to_a_link, link_to_nothing_outside, link_of_like_name]
)
def test_a_link_that_leads_out_is_refused_with_file_image_and_field(image, tmp_path, make):
    found = image("x")
    make(tmp_path / "val")
    with pytest.raises(InputError, match=r"val\.json: image 139: the file_name is 'x', a link that leads out of the"):
        read_image_ids(found)


def test_a_folder_that_is_a_link_which_leads_out_is_refused(image, tmp_path):
    found = image("deep/139.png")
    (tmp_path / "other").mkdir()
    Image.fromarray(encode_ids(IDS)).save(tmp_path / "other" / "139.png")
    (tmp_path / "val" / "deep").symlink_to("../other")
    with pytest.raises(InputError, match=r"the file_name is 'deep/139\.png', a link that leads out"):
        read_image_ids(found)


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_a_pipe_or_a_folder_in_place_of_a_png_is_refused_with_file_image_and_field(image, tmp_path, make):
    found = image("x.png")
    make(tmp_path / "val" / "x.png")
    with pytest.raises(InputError, match=r"val\.json: image 139: the file_name is 'x\.png', a folder, pipe or device"):
        read_image_ids(found)


def test_links_in_a_circle_and_missing_pngs_are_refused(image, tmp_path):
    found = image("x.png")
    with pytest.raises(InputError, match=r"val/x\.png: no such file, but an annotation names it"):
        read_image_ids(found)
    (tmp_path / "val" / "x.png").symlink_to("x.png")
    with pytest.raises(InputError, match=r"val/x\.png: cannot be read \(Too many levels of symbolic links\)"):
        read_image_ids(found)


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    for name in ("a.png", "a.json"):
        os.mkfifo(tmp_path / name)
    with pytest.raises(InputError, match=r"a\.png: a pipe, socket or device, not a regular file"):
        read_ids(tmp_path / "a.png")
    with pytest.raises(InputError, match=r"a\.json: a pipe, socket or device, not a regular file"):
        read_annotations(tmp_path / "a.json")
    with pytest.raises(InputError, match=r"/dev/zero: a pipe, socket or device, not a regular file"):
        read_annotations("/dev/zero")


def test_hidden_files_beside_the_json_file_do_not_count(image, tmp_path):
    image("139.png")
    (tmp_path / "._val.json").write_bytes(b"\0\5\x16\7")
    assert read_annotations(tmp_path).path == str(tmp_path / "val.json")


@pytest.mark.parametrize("alpha", [255, 0, "some"])
def test_alpha_is_not_part_of_an_id(tmp_path, alpha):
    channel = np.array([[0, 9, 255], [1, 2, 3]]) if alpha == "some" else np.full(IDS.shape, alpha)
    pixels = np.dstack([encode_ids(IDS), channel.astype(np.uint8)])
    Image.fromarray(pixels).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_ids(tmp_path / "a.png"), IDS)


OTHER_PNGS = {
    "grey": (png(8, 0, b"\5"), "L"),
    "grey of 1 bit": (png(1, 0, b"\x80"), "1 with 1 bits per channel"),
    "grey of 16 bits": (png(16, 0, b"\1\2"), "I;16 with 16 bits per channel"),
    "grey and alpha": (png(8, 4, b"\5\xff"), "LA"),
    "palette": (png(8, 3, b"\0", chunk(b"PLTE", b"\5\0\0")), "P"),
    "palette of 4 bits": (png(4, 3, b"\0", chunk(b"PLTE", b"\5\0\0")), "P with 4 bits per channel"),
    "RGB of 16 bits": (png(16, 2, b"\0\5\0\0\0\0"), "RGB with 16 bits per channel"),
    "RGBA of 16 bits": (png(16, 6, b"\0\5\0\0\0\0\xff\xff"), "RGBA with 16 bits per channel"),
}


@pytest.mark.parametrize("content, mode", OTHER_PNGS.values(), ids=OTHER_PNGS)
def test_pngs_of_other_colours_or_bits_are_refused_and_named(tmp_path, content, mode):
    (tmp_path / "other.png").write_bytes(content)
    with pytest.raises(InputError) as error:
        read_ids(tmp_path / "other.png")
    assert str(error.value).startswith(
        f"{tmp_path}/other.png: PNG file of mode {mode}; a panoptic PNG must be RGB: id = R + 256 G + 65536 B, each of"
    )


def test_the_pngs_of_this_test_are_pngs(tmp_path):
    for content, color in ((png(8, 2, b"\5\1\0"), 261), (png(8, 6, b"\5\1\0\0"), 261)):
        (tmp_path / "a.png").write_bytes(content)
        assert read_ids(tmp_path / "a.png").tolist() == [[color]]


@pytest.mark.parametrize("kind", ["JPEG", "BMP", "WEBP", "TIFF", "GIF"])
def test_other_formats_under_the_name_of_a_png_are_refused(tmp_path, kind):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png", kind)
    with pytest.raises(InputError, match=r"a\.png: cannot be read \(not a PNG\)"):
        read_ids(tmp_path / "a.png")


def test_a_png_that_moves_is_refused(tmp_path):
    frames = [Image.new("RGB", (4, 4), color) for color in ("red", "blue")]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=r"a\.png: has 2 frames; a panoptic PNG has one"):
        read_ids(tmp_path / "a.png")


def test_a_png_that_is_missing_or_cut_off_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file, but an annotation names it; put it there"):
        read_ids(tmp_path / "a.png")
    Image.fromarray(encode_ids(np.random.default_rng(0).integers(0, 2**24, [50, 50]))).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    for num_bytes in (0, 20, len(content) // 2):
        (tmp_path / "cut.png").write_bytes(content[:num_bytes])
        with pytest.raises(InputError, match=r"cut\.png: cannot be read .*; is it complete\?"):
            read_ids(tmp_path / "cut.png")


@pytest.mark.parametrize("position, value", [(11, 5), (11, 0), (8, 255), (12, 0), (16, 255), (25, 9), (24, 3), (28, 7)])
def test_a_png_with_any_wrong_byte_in_its_header_is_refused_by_name(tmp_path, position, value):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    assert content[position] != value
    content[position] = value
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.png: (cannot be read \(.*\); is it complete\? Write it again|PNG file)"):
        read_ids(tmp_path / "a.png")


def test_a_path_that_no_file_can_have_is_refused_once_by_name(tmp_path):
    with pytest.raises(InputError, match="not a path .*null (byte|character)"):
        read_ids(f"{tmp_path}/a\0b.png")
    too_long = r"cannot be read \(File name too long\)"
    for path, reason in ((tmp_path / ("a" * 300), too_long), (tmp_path, "a folder, not a regular file")):
        with pytest.raises(InputError, match=reason) as error:
            read_ids(path)
        assert str(error.value).count(str(path)) == 1
