"""The whole line: images and masks, records, training, evaluation, a segmented photo, all by the commands."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

import tfseg
from tests.conftest import write_toy_folder

TOY = (
    "--crop_size=48x64 --steps=150 --batch_size=4 --learning_rate=0.005 --validate_every=75 --checkpoint_every=50 "
    "--iters=3 --iters_range=2:4 --config.model.backbone.width_multiplier=0.35 --config.training.average_decay=0.8 "
    "--config.training.warmup_steps=0 --config.training.log_every=10 --init_backbone_from=none"
).split()


def run_command(command, *words, code=0):
    done = command.completed(*words)
    assert done.returncode == code, done.stderr[-2000:]
    assert "Traceback" not in done.stderr
    return done


def rows_of(path):
    with open(path) as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def run(command, tmp_path_factory):
    """A run of the recurrent model on a folder of images and masks, trained and evaluated by the commands."""
    root = tmp_path_factory.mktemp("line")
    write_toy_folder(root / "raw")
    workdir = root / "run"
    train = ["train.py", "--model=rnn", "--dataset=folder", f"--data_dir={root / 'raw'}", f"--workdir={workdir}", *TOY]
    run_command(command, *train)
    run_command(command, "evaluate.py", f"--model={workdir}", "--iters=4")
    return workdir


def test_training_leaves_config_weights_and_metrics(run):
    assert json.loads((run / "config.json").read_text())["model"]["iterations"] == 3
    for name in ("last.npz", "last.npz.sha256", "best.npz", "best.npz.sha256"):
        assert (run / "weights" / name).exists()
    rows = rows_of(run / "metrics.csv")
    losses = [float(row["loss"]) for row in rows if row["loss"]]
    assert losses[-1] < losses[0]
    assert list((run / "tensorboard").iterdir())


def test_three_bright_classes_are_learned(run):
    metrics = json.loads((run / "report" / "metrics.json").read_text())
    assert [entry["iteration"] for entry in metrics["iterations"]] == [1, 2, 3, 4]
    assert metrics["iterations"][2]["miou"] > 0.5


def test_the_report_has_curve_table_and_pictures(run):
    assert {"curve.png", "curve.csv", "report.md", "metrics.json", "strip.png"} <= {
        path.name for path in (run / "report").iterdir()
    }
    rows = rows_of(run / "report" / "curve.csv")
    assert [float(row["gmacs"]) for row in rows] == sorted(float(row["gmacs"]) for row in rows)


def test_a_photo_of_another_size_is_segmented_by_command_and_from_python_alike(command, run, tmp_path):
    photo = np.full([70, 90, 3], (200, 180, 160), np.uint8)
    photo[:, 50:] = (40, 60, 80)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    words = [f"--model={run}", "--iters=3", f"--output_dir={tmp_path / 'out'}", tmp_path / "photo.png"]
    run_command(command, "segment.py", *words)
    by_command = np.array(Image.open(tmp_path / "out" / "photo_classes.png"))
    from_python = tfseg.load(run).predict(photo, iters=3).class_ids
    np.testing.assert_array_equal(by_command, from_python)
    assert Image.open(tmp_path / "out" / "photo_overlay.jpg").size[0] >= 90


def test_a_missing_model_is_one_line_and_exit_code_2(command, tmp_path):
    done = run_command(command, "segment.py", f"--model={tmp_path}", tmp_path / "x.png", code=2)
    assert done.stderr.strip().splitlines()[-1].startswith("error: ")
