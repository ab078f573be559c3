"""A trained model used from Python."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfseg
from tests.fake_network import INFO, FakeNetwork, blocks
from tfseg.errors import InputError
from tfseg.inference.engines import loading
from tfseg.inference.predictor import Predictor

CLASS_IDS = np.array([[0, 1], [2, 1]])
IMAGE = blocks(CLASS_IDS)


@pytest.fixture(scope="module")
def model():
    return Predictor(FakeNetwork(), INFO)


def test_class_ids_have_the_images_size_and_the_default_iterations(model):
    prediction = model.predict(IMAGE)
    np.testing.assert_array_equal(prediction.class_ids[2::4, 2::4], CLASS_IDS)
    assert prediction.class_ids.dtype == np.uint8
    assert prediction.class_ids.shape == (8, 8)
    assert prediction.iterations == 3
    assert prediction.confidence is None


def test_iterations_are_the_callers_choice(model):
    assert (model.predict(IMAGE, iters=1).class_ids == 0).all()
    assert model.predict(IMAGE, iters=np.int64(9)).iterations == 9
    maps = model.predict_iterations(IMAGE, iters=4)
    assert len(maps) == 4
    assert (maps[0] == 0).all()
    np.testing.assert_array_equal(maps[3][2::4, 2::4], CLASS_IDS)


def test_confidence_is_the_probability_of_the_class(model):
    grey = np.full([8, 8, 3], 90, np.uint8)
    np.testing.assert_allclose(model.predict(grey, with_confidence=True).confidence, 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(model.predict(IMAGE, with_confidence=True).confidence[0, 0], 1, rtol=1e-6)


def test_a_path_is_read_upright(model, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored turned by 90 degrees
    Image.fromarray(np.rot90(IMAGE)).save(tmp_path / "photo.png", exif=exif)
    np.testing.assert_array_equal(model.predict(tmp_path / "photo.png").class_ids[2::4, 2::4], CLASS_IDS)


@pytest.mark.parametrize(
    "image,message",
    [
        (IMAGE[..., 0], "grey"),
        (IMAGE[..., :1], "grey"),
        (IMAGE[np.newaxis], "once for each image of a batch"),
        (np.concatenate([IMAGE, IMAGE[..., :1]], axis=-1), r"not shape \(8, 8, 4\)"),
        (IMAGE[:0], "not shape"),
        (IMAGE / 255, "not float64"),
        (IMAGE.astype(np.int32), "not int32"),
        (None, "not shape"),
        ("missing.png", "missing.png: no such file"),
    ],
)
def test_wrong_images_are_refused_with_what_to_change(model, image, message):
    with pytest.raises(InputError, match=message):
        model.predict(image)


@pytest.mark.parametrize("iters", [0, -1, 2.5, "6", True])
def test_iterations_are_whole_numbers_from_one(model, iters):
    with pytest.raises(InputError, match="whole number from 1"):
        model.predict(IMAGE, iters=iters)


def test_a_feed_forward_model_runs_once():
    network = FakeNetwork(is_recurrent=False)
    network.default_iterations = 1
    model = Predictor(network, INFO)
    np.testing.assert_array_equal(model.predict(IMAGE, iters=1).class_ids[2::4, 2::4], CLASS_IDS)
    with pytest.raises(InputError, match="not recurrent"):
        model.predict(IMAGE, iters=2)


def test_load_takes_the_weights_that_are_asked_for(monkeypatch):
    asked = []

    def load_model(path, which):
        asked.append((path, which))
        return None, INFO, FakeNetwork()

    monkeypatch.setattr(loading, "load_model", load_model)
    assert tfseg.load("run").info is INFO
    assert Predictor.load("run", "best").default_iterations == 3
    assert asked == [(Path("run"), "last"), (Path("run"), "best")]


def test_a_network_may_run_on_and_a_feed_forward_one_may_not(model):
    assert (model.is_recurrent, model.min_iterations, model.max_iterations) == (True, 1, None)
    once = Predictor(FakeNetwork(is_recurrent=False), INFO)
    assert (once.is_recurrent, once.min_iterations, once.max_iterations) == (False, 1, 1)
    assert len(once.predict_iterations(IMAGE, 1)) == 1


@pytest.mark.parametrize("normalization", [{"mean": 127.5}, {"std": 127.5}])
def test_mean_and_std_go_together(normalization):
    with pytest.raises(InputError, match="--mean and --std go together"):
        Predictor.load("run", **normalization)
