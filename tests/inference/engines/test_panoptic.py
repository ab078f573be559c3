"""DeeperLab's five maps, exported: those of the network, and the same instances."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.hanging import HANG_SECONDS
from tests.inference.engines.toy_panoptic import CONFIG, FUSION, INFO, OTHER, SIZE, description, photo
from tfseg import architectures
from tfseg.errors import InputError
from tfseg.export.functions import NetworkFunctions
from tfseg.export.serving import service
from tfseg.export.tflite import convert
from tfseg.formats import saved_model as saved_models
from tfseg.formats import tflite_metadata
from tfseg.inference.engines.saved_model import SavedModelEngine
from tfseg.inference.engines.tflite import TFLiteEngine
from tfseg.inference.predictor import Predictor
from tfseg.postprocess import instance_maps

pytestmark = pytest.mark.usefixtures("warm_children")

NAMES = ("semantic_logits", *instance_maps.NAMES)


@pytest.fixture(scope="module")
def network():
    return architectures.build(CONFIG, INFO.num_classes)


@pytest.fixture(scope="module")
def saved_model(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("serving") / "1"
    service.save(network, folder, description("savedmodel"), 1)
    return folder


@pytest.fixture(scope="module")
def content(network):
    """A .tflite file without metadata."""
    functions = NetworkFunctions(network, SIZE)
    return convert(functions.holder, functions.panoptic(), "fp32")


@pytest.fixture(scope="module")
def tflite(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "toy.tflite"
    path.write_bytes(tflite_metadata.with_metadata(content, description("panoptic")))
    return path


def assert_maps_are_close(found, expected):
    assert set(found) == set(expected) == set(NAMES)
    for name in NAMES:
        np.testing.assert_allclose(found[name], expected[name], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("size", [SIZE, OTHER])
def test_a_saved_model_gives_the_networks_maps_at_any_size(network, saved_model, size):
    images = np.stack([photo(*size), photo(*size)[::-1]])
    signature = tf.saved_model.load(str(saved_model)).signatures["panoptic_maps"]
    assert_maps_are_close(signature(images=tf.constant(images)), network(tf.cast(images, tf.float32)))


def test_a_tflite_file_gives_the_networks_maps(network, content):
    image = photo(*SIZE)[np.newaxis].astype(np.float32)
    run = tf.lite.Interpreter(model_content=content).get_signature_runner("serving_default")
    assert_maps_are_close(run(image=image), network(image))


@pytest.mark.parametrize("size", [SIZE, OTHER, (130, 41)])
def test_exports_find_the_networks_instances(network, saved_model, tflite, size):
    image = photo(*size)
    expected = Predictor(network, INFO).predict(image)
    assert expected.instances
    found = Predictor.load(saved_model, trust=True).predict(image)
    np.testing.assert_array_equal(found.panoptic_ids, expected.panoptic_ids)
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    assert [one.panoptic_id for one in found.instances] == [one.panoptic_id for one in expected.instances]
    found = Predictor.load(tflite, trust=True).predict(image)
    assert found.panoptic_ids.shape == size  # the file sees another picture: resized to its size
    if size == SIZE:
        np.testing.assert_array_equal(found.panoptic_ids, expected.panoptic_ids)


def test_class_maps_and_confidence_come_out_as_well(network, saved_model, tflite):
    image = photo(*SIZE)
    expected = Predictor(network, INFO).predict(image, with_confidence=True)
    for path in (saved_model, tflite):
        found = Predictor.load(path, trust=True).predict(image, with_confidence=True)
        np.testing.assert_array_equal(found.class_ids, expected.class_ids)
        np.testing.assert_allclose(found.confidence, expected.confidence, atol=1e-5)


FUSION_WITHOUT_TENSORFLOW = """
import sys
sys.modules["tensorflow"] = None  # an import of it fails
import numpy as np
from tfseg.postprocess.fusion import fuse
from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.instance_maps import NAMES, InstanceMaps

maps = dict(np.load(sys.argv[1]))
found = fuse(
    maps["semantic_logits"],
    InstanceMaps(**{name: maps[name] for name in NAMES}, stride=4),
    thing_ids={1, 2},
    label_divisor=1000,
    size=(65, 97),
    config=FusionConfig.of_network("star", 9.0, peak_threshold=0.01, instance_score_min=0.05),
)
np.save(sys.argv[2], found.panoptic_ids)
"""


def test_instances_are_made_of_a_saved_models_maps_without_tensorflow(network, saved_model, tmp_path):
    image = photo(*SIZE)
    maps = tf.saved_model.load(str(saved_model)).signatures["panoptic_maps"](images=tf.constant(image[np.newaxis]))
    np.savez(tmp_path / "maps.npz", **{name: values[0] for name, values in maps.items()})
    words = [sys.executable, "-c", FUSION_WITHOUT_TENSORFLOW, tmp_path / "maps.npz", tmp_path / "ids.npy"]
    subprocess.run(words, check=True, timeout=HANG_SECONDS)
    expected = Predictor(network, INFO).predict(image).panoptic_ids
    np.testing.assert_array_equal(np.load(tmp_path / "ids.npy"), expected)


def test_a_saved_model_of_one_size_finds_instances_in_resized_images(network, tmp_path):
    service.save(network, tmp_path / "1", description("savedmodel", size=list(SIZE)), 1, SIZE)
    engine = SavedModelEngine(saved_models.load(tmp_path / "1", trust=True))
    np.testing.assert_array_equal(
        engine.panoptic(photo(*SIZE)).panoptic_ids, Predictor(network, INFO).predict(photo(*SIZE)).panoptic_ids
    )
    assert engine.panoptic(photo(*OTHER)).panoptic_ids.shape == OTHER


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"graph": "triangle"}, "fusion graph is 'triangle'"),
        ({"radius": -3}, "fusion radius is -3"),
        ({"nms_iou": -1.0}, "fusion nms_iou is -1"),
        ({"radius": True}, "radius takes float, not True"),
        ({"peak_threshold": "low"}, "peak_threshold takes float, not 'low'"),
    ],
)
def test_a_damaged_description_is_one_line(content, tmp_path, changed, message):
    path = tmp_path / "toy.tflite"
    path.write_bytes(tflite_metadata.with_metadata(content, description("panoptic", fusion=FUSION | changed)))
    with pytest.raises(InputError, match=message):
        TFLiteEngine(path, trust=True)


def test_a_file_that_does_not_say_how_instances_are_found_is_refused(content, tmp_path):
    values = description("panoptic")
    del values["fusion"]
    (tmp_path / "toy.tflite").write_bytes(tflite_metadata.with_metadata(content, values))
    with pytest.raises(InputError, match="does not say how its instances are found"):
        TFLiteEngine(tmp_path / "toy.tflite", trust=True)


def test_maps_of_a_network_that_only_tells_classes_apart_are_refused():
    from tests.fake_network import FakeNetwork

    with pytest.raises(InputError, match="for panoptic models"):
        NetworkFunctions(FakeNetwork(), SIZE).panoptic()
