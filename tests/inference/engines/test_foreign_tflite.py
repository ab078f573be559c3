"""Segmenters that other programs wrote: whatever their form, they segment an image as the plain one does."""

import numpy as np
import pytest
import tensorflow as tf

from tests.export.toy_exports import converted, kernel, quantized
from tests.inference.engines.toy_artifacts import converted as of_signatures
from tests.inference.engines.toy_artifacts import traced
from tfseg.errors import InputError
from tfseg.formats import tflite_metadata
from tfseg.formats.tflite_metadata import Metadata
from tfseg.inference.engines import foreign_tflite, tflite_runtime
from tfseg.inference.engines.foreign_tflite import ForeignSegmenter
from tfseg.inference.predictor import Predictor

IMAGE_SPEC = tf.TensorSpec([1, 8, 12, 3], name="image")
RAW = {"mean": 0, "std": 1}
TO_ONE = {"mean": 127.5, "std": 127.5}


def colors(image):
    """Logits are the colours, at half the size."""
    return tf.nn.avg_pool2d(image, 2, 2, "VALID")


def mixed(image):
    """Logits are the colours, as sums of a convolution."""
    return tf.nn.conv2d(image, tf.eye(3)[None, None], 1, "SAME")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("foreign") / "deep lab.tflite"
    path.write_bytes(converted(colors, IMAGE_SPEC))
    return path


@pytest.fixture(scope="module")
def program(path):
    return tflite_runtime.load(path, trust=True)


@pytest.fixture(scope="module")
def picture():
    """[8, 12, 3]: blocks of red, green and blue, none pure."""
    ids = np.random.default_rng(0).integers(0, 3, [2, 3]).repeat(4, 0).repeat(4, 1)
    return np.uint8([[220, 40, 40], [40, 220, 40], [40, 40, 220]])[ids]


@pytest.fixture(scope="module")
def ids(picture):
    return picture.argmax(-1)


def write(folder, run, *specs):
    (folder / "x.tflite").write_bytes(converted(run, *specs))
    return folder / "x.tflite"


def test_it_is_used_with_the_normalisation_that_is_given(path):
    predictor = Predictor.load(path, trust=True, mean=[100, 120, 140], std=2)
    # (90 - 100, 120 - 120, 139 - 140) / 2: green is largest
    picture = np.full([8, 12, 3], (90, 120, 139), np.uint8)
    prediction = predictor.predict(picture, with_confidence=True)
    assert (prediction.class_ids == 1).all() and prediction.iterations == 1
    np.testing.assert_allclose(prediction.confidence, 1 / (1 + np.exp(-5) + np.exp(-0.5)), rtol=1e-5)
    assert predictor.info.class_names == ("class_0", "class_1", "class_2")
    assert (predictor.info.name, predictor.is_recurrent, predictor.max_iterations) == ("deep lab", False, 1)


def test_images_of_any_size_are_resized_and_class_maps_enlarged(path):
    picture = np.zeros([30, 20, 3], np.uint8)
    picture[:15, :, 2], picture[15:, :, 0] = 200, 200
    class_ids = Predictor.load(path, trust=True, **RAW).predict(picture).class_ids
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
    prediction = predictor.predict(np.full([8, 12, 3], (0, 255, 255), np.uint8), with_confidence=True)
    np.testing.assert_allclose(prediction.confidence, np.e / (2 * np.e + np.exp(-1)), rtol=1e-5)


@pytest.mark.parametrize(
    "labels,said",
    [
        (("sky", "grass"), "has 2 labels for 3 classes; they are not used"),
        (("sky", "x" * 1000, "road"), "has labels of more than 100 characters; they are not used"),
    ],
)
def test_labels_that_do_not_fit_are_not_used_and_said_so(program, capsys, labels, said):
    found = ForeignSegmenter(program, Metadata(None, labels, (0.0,), (1.0,)), None)
    assert found.info.class_names == ("class_0", "class_1", "class_2")
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("mean,std", [(0, 0), (0, -1), (float("nan"), 1), ([1, 2], 1), (0, [1, 1])])
def test_a_normalisation_has_to_be_one(path, mean, std):
    with pytest.raises(InputError, match="wanted are one number or three each, std above 0"):
        Predictor.load(path, trust=True, mean=mean, std=std)


def test_images_of_8_bits_go_in_as_they_are(tmp_path):
    spec = tf.TensorSpec([1, 8, 12, 3], tf.uint8, name="image")
    path = write(tmp_path, lambda image: colors(tf.cast(image, tf.float32)), spec)
    predictor = Predictor.load(path, trust=True)
    assert (predictor.predict(np.full([5, 5, 3], (3, 4, 200), np.uint8)).class_ids == 2).all()
    with pytest.raises(InputError, match=r"--mean and --std do not apply to .+: it takes uint8 images"):
        Predictor.load(path, trust=True, **RAW)


@pytest.mark.parametrize("ends", [tf.uint8, tf.int8])
def test_a_network_in_8_bits_gets_normalised_images(tmp_path, ends):
    mean, std = np.float32([114.75, 102, 89.25]), np.float32([71.4, 66.3, 63.75])
    content = quantized(mixed, IMAGE_SPEC, -1.607, 2.6, ends)
    (tmp_path / "x.tflite").write_bytes(content)
    with pytest.raises(InputError, match="stand for .+, not for 0 to 255, 0 to 1 or -1 to 1; give --mean and --std"):
        Predictor.load(tmp_path / "x.tflite", trust=True)
    picture = np.random.default_rng(0).integers(0, 256, [8, 12, 3], dtype=np.uint8)
    normalised = (picture - mean) / std
    found = Predictor.load(tmp_path / "x.tflite", trust=True, mean=mean, std=std).predict(picture).class_ids
    two = np.sort(normalised, -1)
    is_clear = two[..., 2] - two[..., 1] > 0.1
    np.testing.assert_array_equal(found[is_clear], normalised.argmax(-1)[is_clear])
    assert (picture.argmax(-1) != normalised.argmax(-1)).any()


@pytest.mark.parametrize("ends", [tf.uint8, tf.int8])
def test_a_network_in_8_bits_for_minus_1_to_1_needs_to_be_told_nothing(tmp_path, picture, ids, ends):
    (tmp_path / "x.tflite").write_bytes(quantized(mixed, IMAGE_SPEC, -1.0, 1.0, ends))
    for normalization in ({}, TO_ONE):
        prediction = Predictor.load(tmp_path / "x.tflite", trust=True, **normalization).predict(picture, None, True)
        np.testing.assert_array_equal(prediction.class_ids, ids)
        high, low = np.exp(np.float32([220, 40]) / 127.5 - 1)
        np.testing.assert_allclose(prediction.confidence, high / (high + 2 * low), atol=0.01)


def first(image):
    return tf.transpose(image, [0, 3, 1, 2])


def last(image):
    return tf.transpose(image, [0, 2, 3, 1])


def by_hand(image):
    shares = tf.exp(mixed(image))
    return shares / tf.reduce_sum(shares, -1, keepdims=True)


FORMS = {
    "plain": (mixed, [1, 8, 12, 3]),
    "channels first in the map": (lambda image: first(mixed(image)), [1, 8, 12, 3]),
    "channels first in the image": (lambda image: mixed(last(image)), [1, 3, 8, 12]),
    "channels first in both": (lambda image: first(mixed(last(image))), [1, 3, 8, 12]),
    "no batch in the map": (lambda image: mixed(image)[0], [1, 8, 12, 3]),
    "no batch at all": (lambda image: mixed(image[None])[0], [8, 12, 3]),
    "batch of two": (mixed, [2, 8, 12, 3]),
    "open batch": (mixed, [None, 8, 12, 3]),
    "open size": (mixed, [1, None, None, 3]),
    "open width": (mixed, [1, 8, None, 3]),
    "all open": (mixed, [None, None, None, 3]),
    "open size, channels first": (lambda image: first(mixed(last(image))), [1, 3, None, None]),
    "softmax": (lambda image: tf.nn.softmax(mixed(image)), [1, 8, 12, 3]),
    "softmax by hand": (by_hand, [1, 8, 12, 3]),
    "a small output, too": (lambda image: {"a": tf.reduce_mean(image, [1, 2]), "b": mixed(image)}, [1, 8, 12, 3]),
    "a few boxes, too": (lambda image: {"a": image[:, :5, :4, 0] * 2, "b": mixed(image)}, [1, 8, 12, 3]),
    "int64 ids": (lambda image: tf.argmax(mixed(image), -1), [1, 8, 12, 3]),
    "int32 ids": (lambda image: tf.argmax(mixed(image), -1, tf.int32), [1, 8, 12, 3]),
    "uint8 ids": (lambda image: tf.cast(tf.argmax(mixed(image), -1), tf.uint8), [1, 8, 12, 3]),
    "float ids": (lambda image: tf.cast(tf.argmax(mixed(image), -1), tf.float32), [1, 8, 12, 3]),
    "ids with a last axis": (lambda image: tf.argmax(mixed(image), -1)[..., None], [1, 8, 12, 3]),
    "ids alone": (lambda image: tf.argmax(mixed(image), -1)[0], [1, 8, 12, 3]),
    "ids of channels first": (lambda image: tf.argmax(first(mixed(image)), 1), [1, 8, 12, 3]),
    "ids of any size": (lambda image: tf.argmax(mixed(image), -1), [1, None, None, 3]),
    "ids of two images": (lambda image: tf.argmax(mixed(image), -1), [2, 8, 12, 3]),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_segments_as_the_plain_one(tmp_path, picture, ids, form):
    run, shape = FORMS[form]
    predictor = Predictor.load(write(tmp_path, run, tf.TensorSpec(shape, name="image")), trust=True, **TO_ONE)
    assert predictor.info.num_classes == 3
    np.testing.assert_array_equal(predictor.predict(picture).class_ids, ids)
    if "ids" in form:
        with pytest.raises(InputError, match=r"x\.tflite: gives class ids without probabilities"):
            predictor.predict(picture, with_confidence=True)
        return
    confidence = predictor.predict(picture, with_confidence=True).confidence
    high, low = np.exp(np.float32([220, 40]) / 127.5 - 1)
    np.testing.assert_allclose(confidence, high / (high + 2 * low), rtol=1e-4)


@pytest.mark.parametrize(
    "run",
    [
        lambda image: tf.sigmoid(mixed(image)[..., 1:2] - 0.2),
        lambda image: tf.sigmoid(mixed(image)[..., 1] - 0.2),
        lambda image: mixed(image)[..., 1:2] - 0.2,
        lambda image: tf.nn.softmax(mixed(image))[..., 1:2],
        lambda image: 1 / (1 + tf.exp(-mixed(image)[..., 1:2])),
        lambda image: tf.cast(mixed(image)[..., 1] > 0, tf.uint8),
        lambda image: mixed(image)[..., 1] > 0,
    ],
)
def test_one_channel_is_the_second_of_two_classes(tmp_path, picture, ids, run):
    predictor = Predictor.load(write(tmp_path, run, IMAGE_SPEC), trust=True, **TO_ONE)
    assert predictor.info.class_names == ("class_0", "class_1")
    np.testing.assert_array_equal(predictor.predict(picture).class_ids, ids == 1)


def test_pure_colours_as_logits_are_no_probabilities(tmp_path):
    """They are 0 or 1 and add up to 1, by accident."""
    picture = np.uint8([[255, 0, 0], [0, 0, 255]])[[[0, 1] * 6] * 8]
    predictor = Predictor.load(write(tmp_path, mixed, IMAGE_SPEC), trust=True, mean=0, std=255)
    confidence = predictor.predict(picture, with_confidence=True).confidence
    np.testing.assert_allclose(confidence, np.e / (np.e + 2), rtol=1e-5)


def test_images_for_an_open_size_go_in_as_they_are_up_to_a_limit(tmp_path, monkeypatch):
    predictor = Predictor.load(
        write(tmp_path, mixed, tf.TensorSpec([1, None, None, 3], name="image")), trust=True, **RAW
    )
    assert predictor.size is None
    sizes, run = [], tflite_runtime.Program.run

    def watched(self, signature, inputs):
        sizes.append(inputs["image"].shape[1:3])
        return run(self, signature, inputs)

    monkeypatch.setattr(tflite_runtime.Program, "run", watched)
    monkeypatch.setattr(foreign_tflite, "WHOLE_IMAGE_PIXELS", 1000)
    for size in ((13, 7), (64, 64), (5, 900)):
        assert predictor.predict(np.zeros([*size, 3], np.uint8)).class_ids.shape == size
    assert sizes == [(13, 7), (31, 31), (2, 424)]


def test_a_network_that_halves_an_image_gets_a_size_that_can_be_halved(tmp_path):
    def halved_and_joined(image):
        half = tf.nn.conv2d(image, tf.eye(3)[None, None], 2, "VALID")
        twice = tf.repeat(tf.repeat(half, 2, 1), 2, 2)
        return image + 0.0 * tf.nn.relu(twice)

    path = write(tmp_path, halved_and_joined, tf.TensorSpec([1, None, None, 3], name="image"))
    predictor = Predictor.load(path, trust=True, **RAW)
    picture = np.zeros([45, 31, 3], np.uint8)
    picture[:, :15, 1], picture[:, 15:, 2] = 200, 200
    class_ids = predictor.predict(picture).class_ids
    assert class_ids.shape == (45, 31)
    assert (class_ids[:, :14] == 1).all() and (class_ids[:, 17:] == 2).all()


def test_coarse_logits_on_an_aligned_grid_are_enlarged_as_deeplab_does(tmp_path):
    """Its own graphs end with ResizeBilinear(align_corners=True)."""
    weights = kernel(3, 3, 3, 3) / 100

    def coarse(image):
        for _ in range(3):
            image = tf.nn.conv2d(image, weights, 2, "SAME")
        return image

    spec = tf.TensorSpec([1, 33, 49, 3], name="image")
    picture = np.random.default_rng(0).integers(0, 256, [33, 49, 3], dtype=np.uint8)
    canvas = coarse(tf.cast(picture, tf.float32)[None])
    assert canvas.shape[1:3] == (5, 7)
    expected = tf.compat.v1.image.resize_bilinear(canvas, [33, 49], align_corners=True)
    prediction = Predictor.load(write(tmp_path, coarse, spec), trust=True, **RAW).predict(picture, with_confidence=True)
    np.testing.assert_array_equal(prediction.class_ids, tf.argmax(expected[0], -1))
    np.testing.assert_allclose(prediction.confidence, tf.reduce_max(tf.nn.softmax(expected[0]), -1), rtol=1e-4)


@pytest.mark.parametrize(
    "run,specs,message",
    [
        (lambda a, b: mixed(a + b), [IMAGE_SPEC, tf.TensorSpec([1, 8, 12, 3], name="b")], "as input it has .+ one"),
        (lambda a: a * 2, [[1, 8]], r"as input it has a float32 \[1, 8\], wanted is one \[1, height, width, 3\]"),
        (
            lambda a: tf.nn.conv2d(a, kernel(1, 1, 1, 3), 1, "SAME"),
            [[1, 8, 8, 1]],
            "its input .+ does not have 3 channels",
        ),
        (lambda a: tf.reduce_mean(a, [1, 2]), [IMAGE_SPEC], r"as output it has .+ float32 \[1, 3\], wanted is one map"),
        (lambda a: {"x": a * 2, "y": mixed(a)}, [IMAGE_SPEC], "several of its outputs are maps: x, y; export it with"),
        (
            lambda a: {f"map_{i}": a * (i + 2.0) for i in range(9)},
            [IMAGE_SPEC],
            "several of its outputs are maps: map_0, map_1, map_2, map_3, map_4 and 4 more",
        ),
        (
            lambda a: tf.nn.conv2d(a, kernel(1, 1, 3, 8), 1, "SAME"),
            [[1, 8, 8, 3]],
            r"its output .+ \[1, 8, 8, 8\] can be read as 8x8 of 8 channels or",
        ),
        (
            lambda a: tf.concat([a] * 100, -1) * 2,
            [IMAGE_SPEC],
            r"as output it has .+\[1, 8, 12, 300\], wanted is one map",
        ),
    ],
)
def test_anything_but_one_image_and_one_map_is_refused_with_what_it_has(tmp_path, run, specs, message):
    with pytest.raises(InputError, match=rf"x\.tflite: not made by tfseg; {message}") as caught:
        Predictor.load(write(tmp_path, run, *specs), trust=True, **RAW)
    said = str(caught.value).replace(str(tmp_path), "")
    assert len(said.splitlines()) == 1 and len(said) <= 300


def test_several_signatures_without_a_description_are_refused(tmp_path):
    functions = {name: traced(lambda image: {"logits": colors(image)}, image=[1, 8, 8, 3]) for name in ("one", "two")}
    (tmp_path / "x.tflite").write_bytes(of_signatures(functions))
    with pytest.raises(InputError, match="has 2 signatures instead of one"):
        Predictor.load(tmp_path / "x.tflite", trust=True)
