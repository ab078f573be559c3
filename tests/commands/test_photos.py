"""Photos and folders of photos, segmented into files."""

import dataclasses
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.fake_network import INFO, FakeNetwork, blocks
from tests.formats.png_files import deep_png
from tfseg.commands import photos
from tfseg.commands.photos import Outcome, PhotoOptions, report_outcome, segment_files
from tfseg.errors import InputError
from tfseg.inference import budget
from tfseg.inference.budget_measurement import choose_iterations
from tfseg.inference.predictor import Predictor
from tfseg.postprocess.fusion import Instance, PanopticPrediction

CLASS_IDS = np.array([[0, 1, 1], [2, 1, 0]])


@pytest.fixture(scope="module")
def predictor():
    return Predictor(FakeNetwork(), INFO)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("b.png", "a.PNG"):
        Image.fromarray(blocks(CLASS_IDS)).save(tmp_path / "in" / name)
    (tmp_path / "in" / "notes.txt").write_text("no image")
    return tmp_path / "in"


def names(path):
    return sorted(child.name for child in path.iterdir())


def test_a_folder_gives_class_ids_and_an_overlay_for_each_image(predictor, folder, tmp_path):
    outcome = segment_files(predictor, [folder], PhotoOptions(tmp_path / "out"))
    assert outcome == Outcome(num_done=2, num_iterations=6)
    assert names(tmp_path / "out") == ["a_classes.png", "a_overlay.jpg", "b_classes.png", "b_overlay.jpg"]
    picture = Image.open(tmp_path / "out" / "a_classes.png")
    np.testing.assert_array_equal(np.asarray(picture)[2::4, 2::4], CLASS_IDS)
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB"))[2::4, 2::4], blocks(CLASS_IDS)[2::4, 2::4])
    overlay = np.asarray(Image.open(tmp_path / "out" / "a_overlay.jpg"))
    assert overlay.shape[0] > 8  # the legend is below


def test_finished_files_are_passed_over_and_half_finished_ones_are_not(predictor, folder, tmp_path):
    options = PhotoOptions(tmp_path / "out")
    segment_files(predictor, [folder], options)
    (tmp_path / "out" / "b_overlay.jpg").unlink()
    (tmp_path / "out" / "a_classes.png").write_bytes(b"mine")
    outcome = segment_files(predictor, [folder], options)
    assert (outcome.num_done, outcome.num_skipped) == (1, 1)
    assert (tmp_path / "out" / "a_classes.png").read_bytes() == b"mine"
    outcome = segment_files(predictor, [folder], PhotoOptions(tmp_path / "out", overwrite=True))
    assert (outcome.num_done, outcome.num_skipped) == (2, 0)


def test_results_beside_the_photos_are_not_taken_for_photos(predictor, folder):
    for _ in range(2):
        segment_files(predictor, [folder], PhotoOptions(folder, with_strip=True, overwrite=True))
    assert len(names(folder)) == 3 + 2 * 3


def test_iterations_are_the_users_choice(predictor, folder, tmp_path):
    segment_files(predictor, [folder / "b.png"], PhotoOptions(tmp_path / "out", iters=1))
    assert not np.asarray(Image.open(tmp_path / "out" / "b_classes.png")).any()
    with pytest.raises(InputError, match="iters is 0"):
        segment_files(predictor, [folder], PhotoOptions(tmp_path / "out", iters=0))


def test_a_budget_chooses_the_iterations_once_for_each_size(predictor, folder, tmp_path, monkeypatch, capsys):
    measured = []

    def measure(predictor, image, budget_ms):
        measured.append((image.shape[:2], budget_ms))
        return choose_iterations({1: [10], 2: [50]}, budget_ms)

    monkeypatch.setattr(budget, "measure", measure)
    Image.fromarray(blocks([[1, 1]])).save(folder / "c.png")
    outcome = segment_files(predictor, [folder], PhotoOptions(tmp_path / "out", budget_ms=40))
    assert (outcome.num_done, measured) == (3, [((8, 12), 40), ((4, 8), 40)])
    assert not np.asarray(Image.open(tmp_path / "out" / "c_classes.png")).any()  # all red after 1 iteration
    assert "images of 4x8: 1 iteration: median 10.0 ms, p95 10.0 of 40 ms; 2 would take 50.0" in capsys.readouterr().out
    outcome = segment_files(predictor, [folder], PhotoOptions(tmp_path / "none", budget_ms=5))
    assert (outcome.num_done, len(outcome.problems)) == (0, 3)
    assert outcome.problems[2].startswith("images of 4x8: 1 iteration, the fewest, takes 10.0 ms")
    with pytest.raises(InputError, match="a budget chooses the iterations: omit it"):
        segment_files(predictor, [folder], PhotoOptions(tmp_path / "out", iters=2, budget_ms=5))


def test_bad_files_are_listed_and_the_others_are_done(predictor, folder, tmp_path, capsys):
    (folder / "empty.jpg").touch()
    (folder / "text.png").write_text("not a picture")
    (folder / "cut.png").write_bytes((folder / "b.png").read_bytes()[:60])
    (tmp_path / "nothing").mkdir()
    inputs = [folder, tmp_path / "nothing", tmp_path / "missing.jpg"]
    outcome = segment_files(predictor, inputs, PhotoOptions(tmp_path / "out"))
    assert outcome.num_done == 2
    for part in ("empty.jpg", "text.png", "cut.png", "nothing: no images", "missing.jpg: no such file"):
        assert any(part in line for line in outcome.problems), part
    assert len(names(tmp_path / "out")) == 4
    with pytest.raises(InputError, match="5 of the inputs"):
        report_outcome(outcome, "out")
    printed = capsys.readouterr()
    assert "2 images segmented into out" in printed.out
    assert len([line for line in printed.err.splitlines() if "missing.jpg" in line]) == 1


def test_hidden_files_in_a_folder_are_passed_over(predictor, folder, tmp_path):
    (folder / "._b.png").write_bytes(b"\0\5\x16\7Mac OS X")
    (folder / ".hidden.png").write_bytes((folder / "b.png").read_bytes())
    outcome = segment_files(predictor, [folder], PhotoOptions(tmp_path / "out"))
    assert outcome == Outcome(num_done=2, num_iterations=6)
    outcome = segment_files(predictor, [folder / ".hidden.png"], PhotoOptions(tmp_path / "named"))
    assert outcome.num_done == 1  # who names a file means it
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "._a.jpg").touch()
    (problem,) = segment_files(predictor, [tmp_path / "empty"], PhotoOptions(tmp_path / "none")).problems
    assert problem.endswith("empty: no images in this folder (.bmp, .gif, .jpeg, .jpg, .png and 4 more)")


def test_pictures_of_formats_that_are_not_read_are_passed_over_and_named(predictor, folder, tmp_path, capsys):
    for index in range(7):
        (folder / f"{index}.HEIC").touch()
    (folder / "._0.heic").touch()
    assert segment_files(predictor, [folder], PhotoOptions(tmp_path / "out")).num_done == 2
    said = capsys.readouterr().err
    assert (
        "passed over, as their format is not read: 0.HEIC, 1.HEIC, 2.HEIC, 3.HEIC, 4.HEIC and 2 more; convert" in said
    )


def test_pipes_and_dangling_links_in_a_folder_are_named_and_the_others_are_done(predictor, folder, tmp_path):
    os.mkfifo(folder / "pipe.jpg")
    (folder / "link.jpg").symlink_to(folder / "gone.jpg")
    (folder / "folder.jpg").mkdir()
    for inputs in ([folder], sorted(folder.glob("*.[jpP]*"))):
        outcome = segment_files(predictor, inputs, PhotoOptions(tmp_path / f"{len(inputs)}"))
        assert outcome.num_done == 2
        assert any("pipe.jpg: a pipe, socket or device, not a regular file" in line for line in outcome.problems)
        assert any("link.jpg: no such file" in line for line in outcome.problems)


OUT_OF_MEMORY = {
    "host": MemoryError(),
    "array": np.core._exceptions._ArrayMemoryError((1 << 40,), np.dtype(float)),
    "device": tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor"),
}


@pytest.mark.parametrize("error", OUT_OF_MEMORY.values(), ids=OUT_OF_MEMORY)
def test_a_photo_that_takes_too_much_memory_is_named_and_the_others_are_done(folder, tmp_path, monkeypatch, error):
    predictor = Predictor(FakeNetwork(), INFO)
    predict = predictor.predict

    def predict_small(image, *args, **options):
        if image.shape[1] > 12:
            raise error
        return predict(image, *args, **options)

    monkeypatch.setattr(predictor, "predict", predict_small)
    Image.fromarray(blocks(np.zeros([2, 9], int))).save(folder / "large.png")
    outcome = segment_files(predictor, [folder], PhotoOptions(tmp_path / "out"))
    assert outcome.num_done == 2
    (problem,) = outcome.problems
    assert "large.png: " in problem and "needs more memory than there is" in problem and "\n" not in problem


def test_the_longest_photos_have_an_overlay_if_need_be_without_a_legend(predictor, tmp_path, monkeypatch):
    monkeypatch.setattr(photos, "MAX_SIDE", 256)
    (tmp_path / "in").mkdir()
    Image.fromarray(blocks(np.zeros([64, 2], int))).save(tmp_path / "in" / "long.png")
    outcome = segment_files(predictor, [tmp_path / "in"], PhotoOptions(tmp_path / "out"))
    assert outcome.num_done == 1
    assert Image.open(tmp_path / "out" / "long_overlay.jpg").size == (8, 256)
    outcome = segment_files(predictor, [tmp_path / "in"], PhotoOptions(tmp_path / "strip", with_strip=True))
    assert outcome.problems[0].endswith("long.png: 8x256 is too long and narrow for --strip; omit it")


def test_a_side_that_no_overlay_can_have_is_named(predictor, folder, tmp_path):
    Image.new("RGB", (70_000, 10)).save(folder / "wide.png")
    outcome = segment_files(predictor, [folder], PhotoOptions(tmp_path / "out"))
    assert outcome.num_done == 2 and "wide.png: 70000x10, but a side has at most 65500" in outcome.problems[0]


def test_sixteen_bit_photos_are_refused_with_their_values(predictor, tmp_path):
    (tmp_path / "deep.png").write_bytes(deep_png(np.uint16([[[16, 4080, 255]]])))
    outcome = segment_files(predictor, [tmp_path / "deep.png"], PhotoOptions(tmp_path / "out"))
    assert "deep.png: 16 bits per channel, values 16 to 4080" in outcome.problems[0]


def test_an_image_above_the_limit_is_refused(predictor, folder, tmp_path):
    outcome = segment_files(predictor, [folder / "b.png"], PhotoOptions(tmp_path / "out", max_pixels=50))
    assert "b.png: 12x8" in outcome.problems[0]


def test_photos_that_differ_in_their_extension_keep_it(predictor, folder, tmp_path):
    Image.fromarray(blocks(CLASS_IDS)).save(folder / "b.bmp")
    segment_files(predictor, [folder, folder / "b.png"], PhotoOptions(tmp_path / "out"))
    written = [name for name in names(tmp_path / "out") if name.endswith("_classes.png")]
    assert written == ["a_classes.png", "b_bmp_classes.png", "b_png_classes.png"]
    (tmp_path / "b.png").write_bytes((folder / "b.png").read_bytes())
    with pytest.raises(InputError, match="would have the same results"):
        segment_files(predictor, [folder, tmp_path / "b.png"], PhotoOptions(tmp_path / "out"))


def test_names_may_hold_spaces_and_any_letters(predictor, folder, tmp_path):
    (folder / "b.png").rename(folder / "küche é 你.png")
    segment_files(predictor, [folder / "küche é 你.png"], PhotoOptions(tmp_path / "out"))
    assert names(tmp_path / "out") == ["küche é 你_classes.png", "küche é 你_overlay.jpg"]


def test_a_clean_outcome_is_one_line(capsys):
    report_outcome(Outcome(3, 2), "out")
    assert capsys.readouterr().out == "3 images segmented into out, 2 were there already (--overwrite)\n"


def test_a_panoptic_model_gives_instances(predictor, folder, tmp_path, monkeypatch):
    panoptic_ids = np.where(np.array(CLASS_IDS) == 1, 1007, np.array(CLASS_IDS) * 1000).repeat(4, 0).repeat(4, 1)
    found = Instance(
        panoptic_id=1007, class_id=1, score=0.91234, area=48, keypoints=np.array([[0.04, 4.0], [7.0, 11.0]])
    )
    panoptic = lambda image: PanopticPrediction(panoptic_ids.astype(np.int32), [found])  # noqa: E731
    monkeypatch.setattr(predictor.engine, "panoptic", panoptic)
    monkeypatch.setattr(predictor, "is_panoptic", True)
    segment_files(predictor, [folder / "b.png"], PhotoOptions(tmp_path / "out"))
    assert names(tmp_path / "out") == ["b_classes.png", "b_instances.json", "b_overlay.jpg", "b_panoptic.png"]
    colors = np.asarray(Image.open(tmp_path / "out" / "b_panoptic.png"))[2::4, 2::4]
    assert colors[0].tolist() == [[0, 0, 0], [1, 0, 7], [1, 0, 7]]
    assert json.loads((tmp_path / "out" / "b_instances.json").read_text()) == [
        {
            "class": "green",
            "class_id": 1,
            "instance": 7,
            "score": 0.9123,
            "area": 48,
            "keypoints": [[0.0, 4.0], [7.0, 11.0]],
        }
    ]


class TimedPredictor(Predictor):
    """Knows how many iterations of every call ran."""

    def predict(self, image, iters=None, *args, **limits):
        self.calls = [*getattr(self, "calls", []), (iters, limits)]
        return super().predict(image, iters, *args, **limits)


def test_a_strip_shows_the_iterations_that_the_budget_let_run(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(budget, "measure", lambda *_: choose_iterations({2: [10.0], 3: [1e9]}, 1e6))
    options = PhotoOptions(tmp_path / "out", budget_ms=1e6, with_strip=True)
    predictor = TimedPredictor(FakeNetwork(), INFO)
    assert segment_files(predictor, [folder / "b.png"], options).num_iterations == 2
    assert [count for count, limits in predictor.calls if limits["latest_start"] > 0] == [2]
    one = Image.open(tmp_path / "out" / "b_strip.png").width
    options = PhotoOptions(tmp_path / "three", iters=3, with_strip=True)
    segment_files(predictor, [folder / "b.png"], options)
    assert Image.open(tmp_path / "three" / "b_strip.png").width > one
    assert "1 of 1 images within 1e+06 ms\n" in capsys.readouterr().out


def test_the_closing_line_tells_how_many_stopped(folder, tmp_path, monkeypatch, capsys):
    # Nothing but the first iteration begins in time: the last one took longer than the budget.
    choice = dataclasses.replace(choose_iterations({1: [10.0], 3: [11.0]}, 20), endings=(1e9,))
    monkeypatch.setattr(budget, "measure", lambda *_: choice)
    outcome = segment_files(Predictor(FakeNetwork(), INFO), [folder], PhotoOptions(tmp_path / "out", budget_ms=20))
    assert outcome.num_iterations == 2
    assert "2 of them stopped after fewer iterations\n" in capsys.readouterr().out
    assert not np.asarray(Image.open(tmp_path / "out" / "a_classes.png")).any()  # all red after 1 iteration


def test_a_tolerance_stops_once_the_canvas_has_settled(predictor, folder, tmp_path, capsys):
    # The second iteration changes half of the classes, the third none.
    for tolerance, count in ((0.0, 3), (0.9, 2)):
        options = PhotoOptions(tmp_path / f"{count}", iters=6, tolerance=tolerance)
        outcome = segment_files(predictor, [folder], options)
        assert (outcome.num_done, outcome.num_iterations) == (2, 2 * count)
        report_outcome(outcome, "out")
        assert f"2 images segmented into out, {count:.1f} iterations on average\n" in capsys.readouterr().out
    for wrong in ({"tolerance": 2.0}, {"tolerance": 0.1, "budget_ms": 20.0}):
        with pytest.raises(InputError, match=r"a share of the canvas|a budget chooses the iterations"):
            segment_files(predictor, [folder], PhotoOptions(tmp_path / "no", **wrong))


def test_results_need_a_folder_before_anything_is_segmented(predictor, folder):
    with pytest.raises(InputError, match=r"notes.txt: cannot be written \(.+\); choose another --output_dir"):
        segment_files(predictor, [folder], PhotoOptions(folder / "notes.txt"))
