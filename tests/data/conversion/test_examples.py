"""One raw image and its label become the content of a record."""

import io

import numpy as np
import pytest
from PIL import Image

from tfseg.data.conversion import examples
from tfseg.data.conversion.examples import encode_arrays, encode_pair
from tfseg.data.conversion.raw import RawExample
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule

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


def test_lack_of_memory_is_a_problem_of_one_file(tmp_path, save, photo, label, monkeypatch):
    def fail(_):
        raise MemoryError

    monkeypatch.setattr(examples, "encode_jpeg", fail)
    with pytest.raises(InputError, match=r"i\.png: needs more memory than there is"):
        encode_pair(pair(save(tmp_path / "i.png", photo), save(tmp_path / "l.png", label)), ANY)


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


def test_panoptic_pictures_hold_class_and_instance(photo, label):
    instances = np.full([4, 6], 513, np.int32)
    encoded = encode_arrays(photo, label, "scene", panoptic=(label, instances), sequence_id="s", frame_id=3)
    panoptic = decoded(encoded.panoptic_png)
    np.testing.assert_array_equal(panoptic[..., 0], label)
    assert (panoptic[..., 1:] == [2, 1]).all()  # 513 = 2 * 256 + 1
    assert (encoded.sequence_id, encoded.frame_id) == ("s", 3)
