"""A .tflite file of ours predicts what its network predicts, for as many iterations as it was made for."""

import io
import zipfile

import numpy as np
import pytest

from tests.fake_network import INFO
from tests.inference.conftest import SIZE
from tests.inference.engines import toy_artifacts
from tfseg.errors import InputError, NoConfidence
from tfseg.formats import export_manifest
from tfseg.inference.engines import tflite_runtime
from tfseg.inference.predictor import Predictor
from tfseg.inference.runner import Inference
from tfseg.inference.views import View, resized_pixels


def load(path, **options):
    return Predictor.load(path, **({"trust": True} | options))


def resized(network, photo, iterations):
    """What the network says of the photo at SIZE, enlarged to the photo's."""
    [answer] = Inference(network).refine([photo], iterations, (View(base_size=SIZE),), last_only=True)
    return answer.class_ids_and_confidence()


@pytest.mark.parametrize("kind,counts", [("segment", [3]), ("stream", [1, 2, 5]), ("dynamic", [1, 2, 5])])
def test_every_kind_equals_the_network(files, by_network, image, class_ids, kind, counts):
    predictor = load(files / f"{kind}.tflite")
    assert (predictor.info, predictor.default_iterations, predictor.is_recurrent) == (INFO, 3, True)
    for count in counts:
        ours, theirs = (one.predict(image, count, with_confidence=True) for one in (predictor, by_network))
        np.testing.assert_array_equal(ours.class_ids, theirs.class_ids)
        np.testing.assert_allclose(ours.confidence, theirs.confidence, atol=1e-5)
        assert ours.iterations == count and ours.class_ids.dtype == np.uint8
    np.testing.assert_array_equal(predictor.predict(image).class_ids[2::4, 2::4], class_ids)


@pytest.mark.parametrize("kind", ["segment", "stream", "dynamic"])
def test_images_of_another_size_are_resized_and_their_logits_enlarged(files, network, photo, kind):
    prediction = load(files / f"{kind}.tflite").predict(photo, with_confidence=True)
    class_ids, confidence = resized(network, photo, 3)
    assert prediction.class_ids.shape == photo.shape[:2]
    # A segment file enlarges twice, to its own size and to the image's.
    is_same = prediction.class_ids == class_ids
    assert is_same.mean() == 1 if kind == "stream" else is_same.mean() > 0.95
    assert np.abs(prediction.confidence - confidence)[is_same].mean() < (1e-5 if kind == "stream" else 0.05)


def test_aligned_grids_are_enlarged_as_they_were_made(photo, tmp_path):
    network = toy_artifacts.ToyNetwork(padding="symmetric")
    (tmp_path / "a.tflite").write_bytes(toy_artifacts.tflite(network, "stream", (17, 25)))
    [answer] = Inference(network).refine([photo], 2, (View(base_size=(17, 25)),), last_only=True)
    np.testing.assert_array_equal(load(tmp_path / "a.tflite").predict(photo, 2).class_ids, answer.class_ids())


def test_a_resizable_file_takes_images_as_they_are(photo, tmp_path):
    network = toy_artifacts.ToyNetwork(padding="symmetric")
    (tmp_path / "a.tflite").write_bytes(toy_artifacts.tflite(network, "resizable", None))
    [answer] = Inference(network).refine([photo], 3, last_only=True)
    np.testing.assert_array_equal(load(tmp_path / "a.tflite").predict(photo).class_ids, answer.class_ids())


@pytest.fixture
def class_map(tmp_path):
    network = toy_artifacts.ToyNetwork()
    (tmp_path / "a.tflite").write_bytes(toy_artifacts.tflite(network, "class_map", (16, 24)))
    return network, load(tmp_path / "a.tflite")


def test_a_class_map_file_gives_the_classes_of_the_network_without_confidence(class_map, photo):
    network, predictor = class_map
    pixels = resized_pixels(photo, (16, 24))
    [expected] = Inference(network).refine([pixels], 3, last_only=True)
    np.testing.assert_array_equal(predictor.predict(pixels).class_ids, expected.class_ids())
    with pytest.raises(NoConfidence, match=r"a\.tflite: gives class ids without probabilities"):
        predictor.predict(pixels, with_confidence=True)


def test_a_class_map_takes_the_nearest_pixel_where_the_image_has_another_size(class_map):
    _, predictor = class_map
    image = np.tile(np.uint8([0, 255]).repeat(24)[:, np.newaxis], (32, 1, 3))  # twice the file's size
    found = predictor.predict(image).class_ids
    assert found.shape == (32, 48)
    np.testing.assert_array_equal(found, found[::2, ::2].repeat(2, 0).repeat(2, 1))


def test_a_class_map_with_a_class_that_nobody_named_is_refused(class_map, photo, monkeypatch):
    _, predictor = class_map
    found = np.full([1, 16, 24], 9, np.uint8)
    monkeypatch.setattr(predictor.engine._program, "run", lambda signature, inputs: {"class_ids": found})
    with pytest.raises(InputError, match=r"a\.tflite: its map has class id 9; known are 0 to 2"):
        predictor.predict(photo)


@pytest.mark.parametrize("kind", ["stream", "dynamic"])
def test_every_iteration_is_there(files, by_network, image, kind):
    maps = load(files / f"{kind}.tflite").predict_iterations(image, 5)
    np.testing.assert_array_equal(maps, by_network.predict_iterations(image, 5))
    assert (maps[0] == 0).all() and len(maps) == 5


def test_a_fixed_file_has_one_number_of_iterations_and_one_map(files, image):
    predictor = load(files / "segment.tflite")
    assert (predictor.min_iterations, predictor.max_iterations) == (3, 3)
    for count in (1, 2, 4):
        with pytest.raises(InputError, match=rf"iters is {count}; .+segment\.tflite always runs 3"):
            predictor.predict(image, count)
    with pytest.raises(InputError, match="only the class map after iteration 3 comes out of it"):
        predictor.predict_iterations(image)


@pytest.mark.parametrize("kind", ["stream", "dynamic"])
def test_more_iterations_than_were_exported_are_refused(files, image, kind):
    predictor = load(files / f"{kind}.tflite")
    assert (predictor.min_iterations, predictor.max_iterations) == (1, 5)
    with pytest.raises(InputError, match=rf"iters is 6; .+{kind}\.tflite was exported for 1 to 5"):
        predictor.predict(image, 6)


def test_a_feed_forward_file_runs_once(image, class_ids, tmp_path):
    network = toy_artifacts.ToyNetwork(is_recurrent=False)
    (tmp_path / "once.tflite").write_bytes(toy_artifacts.tflite(network, "segment", SIZE))
    predictor = load(tmp_path / "once.tflite")
    np.testing.assert_array_equal(predictor.predict(image).class_ids[2::4, 2::4], class_ids)
    assert len(predictor.predict_iterations(image, 1)) == 1
    with pytest.raises(InputError, match="not recurrent"):
        predictor.predict(image, 2)


def test_a_file_that_nothing_lists_is_said_to_be_unchecked(files, tmp_path, capsys):
    load(files / "stream.tflite", trust=False)
    assert "stream.tflite: no manifest.json beside it lists it" in capsys.readouterr().err
    (tmp_path / "a.tflite").write_bytes((files / "stream.tflite").read_bytes())
    artifacts = {"a.tflite": {"kind": "stream", "sha256": export_manifest.sha256(tmp_path / "a.tflite")}}
    export_manifest.write(
        tmp_path, {"format": "tfseg 1", "name": "a", "classes": INFO.to_dict(), "artifacts": artifacts}
    )
    load(tmp_path / "a.tflite", trust=False)
    assert capsys.readouterr().err == ""


def test_a_file_that_normalises_itself_takes_no_mean(files):
    with pytest.raises(InputError, match=r"--mean and --std do not apply to .+segment\.tflite"):
        load(files / "segment.tflite", mean=127.5, std=127.5)


def described(content, change):
    """The file with another tfseg.json."""
    end = content.index(b"PK\3\4")
    archive = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(archive, "w") as new:
        for name in old.namelist():
            text = old.read(name)
            new.writestr(name, change(text) if name == "tfseg.json" else text)
    return content[:end] + archive.getvalue()


@pytest.mark.parametrize(
    "change,message",
    [
        (
            lambda text: text.replace(b'"tfseg 1"', b'"tfseg 2"'),
            "its format is 'tfseg 2', this version reads 'tfseg 1'",
        ),
        (lambda text: text.replace(b'"segment"', b'"dynamic"'), "not those of a dynamic file of 3 classes"),
        (lambda text: text.replace(b'"segment"', b'"stream"'), "not those of a stream file of 3 classes"),
        (lambda text: text.replace(b'"segment"', b'"onnx"'), "of the kind 'onnx', this version runs segment, "),
        (
            lambda text: text.replace(b'"stride": 4', b'"stride": 0'),
            r"its tfseg\.json is damaged \(stride is 0; it must be 1 or more\)",
        ),
        (lambda text: text[:-20], "its metadata is damaged"),
    ],
)
def test_a_description_that_does_not_fit_is_one_line(files, tmp_path, change, message):
    path = tmp_path / "a.tflite"
    path.write_bytes(described((files / "segment.tflite").read_bytes(), change))
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_file_cut_short_is_one_line_and_is_not_run(files, tmp_path, monkeypatch):
    monkeypatch.setattr(tflite_runtime, "interpreter", None)
    content = (files / "stream.tflite").read_bytes()
    for share in (0, 10, 25, 50, 75, 90, 99):
        (tmp_path / "cut.tflite").write_bytes(content[: len(content) * share // 100])
        with pytest.raises(InputError, match=r"cut\.tflite: damaged, or not a .tflite file") as caught:
            load(tmp_path / "cut.tflite")
        assert len(str(caught.value).splitlines()) == 1
