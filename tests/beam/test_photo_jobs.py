"""Photos segmented by the tasks of a job: the same files as without Beam, and what is told at the end."""

import functools
import importlib.util
import os

import numpy as np
import pytest
from PIL import Image

from tests.beam import jobs
from tests.fake_network import INFO, FakeNetwork, blocks
from tfseg.beam import launching, photo_jobs
from tfseg.beam.launching import BeamRunner
from tfseg.commands import photos
from tfseg.commands.photo_objects import ObjectOptions
from tfseg.commands.photos import Outcome, PhotoOptions
from tfseg.errors import InputError
from tfseg.inference.predictor import Predictor
from tfseg.system.files import locked

NUM_PHOTOS = 12
RUNNER = BeamRunner("DirectRunner")
needs_beam = pytest.mark.skipif(
    importlib.util.find_spec("apache_beam") is None, reason="Apache Beam is not installed here; make test-beam has it"
)


@pytest.fixture(scope="module")
def predictor():
    return Predictor(FakeNetwork(), INFO)


@pytest.fixture
def segment(predictor, monkeypatch):
    """segment(inputs, options) -> Outcome, of tasks that are done in this process in another order."""

    class Source:
        def load(self):
            return predictor

    monkeypatch.setattr(launching, "run", jobs.run_here)
    return lambda inputs, options: photo_jobs.segment_files(Source(), predictor, inputs, options, RUNNER)


@pytest.fixture
def folder(tmp_path):
    """Twelve photos of 8x12 pixels."""
    generator = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for index in range(NUM_PHOTOS):
        image = Image.fromarray(blocks(generator.integers(0, 3, [2, 3])))
        image.save(tmp_path / "in" / f"{index:02d}.png")
    return tmp_path / "in"


def contents(path):
    return {child.relative_to(path): child.read_bytes() for child in path.rglob("*") if child.is_file()}


@pytest.mark.parametrize("options", [{}, {"with_strip": True, "iters": 2}], ids=["as it is", "with strips"])
def test_the_files_are_those_without_beam(segment, predictor, folder, tmp_path, options):
    outcome = segment([folder], PhotoOptions(tmp_path / "beam", **options))
    plain = photos.segment_files(predictor, [folder], PhotoOptions(tmp_path / "plain", **options))
    assert outcome == plain and outcome.num_done == NUM_PHOTOS
    assert contents(tmp_path / "beam") == contents(tmp_path / "plain")


def test_so_are_objects_and_their_counts(segment, predictor, folder, tmp_path):
    objects = ObjectOptions(("labelme", "yolo"), min_area=20)
    outcomes = [
        run([folder], PhotoOptions(tmp_path / name, objects=objects))
        for name, run in (("beam", segment), ("plain", functools.partial(photos.segment_files, predictor)))
    ]
    assert outcomes[0] == outcomes[1]
    assert contents(tmp_path / "beam") == contents(tmp_path / "plain")
    assert "objects written as labelme, yolo" in outcomes[0].notes[0]


def test_what_failed_is_listed_in_the_order_of_the_inputs(segment, folder, tmp_path):
    for index in (7, 3, 10):
        (folder / f"{index:02d}.png").write_text("no picture")
    outcome = segment(["gone.png", folder], PhotoOptions(tmp_path / "out"))
    assert (outcome.num_done, outcome.num_skipped) == (NUM_PHOTOS - 3, 0)
    lines = (tmp_path / "out" / "failed.txt").read_text().splitlines()
    assert lines == outcome.problems
    beginnings = ["gone.png: no such file", *(f"{folder}/{name}.png: is not an image" for name in ("03", "07", "10"))]
    assert [line.startswith(beginning) for line, beginning in zip(lines, beginnings, strict=True)] == [True] * 4


def test_the_same_call_does_what_is_left_and_forgets_what_failed_before(segment, folder, tmp_path):
    whole = (folder / "05.png").read_bytes()
    (folder / "05.png").write_bytes(whole[:40])
    options = PhotoOptions(tmp_path / "out")
    assert segment([folder], options).num_done == NUM_PHOTOS - 1
    (folder / "05.png").write_bytes(whole)
    (tmp_path / "out" / "02_overlay.jpg").unlink()
    before = contents(tmp_path / "out")
    outcome = segment([folder], options)
    assert (outcome.num_done, outcome.num_skipped, outcome.problems) == (2, NUM_PHOTOS - 2, [])
    after = contents(tmp_path / "out")
    added = ["02_overlay.jpg", "05_classes.png", "05_overlay.jpg"]
    assert sorted(str(name) for name in after.keys() - before.keys()) == added
    assert {str(name) for name in before.keys() - after.keys()} == {"failed.txt"}


def test_two_jobs_do_not_write_into_one_folder(segment, folder, tmp_path):
    (tmp_path / "out").mkdir()
    with (
        locked(tmp_path / "out" / photo_jobs.LOCK, lambda: None),
        pytest.raises(InputError, match="out: another job writes into this folder"),
    ):
        segment([folder], PhotoOptions(tmp_path / "out"))
    assert not list((tmp_path / "out").glob("*_classes.png"))


@pytest.mark.parametrize("number, size", [(1, 1), (100, 1), (640, 10), (10_000, 64), (4_000_000, 200)])
def test_tasks_are_many_and_hold_every_photo_once(number, size):
    tasks = photo_jobs.chunks(list(range(number)))
    assert len(tasks[0]) == size
    assert [photo for task in tasks for photo in task] == list(range(number))


def test_the_end_is_one_line_of_counts(capsys):
    photo_jobs.report_outcome(Outcome(3, 2, num_iterations=6), "out")
    printed = capsys.readouterr()
    assert printed.out == "written 3, skipped 2, failed 0 (photos, out); 2.0 iterations on average\n"
    assert printed.err == ""


def test_failures_make_the_end_an_error_that_names_the_list(capsys):
    problems = [f"{index}.png: bad" for index in range(30)]
    with pytest.raises(InputError, match=r"^30 of the inputs could not be used; out/failed\.txt lists them$"):
        photo_jobs.report_outcome(Outcome(1, problems=problems), "out")
    printed = capsys.readouterr()
    assert "written 1, skipped 0, failed 30" in printed.out
    assert printed.err.splitlines() == [*problems[:20], "and 10 more"]


@pytest.mark.parametrize(
    "words, message",
    [
        (["--runner=DirectRunner", "clip.mp4"], "--runner is for photos"),
        (["--runner=DirectRunner", "--budget_ms=50", "a.png"], "--budget_ms is measured on one machine"),
        (["--runner=DirectRunner", "--output_format=coco", "a.png"], "--output_format=coco is one file for all photos"),
        (["--beam_option=direct_num_workers=2", "a.png"], "--beam_option does nothing here: it is for --runner"),
        (["--inputs_from=gone.txt"], "gone.txt: No such file or directory; a text file with the path of a photo"),
    ],
    ids=["video", "budget", "coco", "option", "list"],
)
def test_what_a_runner_cannot_do_is_said_before_a_model_is_loaded(command, words, message):
    answer = command("segment.py", "--model=nothing", *words)
    assert answer["code"] == 2 and answer["err"].startswith(f"error: {message}"), answer["err"]
    assert answer["err"].count("\n") == 1


@needs_beam
@pytest.mark.slow
def test_workers_write_what_the_command_writes_without_them(command, folder, tmp_path):
    (folder / "bad.png").write_text("no picture")
    (tmp_path / "list.txt").write_text(f"{folder}\n\ngone.png\n")
    words = ["--model=zoo:camvid_rnn_mobilenet_v2", "--iters=1", f"--inputs_from={tmp_path / 'list.txt'}"]
    plain = command("segment.py", *words, f"--output_dir={tmp_path / 'plain'}")
    runner = ["--runner=DirectRunner", "--beam_option=direct_num_workers=2"]
    beam = command("segment.py", *words, *runner, f"--output_dir={tmp_path / 'beam'}")
    assert (plain["code"], beam["code"]) == (2, 2), beam["err"]
    assert "written 12, skipped 0, failed 2" in beam["out"]
    names = sorted(os.listdir(tmp_path / "plain"))
    assert sorted(os.listdir(tmp_path / "beam")) == sorted([*names, "failed.txt"])
    for name in names:
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "beam" / name).read_bytes(), name
