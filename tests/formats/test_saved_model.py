"""SavedModels: which signature is used, and that damage is reported in one clear line."""

import shutil

import pytest
import tensorflow as tf

from tests.export.toy_exports import save
from tfseg.errors import InputError
from tfseg.formats import saved_model


def loaded(path):
    return saved_model.load(path, trust=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return save(tmp_path_factory.mktemp("exports") / "model", serving_default="segment_bytes", any_name="segment")


def test_a_signature_for_images_is_found(whole):
    signature = loaded(whole)
    assert (signature.name, signature.image_name) == ("any_name", "images")
    assert signature.image.dtype == tf.uint8 and signature.iterations.shape == [None]


def test_signatures_for_tensors_come_before_others(tmp_path):
    every = save(tmp_path / "1", another="grey", other="half_open", serving_default="fixed", segment_tensors="segment")
    assert loaded(every).name == "segment_tensors"
    assert loaded(save(tmp_path / "2", other="half_open", serving_default="fixed")).name == "serving_default"


def test_a_signature_is_traced_at_a_static_size(whole):
    function = saved_model.trace(loaded(whole), (9, 14), 3)
    [image, *_] = function.inputs
    assert (image.dtype, image.shape) == (tf.uint8, [1, 9, 14, 3])


@pytest.mark.parametrize(
    "method,signature",
    [
        ("segment_bytes", r"image_bytes: string \[\?\]"),
        ("grey", r"image: float32 \[\?, \?, \?, 1\]"),
        ("pair", r"(first|second): float32 \[1, 8, 8, 3\], .+"),
    ],
)
def test_without_a_fitting_signature_all_are_named(tmp_path, method, signature):
    message = rf"model: its signatures are one\({signature}\); one of them must take one image, uint8 or float32"
    with pytest.raises(InputError, match=message):
        loaded(save(tmp_path / "model", one=method))


def shorten(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    "damage,reason",
    [
        (
            lambda folder: (folder / "saved_model.pb").unlink(),
            "not a SavedModel, which is a folder with saved_model.pb",
        ),
        (lambda folder: shorten(folder / "saved_model.pb"), r"not a complete SavedModel \(.+\); export it again"),
        (lambda folder: (folder / "saved_model.pb").write_text("no"), r"not a complete SavedModel \(.+\); export"),
        (lambda folder: (folder / "saved_model.pb").write_bytes(b""), r"not a complete SavedModel \(.+\); export"),
        (lambda folder: shutil.rmtree(folder / "variables"), r"not a complete SavedModel \(.+\); export it again"),
        (
            lambda folder: [shorten(path) for path in (folder / "variables").iterdir()],
            r"not a complete SavedModel \(.+\); export it again",
        ),
    ],
)
def test_a_damaged_saved_model_is_one_line(whole, tmp_path, damage, reason):
    folder = shutil.copytree(whole, tmp_path / "damaged")
    damage(folder)
    with pytest.raises(InputError, match=reason) as caught:
        loaded(folder)
    assert str(folder) in str(caught.value) and len(str(caught.value).splitlines()) == 1
