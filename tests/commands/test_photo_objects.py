"""Objects of photos in the files of annotation tools: what is written, what is kept, and what it costs."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.fake_network import COLORS, FakeNetwork, blocks
from tfseg.commands.photo_objects import ObjectOptions, checked_formats
from tfseg.commands.photos import PhotoOptions, report_outcome, segment_files
from tfseg.errors import InputError, NoConfidence
from tfseg.inference import budget
from tfseg.inference.budget_measurement import choose_iterations
from tfseg.inference.predictor import Predictor
from tfseg.labels import DatasetInfo
from tfseg.postprocess.fusion import Instance, PanopticPrediction

INFO = DatasetInfo("fake", ("background", "green", "blue"), COLORS, thing_ids=frozenset({1}))
CLASS_IDS = np.array([[0, 1, 1, 0], [2, 1, 0, 0], [0, 0, 0, 2]])
COCO, PHOTOS = "predictions_coco.json", ("a", "b")


class CountingPredictor(Predictor):
    """Knows for how many calls the confidence was asked."""

    num_calls = num_with_confidence = 0

    def predict(self, image, iters=None, with_confidence=False, **limits):
        self.num_calls += 1
        self.num_with_confidence += with_confidence
        return super().predict(image, iters, with_confidence, **limits)


@pytest.fixture
def predictor():
    return CountingPredictor(FakeNetwork(), INFO)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in PHOTOS:
        Image.fromarray(blocks(CLASS_IDS)).save(tmp_path / "in" / f"{name}.png")
    return tmp_path / "in"


def options(folder, *formats, overwrite=False, with_pictures=False, budget_ms=None, **of_objects):
    objects = ObjectOptions(formats, **{"min_area": 1} | of_objects)
    return PhotoOptions(folder, overwrite=overwrite, with_pictures=with_pictures, budget_ms=budget_ms, objects=objects)


def names(path):
    return sorted(child.relative_to(path).as_posix() for child in path.rglob("*") if child.is_file())


def read(path):
    return json.loads(path.read_text())


def test_all_formats_are_written_beside_the_pictures(predictor, folder, tmp_path):
    outcome = segment_files(predictor, [folder], options(tmp_path, "coco", "labelme", "yolo", with_pictures=True))
    pictures = [f"{name}{end}" for name in PHOTOS for end in ("_classes.png", "_overlay.jpg", ".json")]
    expected = [*pictures, COCO, "data.yaml", "labels/a.txt", "labels/b.txt", "in/a.png", "in/b.png"]
    assert names(tmp_path) == sorted(expected)
    assert (outcome.num_done, outcome.notes) == (2, ["6 objects written as coco, labelme, yolo"])
    content = read(tmp_path / COCO)
    assert [image["file_name"] for image in content["images"]] == ["a.png", "b.png"]
    found = [(one["image_id"], one["category_id"], one["bbox"]) for one in content["annotations"]]
    assert found[:3] == [(1, 1, [4, 0, 8, 8]), (1, 2, [0, 4, 4, 4]), (1, 2, [12, 8, 4, 4])]
    class_ids = np.asarray(Image.open(tmp_path / "a_classes.png"))
    assert sum(one["area"] for one in content["annotations"][:3]) == np.count_nonzero(class_ids)
    assert read(tmp_path / "a.json")["imagePath"] == "in/a.png"


def test_without_png_there_are_no_pictures(predictor, folder, tmp_path):
    segment_files(predictor, [folder], options(tmp_path / "out", "labelme"))
    assert names(tmp_path / "out") == ["a.json", "b.json"]


def test_a_score_is_the_mean_confidence_of_the_pixels(predictor, folder, tmp_path):
    segment_files(predictor, [folder], options(tmp_path / "out", "coco"))
    prediction = predictor.predict(folder / "a.png", with_confidence=True)
    for annotation in read(tmp_path / "out" / COCO)["annotations"][:3]:
        x, y, width, height = annotation["bbox"]
        is_inside = prediction.class_ids[y : y + height, x : x + width] == annotation["category_id"]
        mean = prediction.confidence[y : y + height, x : x + width][is_inside].mean()
        assert annotation["score"] == pytest.approx(mean, abs=1e-4)


def test_small_objects_are_left_out_and_counted(predictor, folder, tmp_path, capsys):
    outcome = segment_files(predictor, [folder], options(tmp_path / "out", "labelme", min_area=17))
    report_outcome(outcome, "out")
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == "2 objects written as labelme; 4 of fewer than 17 pixels are left out (--min_area)"


def test_what_a_person_corrected_is_never_replaced_unless_told_so(predictor, folder, tmp_path):
    out = tmp_path / "out"
    segment_files(predictor, [folder / "a.png"], options(out, "labelme", "yolo"))
    for name in ("a.json", "labels/a.txt"):
        (out / name).write_text("corrected")
    outcome = segment_files(predictor, [folder], options(out, "labelme", "yolo"))
    assert (outcome.num_done, outcome.num_skipped) == (1, 1)
    # Another format of the same photo is made, and the first is still left alone.
    outcome = segment_files(predictor, [folder], options(out, "labelme", "yolo", "coco", with_pictures=True))
    assert (outcome.num_done, outcome.num_skipped) == (2, 0)
    assert (out / "a.json").read_text() == (out / "labels/a.txt").read_text() == "corrected"
    assert (out / "a_overlay.jpg").exists() and len(read(out / COCO)["images"]) == 2
    segment_files(predictor, [folder], options(out, "labelme", "yolo", overwrite=True))
    assert "corrected" not in (out / "a.json").read_text() + (out / "labels/a.txt").read_text()


def test_the_file_of_all_photos_is_kept_and_nothing_is_segmented_for_it(predictor, folder, tmp_path):
    out = tmp_path / "out"
    segment_files(predictor, [folder], options(out, "coco"))
    before, num_calls = (out / COCO).read_bytes(), predictor.num_calls
    with pytest.raises(InputError, match=r"predictions_coco.json: is there already; --overwrite replaces it"):
        segment_files(predictor, [folder], options(out, "coco"))
    assert (out / COCO).read_bytes() == before and predictor.num_calls == num_calls
    segment_files(predictor, [folder / "a.png"], options(out, "coco", overwrite=True))
    assert len(read(out / COCO)["images"]) == 1


def test_names_of_other_classes_are_kept(predictor, folder, tmp_path):
    (tmp_path / "data.yaml").write_text("names: [cat]")
    with pytest.raises(InputError, match=r"data.yaml: is there already"):
        segment_files(predictor, [folder], options(tmp_path, "yolo"))


def test_the_file_of_all_photos_has_those_that_could_be_read(predictor, folder, tmp_path):
    (folder / "cut.png").write_bytes((folder / "b.png").read_bytes()[:60])
    outcome = segment_files(predictor, [folder], options(tmp_path / "out", "coco"))
    assert len(outcome.problems) == 1
    assert [image["file_name"] for image in read(tmp_path / "out" / COCO)["images"]] == ["a.png", "b.png"]
    outcome = segment_files(predictor, [folder / "cut.png"], options(tmp_path / "none", "coco"))
    assert (outcome.notes, names(tmp_path / "none")) == ([], [])


def test_two_results_of_one_name_are_refused(predictor, folder, tmp_path):
    (folder / "a.png").rename(folder / "predictions_coco.png")
    with pytest.raises(InputError, match=r"predictions_coco.json: would be the result of two things"):
        segment_files(predictor, [folder], options(tmp_path / "out", "coco", "labelme"))


def panoptic_predictor(monkeypatch, class_ids, keypoints):
    """A predictor whose instance 1007 is all of class 1; returns it."""
    predictor = CountingPredictor(FakeNetwork(), INFO)
    ids = (class_ids * 1000 + np.where(class_ids == 1, 7, 0)).repeat(4, 0).repeat(4, 1).astype(np.int32)
    found = Instance(1007, 1, 0.8125, int((ids == 1007).sum()), keypoints)
    monkeypatch.setattr(predictor.engine, "panoptic", lambda image: PanopticPrediction(ids, [found]))
    monkeypatch.setattr(predictor, "is_panoptic", True)
    return predictor


def test_instances_have_their_own_score_and_stuff_the_mean_confidence(folder, tmp_path, monkeypatch):
    predictor = panoptic_predictor(monkeypatch, CLASS_IDS, np.zeros([1, 2]))
    segment_files(predictor, [folder / "a.png"], options(tmp_path / "out", "coco"))
    instance, *stuff = read(tmp_path / "out" / COCO)["annotations"]
    assert (instance["category_id"], instance["score"], instance["area"]) == (1, 0.8125, 48)
    assert [one["category_id"] for one in stuff] == [2, 2] and all(one["score"] > 0.5 for one in stuff)
    assert (predictor.num_calls, predictor.num_with_confidence) == (2, 1)


def test_a_panoptic_model_runs_once_if_all_objects_are_instances(folder, tmp_path, monkeypatch):
    predictor = panoptic_predictor(monkeypatch, np.where(CLASS_IDS == 2, 0, CLASS_IDS), np.zeros([1, 2]))
    segment_files(predictor, [folder / "a.png"], options(tmp_path / "out", "labelme"))
    [shape] = read(tmp_path / "out" / "a.json")["shapes"]
    assert (shape["label"], shape["score"], predictor.num_calls) == ("green", 0.8125, 1)


def test_a_model_without_probabilities_gives_objects_without_scores_and_says_so(folder, tmp_path, monkeypatch):
    predictor = Predictor(FakeNetwork(), INFO)
    predict = predictor.predict

    def without_confidence(image, iters=None, with_confidence=False, **limits):
        if with_confidence:
            raise NoConfidence("x.tflite: gives class ids without probabilities")
        return predict(image, iters, **limits)

    monkeypatch.setattr(predictor, "predict", without_confidence)
    outcome = segment_files(predictor, [folder], options(tmp_path / "out", "labelme"))
    assert outcome.notes == ["6 objects written as labelme, without scores, because the model gives no probabilities"]
    assert not any("score" in shape for shape in read(tmp_path / "out" / "a.json")["shapes"])


def test_a_budget_holds_for_objects_too(predictor, folder, tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "measure", lambda *_: choose_iterations({2: [10.0], 3: [1e9]}, 1e6))
    outcome = segment_files(predictor, [folder], options(tmp_path / "out", "coco", budget_ms=1e6))
    assert (outcome.num_iterations, predictor.num_with_confidence) == (4, 2)
    assert all("score" in one for one in read(tmp_path / "out" / COCO)["annotations"])


def test_formats_are_named_in_any_order_once_each():
    assert checked_formats(["YOLO", " png", "yolo"]) == ("yolo", "png")
    with pytest.raises(InputError, match=r"'labelm' is none of png, coco, labelme, yolo; did you mean labelme\?"):
        checked_formats(["labelm"])
    with pytest.raises(InputError, match="--output_format is empty"):
        checked_formats([])
