"""Segmenters that other programs wrote: one image in, logits out, normalised as they say or as the user says."""

import numpy as np
import pytest
import tensorflow as tf

from tests.export.toy_exports import converted, kernel
from tests.inference.engines.toy_artifacts import converted as of_signatures
from tests.inference.engines.toy_artifacts import traced
from tfseg.errors import InputError
from tfseg.formats import tflite_metadata
from tfseg.formats.tflite_metadata import Metadata
from tfseg.inference.engines import tflite_runtime
from tfseg.inference.engines.foreign_tflite import foreign_form
from tfseg.inference.predictor import Predictor

IMAGE_SPEC = tf.TensorSpec([1, 8, 8, 3], name="image")


def colors(image):
    """Logits are the colours, at half the size."""
    return tf.nn.avg_pool2d(image, 2, 2, "VALID")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("foreign") / "deep lab.tflite"
    path.write_bytes(converted(colors, IMAGE_SPEC))
    return path


@pytest.fixture(scope="module")
def program(path):
    return tflite_runtime.load(path, trust=True)


def write(folder, run, *specs):
    (folder / "x.tflite").write_bytes(converted(run, *specs))
    return folder / "x.tflite"


def test_it_is_used_with_the_normalisation_that_is_given(path):
    predictor = Predictor.load(path, trust=True, mean=[100, 120, 140], std=2)
    # (90 - 100, 120 - 120, 139 - 140) / 2: green is largest
    picture = np.full([8, 8, 3], (90, 120, 139), np.uint8)
    prediction = predictor.predict(picture, with_confidence=True)
    assert (prediction.class_ids == 1).all() and prediction.iterations == 1
    np.testing.assert_allclose(prediction.confidence, 1 / (1 + np.exp(-5) + np.exp(-0.5)), rtol=1e-5)
    assert predictor.info.class_names == ("class_0", "class_1", "class_2")
    assert (predictor.info.name, predictor.is_recurrent, predictor.max_iterations) == ("deep lab", False, 1)


def test_images_of_any_size_are_resized_and_class_maps_enlarged(path):
    picture = np.zeros([30, 20, 3], np.uint8)
    picture[:15, :, 2], picture[15:, :, 0] = 200, 200
    class_ids = Predictor.load(path, trust=True, mean=0, std=1).predict(picture).class_ids
    np.testing.assert_array_equal(class_ids, np.repeat([2, 0], 15)[:, np.newaxis].repeat(20, 1))


def test_without_any_normalisation_it_says_what_is_missing(path):
    with pytest.raises(
        InputError, match=r"deep lab\.tflite: takes float32 images and has no NormalizationOptions.+--mean"
    ):
        Predictor.load(path, trust=True)


def test_metadata_gives_normalisation_and_labels(path, monkeypatch):
    found = Metadata(None, ("sky", "grass", "road"), (127.5,), (127.5,), "SOFTMAX")
    monkeypatch.setattr(tflite_metadata, "read_metadata", lambda content, model: found)
    predictor = Predictor.load(path, trust=True)
    assert predictor.info.class_names == ("sky", "grass", "road")
    prediction = predictor.predict(np.full([8, 8, 3], (0, 255, 255), np.uint8), with_confidence=True)
    np.testing.assert_allclose(prediction.confidence, np.e / (2 * np.e + np.exp(-1)), rtol=1e-5)


def test_labels_of_another_number_are_not_used_and_said_so(program, capsys):
    form = foreign_form(program, Metadata(None, ("sky", "grass"), (0.0,), (1.0,)), None)
    assert form.info.class_names == ("class_0", "class_1", "class_2")
    assert "has 2 labels for 3 classes; they are not used" in capsys.readouterr().err


def test_what_is_given_comes_before_the_metadata(program):
    form = foreign_form(program, Metadata(None, None, (127.5,), (127.5,)), ([10.0], [5.0]))
    np.testing.assert_allclose(form.prepare(np.float32([[[[20, 10, 0]]]])), [[[[2, 0, -2]]]])


@pytest.mark.parametrize("mean,std", [(0, 0), (0, -1), (float("nan"), 1), ([1, 2], 1), (0, [1, 1])])
def test_a_normalisation_has_to_be_one(path, mean, std):
    with pytest.raises(InputError, match="wanted are one number or three each, std above 0"):
        Predictor.load(path, trust=True, mean=mean, std=std)


def test_images_of_8_bits_go_in_as_they_are(tmp_path):
    spec = tf.TensorSpec([1, 8, 8, 3], tf.uint8, name="image")
    path = write(tmp_path, lambda image: colors(tf.cast(image, tf.float32)), spec)
    predictor = Predictor.load(path, trust=True)
    assert (predictor.predict(np.full([5, 5, 3], (3, 4, 200), np.uint8)).class_ids == 2).all()
    with pytest.raises(InputError, match=r"--mean and --std do not apply to .+: it takes uint8 images"):
        Predictor.load(path, trust=True, mean=0, std=1)


@pytest.mark.parametrize(
    "run,specs,message",
    [
        (lambda a, b: colors(a + b), [IMAGE_SPEC, tf.TensorSpec([1, 8, 8, 3], name="b")], "as input it has .+ one"),
        (lambda a: a * 2, [[1, 8, 8]], r"as input it has a float32 \[1, 8, 8\], wanted is one \[1, height, width, 3\]"),
        (lambda a: a * 2, [[2, 8, 8, 3]], r"as input it has a float32 \[2, 8, 8, 3\]"),
        (lambda a: tf.nn.conv2d(a, kernel(1, 1, 1, 3), 1, "SAME"), [[1, 8, 8, 1]], "its input has 1 channels"),
        (
            lambda a: tf.reduce_max(a, -1, keepdims=True),
            [IMAGE_SPEC],
            ".+ its output 1, wanted are 3, and logits of 2",
        ),
        (
            lambda a: tf.argmax(a, -1, tf.int32),
            [IMAGE_SPEC],
            r"as output it has .+ int32 \[1, 8, 8\], wanted is .+ logits",
        ),
        (lambda a: {"x": a * 2, "y": a * 3}, [IMAGE_SPEC], "as output it has .+, wanted is one"),
    ],
)
def test_anything_but_one_image_and_logits_is_refused_with_what_it_has(tmp_path, run, specs, message):
    with pytest.raises(InputError, match=rf"x\.tflite: not made by tfseg; {message}") as caught:
        Predictor.load(write(tmp_path, run, *specs), trust=True, mean=0, std=1)
    assert len(str(caught.value).splitlines()) == 1


def test_several_signatures_without_a_description_are_refused(tmp_path):
    functions = {name: traced(lambda image: {"logits": colors(image)}, image=[1, 8, 8, 3]) for name in ("one", "two")}
    (tmp_path / "x.tflite").write_bytes(of_signatures(functions))
    with pytest.raises(InputError, match="has 2 signatures instead of one"):
        Predictor.load(tmp_path / "x.tflite", trust=True)


def test_the_batch_may_be_open(tmp_path):
    path = write(tmp_path, colors, tf.TensorSpec([None, 8, 8, 3], name="image"))
    picture = np.full([8, 8, 3], (90, 120, 100), np.uint8)
    assert (Predictor.load(path, trust=True, mean=0, std=1).predict(picture).class_ids == 1).all()
