"""A SavedModel of ours predicts what its network predicts, and nothing is run that nobody vouches for."""

import json
import os
import shutil

import numpy as np
import pytest

from tests.export import toy_exports
from tests.fake_network import INFO, blocks, striped
from tests.inference.conftest import SIZE
from tests.inference.engines import toy_artifacts
from tfseg.errors import InputError
from tfseg.formats import export_manifest, trusted_files
from tfseg.formats import saved_model as formats
from tfseg.inference.engines import saved_model as engines
from tfseg.inference.predictor import Predictor
from tfseg.inference.runner import Inference
from tfseg.inference.views import View

WHOLE = 40 * 1024


@pytest.fixture(scope="module")
def predictor(saved_model):
    return Predictor.load(saved_model / "2", trust=True)


@pytest.fixture(scope="module")
def once(tmp_path_factory):
    """A feed-forward SavedModel of any size."""
    network = toy_artifacts.ToyNetwork(is_recurrent=False)
    return toy_artifacts.save_model(network, tmp_path_factory.mktemp("once") / "1")


def test_it_equals_the_network(predictor, by_network, image, photo, class_ids):
    assert (predictor.info, predictor.default_iterations, predictor.max_iterations) == (INFO, 3, 5)
    for picture, count in ((image, 1), (image, None), (photo, 2), (photo, 5)):
        ours, theirs = (one.predict(picture, count, with_confidence=True) for one in (predictor, by_network))
        np.testing.assert_array_equal(ours.class_ids, theirs.class_ids)
        np.testing.assert_allclose(ours.confidence, theirs.confidence, atol=1e-5)
        assert ours.iterations == theirs.iterations and ours.class_ids.dtype == np.uint8
    np.testing.assert_array_equal(predictor.predict(image).class_ids[2::4, 2::4], class_ids)


def test_every_iteration_is_there(predictor, by_network, photo):
    np.testing.assert_array_equal(predictor.predict_iterations(photo, 4), by_network.predict_iterations(photo, 4))


def test_more_iterations_than_were_exported_are_refused(predictor, image):
    with pytest.raises(InputError, match="iters is 6; .+ was exported for 1 to 5"):
        predictor.predict(image, 6)


def test_large_images_go_through_it_in_tiles_as_through_a_network(saved_model, network):
    class_ids = striped(24, 300, 8)  # in tiles of 96 by 1024 pixels
    large = blocks(class_ids)
    engine = engines.SavedModelEngine(formats.load(saved_model / "2", trust=True), WHOLE)
    [answer] = Inference(network, WHOLE).refine([large], 3, last_only=True)
    np.testing.assert_array_equal(engine.answer(large, 3, True).class_ids(), answer.class_ids())
    np.testing.assert_array_equal(answer.class_ids()[2::4, 2::4], class_ids)


def test_tiles_of_a_feed_forward_model_are_joined(once):
    class_ids = striped(24, 300, 8)
    engine = engines.SavedModelEngine(formats.load(once, trust=True), WHOLE)
    joined, confidence = engine.answer(blocks(class_ids), 1, True).class_ids_and_confidence()
    assert joined.shape == confidence.shape == (96, 1200)
    np.testing.assert_array_equal(joined[2::4, 2::4], class_ids)
    assert (confidence > 0.3).all()
    whole = engines.SavedModelEngine(formats.load(once, trust=True)).answer(blocks(class_ids), 1, True).class_ids()
    assert (joined == whole).mean() > 0.999


def test_images_of_another_size_are_resized_for_a_fixed_size(network, photo, image, class_ids, tmp_path):
    predictor = Predictor.load(toy_artifacts.save_model(network, tmp_path / "1", SIZE), trust=True)
    np.testing.assert_array_equal(predictor.predict(image).class_ids[2::4, 2::4], class_ids)
    [answer] = Inference(network).refine([photo], 3, (View(base_size=SIZE),), last_only=True)
    found = predictor.predict(photo).class_ids
    assert (found == answer.class_ids()).mean() > 0.99  # it takes whole numbers: 0.5 of 255 is rounded away


def test_a_fixed_size_without_steps_enlarges_the_class_map(photo, image, class_ids, tmp_path):
    network = toy_artifacts.ToyNetwork(is_recurrent=False)
    predictor = Predictor.load(toy_artifacts.save_model(network, tmp_path / "1", SIZE), trust=True)
    np.testing.assert_array_equal(predictor.predict(image).class_ids[2::4, 2::4], class_ids)
    prediction = predictor.predict(photo, with_confidence=True)
    assert prediction.class_ids.shape == prediction.confidence.shape == photo.shape[:2]
    assert prediction.class_ids.dtype == np.uint8
    doubled = predictor.predict(image.repeat(2, 0).repeat(2, 1)).class_ids
    np.testing.assert_array_equal(doubled[4::8, 4::8], class_ids)
    with pytest.raises(InputError, match="not recurrent"):
        predictor.predict(image, 2)


def test_it_is_run_if_it_was_made_here_or_somebody_vouches_for_it(saved_model, image, tmp_path, monkeypatch):
    monkeypatch.setenv("TFSEG_HOME", str(tmp_path / "home"))
    folder = tmp_path / "toy"
    path = shutil.copytree(saved_model / "2", folder / "serving" / "toy" / "2")
    sha256 = export_manifest.sha256(path)
    artifacts = {"serving/toy/2": {"kind": "savedmodel", "sha256": sha256}}
    export_manifest.write(folder, {"format": "tfseg 1", "name": "a", "classes": INFO.to_dict(), "artifacts": artifacts})
    with pytest.raises(InputError, match=f"2: not made on this machine, and a SavedModel is a program .+{sha256}"):
        Predictor.load(path)
    assert Predictor.load(path, sha256=sha256.upper()).predict(image).iterations == 3
    with pytest.raises(InputError, match=f"its sha256 is {sha256}, not that of --sha256"):
        Predictor.load(path, trust=True, sha256="0" * 64)
    trusted_files.note_made_here({path: sha256})
    assert Predictor.load(path).predict(image).iterations == 3
    (path / "assets.extra" / "more").write_text("x")
    with pytest.raises(InputError, match="sha256 is .+, the manifest says"):
        Predictor.load(path)
    assert Predictor.load(path, trust=True).predict(image).iterations == 3


def test_without_the_signature_it_is_refused(saved_model, tmp_path):
    path = toy_exports.save(tmp_path / "model", serving_default="segment")
    shutil.copytree(saved_model / "2" / "assets.extra", path / "assets.extra")
    with pytest.raises(InputError, match="model: has no signature segment_tensors"):
        Predictor.load(path, trust=True)


@pytest.mark.parametrize(
    "file,message",
    [
        ("saved_model.pb", "not a complete SavedModel"),
        ("variables/variables.data-00000-of-00001", "not a complete SavedModel"),
        ("assets.extra/tfseg.json", r"its tfseg\.json is damaged \(.+\); export or download it again"),
    ],
)
def test_damage_is_one_line(saved_model, tmp_path, file, message):
    path = shutil.copytree(saved_model / "2", tmp_path / "damaged")
    content = (path / file).read_bytes()
    (path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match=message) as caught:
        Predictor.load(path, trust=True)
    assert len(str(caught.value).splitlines()) == 1


def test_a_model_that_refuses_an_image_says_why_in_one_line(network, tmp_path):
    described = toy_artifacts.description(network, "savedmodel")
    toy_artifacts.service.save(network, tmp_path / "1", described, 5, max_pixels=100)
    predictor = Predictor.load(tmp_path / "1", trust=True)
    with pytest.raises(InputError, match=r"segment_tensors at 16x24: .+100 pixels") as caught:
        predictor.predict(np.zeros([16, 24, 3], np.uint8))
    assert len(str(caught.value).splitlines()) == 1


def test_the_description_says_what_was_saved(saved_model):
    values = json.loads((saved_model / "2" / "assets.extra" / "tfseg.json").read_text())
    assert (values["kind"], values["max_iterations"], values["size"]) == ("savedmodel", 5, None)


@pytest.mark.parametrize("name", ["assets.extra/tfseg.json", "variables/variables.index", "saved_model.pb", "notes"])
def test_a_pipe_in_place_of_one_of_its_files_is_one_line_and_does_not_wait(saved_model, tmp_path, name):
    path = shutil.copytree(saved_model / "2", tmp_path / "model")
    (path / name).unlink(missing_ok=True)
    os.mkfifo(path / name)
    with pytest.raises(InputError, match=f"{name}: a pipe|saved_model"):
        Predictor.load(path, trust=True)


def test_a_link_to_itself_among_its_files_is_one_line(saved_model, tmp_path):
    path = shutil.copytree(saved_model / "2", tmp_path / "model")
    (path / "variables" / "variables.index").unlink()
    (path / "variables" / "variables.index").symlink_to("variables.index")
    with pytest.raises(InputError, match="variables.index: cannot be read"):
        Predictor.load(path, trust=True)
