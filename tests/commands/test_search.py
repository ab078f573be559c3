"""search.py as a user meets it: a search and its cells, and one line and exit code 2 for what it cannot use."""

import dataclasses

import pytest

from tests.commands.test_train import assert_one_line
from tests.nas import toy_videos
from tests.training.toy_run import toy_config
from tfseg import architectures
from tfseg.runs.run_directory import save_weights, write_config

TINY = ("--layers=1", "--epochs=1", "--frame_gap=2", "--strategy=random", "--candidates=1", "--workdir=search")


@pytest.fixture(scope="module")
def folder(command, toy_records):
    """The command's folder with videos, the run of a tiny arch2, that of another model, and one on single images."""
    records = toy_videos.write_videos(command.folder / "videos", 20, 4, gap=2)
    network = architectures.build(toy_videos.CONFIG, toy_videos.INFO.num_classes)
    toy_videos.write_run(command.folder / "run", records, network)
    write_config(command.folder / "fcn", toy_config(records, {}), toy_videos.INFO)
    single = dataclasses.replace(toy_videos.CONFIG)
    info = dataclasses.replace(toy_videos.INFO, class_names=("bright", "dark", "green"), colors=((0, 0, 0),) * 3)
    config = toy_config(toy_records, {})
    config.model = single
    write_config(command.folder / "single", config, info)
    save_weights(command.folder / "single" / "weights" / "last.npz", architectures.build(single, 3))
    return command.folder


WRONG = {
    (): "--model is missing",
    ("--model=nowhere",): "nowhere: not a run directory",
    ("--model=fcn",): "fcn: a fcn; cells are searched for a trained arch2",
    ("--model=run", "more"): "unexpected arguments: more",
    ("--model=run", "--candidates=0"): "--candidates=0: at least 1",
    ("--model=run", "--minutes=0"): "--minutes=0.0: a time above 0",
    ("--model=run", "--layers=0"): "--layers=0: 1 to 20",
    ("--model=run", "--frames=1"): "a clip has at least 2 frames, not 1",
    ("--model=run", "--epochs=0"): "a candidate's epochs is 0",
    ("--model=run", "--count=3"): "--count does nothing without --derive",
    ("--model=run", "--split=val"): "no split 'val'; there are train",
    ("--model=run", "--frame_gap=1"): "too few clips of 2 frames at most 1 apart in the split train",
    ("--model=run", "--preset=huge"): "--preset",
    ("--model=single",): "the images of the split train are no frames of videos",
    ("--derive=best",): "no search that has a candidate",
    ("--derive=best", "--count=0"): "--count=0: at least 1",
}


@pytest.mark.parametrize("words", WRONG, ids=" ".join)
def test_what_it_cannot_use_is_one_line_and_exit_code_2(command, folder, words):
    done = command("search.py", "--workdir=wrong", *words)
    lines = done["err"].splitlines()
    done["err"] = f"{lines[-1]}\n" if lines else ""  # the lines before it say how far it came
    assert_one_line(done, WRONG[words])
    assert "Traceback" not in "".join(lines)


@pytest.mark.slow
def test_a_search_ends_with_its_best_cell_and_goes_on_from_there(command, folder):
    done = command("search.py", "--model=run", *TINY)
    assert done["code"] == 0, done["err"]
    assert "| random   | " in done["out"] and "report: search/report.md" in done["out"]
    assert "--init_from=run" in done["out"]
    again = command("search.py", "--model=run", *TINY)
    assert (again["code"], again["out"]) == (0, done["out"])
    derived = command("search.py", "--workdir=search", "--derive=best", "--count=1")
    assert (derived["code"], derived["err"]) == (0, "")
    assert "candidate 1 of random, reward 0." in derived["out"]
    other = command("search.py", "--model=run", *TINY, "--seed=1")
    assert_one_line(other, "search: holds a search with other settings")


def test_the_help_says_what_the_presets_have(command):
    done = command("search.py", "--help")
    assert (done["code"], done["err"]) == (0, "")
    assert "python search.py --model=runs/camvid_arch2" in done["out"]
    assert "Epochs of a candidate; 3 (mini), 20 (paper) or 10" in done["out"]
