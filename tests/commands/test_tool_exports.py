"""What the tools' own libraries exported goes through every command as a user gives it; `making` says where it is from.

Classes and pixels are compared in `tests/data/datasets/test_tool_exports.py`.
"""

import json
import shutil
from pathlib import Path

import pytest

EXPORTS = Path(__file__).resolve().parents[1] / "formats/annotations/exports"
NAMES = sorted(path.name for path in EXPORTS.iterdir())
TINY = (
    "--steps=2 --batch_size=2 --init_backbone_from=none --config.model.backbone.width_multiplier=0.35 "
    "--config.training.log_every=1"
).split()


@pytest.fixture
def run(command, tmp_path):
    """run("check_data.py", ...) -> the finished process, run in a scratch folder; it must have ended well."""

    def completed(*words):
        done = command.completed(*words, folder=tmp_path)
        assert done.returncode == 0, done.stderr[-2000:]
        return done

    return completed


@pytest.fixture
def export(tmp_path):
    """export(name) -> a copy of an export, in which commands may write."""
    return lambda name: shutil.copytree(EXPORTS / name / "export", tmp_path / "export")


@pytest.mark.parametrize("name", NAMES)
def test_an_export_is_checked_with_overlays_and_prepared(run, export, tmp_path, name):
    root = export(name)
    checked = run("check_data.py", root, "--dataset=folder", "--output_dir=seen")
    assert "note: annotations are read from" in checked.stderr
    assert {path.name for path in (tmp_path / "seen").iterdir()} >= {"train_00000.png", "train_00001.png"}
    prepared = run("prepare_data.py", "--dataset=folder", f"--raw_dir={root}", "--data_dir=records")
    assert prepared.stdout.startswith("train: 2 images")
    assert {"dog", "car", "tree"} <= set(
        json.loads((tmp_path / "records/manifest.json").read_text())["info"]["class_names"]
    )


def trained(run, root, model, size):
    run(
        "train.py",
        f"--model={model}",
        "--dataset=folder",
        f"--data_dir={root}",
        "--workdir=run",
        f"--crop_size={size}",
        *TINY,
    )
    run("evaluate.py", "--model=run")
    photo = next(path for path in sorted(root.rglob("*street.jpg")))
    run("segment.py", "--model=run", "--output_format=png,coco,labelme,yolo", "--output_dir=out", "--min_area=1", photo)
    return photo.stem


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_an_export_trains_a_model_that_is_scored_by_object_and_segments_a_photo(run, export, tmp_path, name):
    stem = trained(run, export(name), "deeplabv3", "32x32")
    assert "iIoU" in (tmp_path / "run/report/report.md").read_text()
    for result in (f"{stem}_classes.png", f"{stem}_overlay.jpg", "predictions_coco.json", f"{stem}.json", "data.yaml"):
        assert (tmp_path / "out" / result).exists()


@pytest.mark.slow
def test_an_export_with_instances_trains_a_panoptic_model(run, export, tmp_path):
    trained(run, export("datumaro_coco_instances"), "deeperlab", "33x33")
    report = (tmp_path / "run/report/report.md").read_text()
    assert "PQ" in report and "iIoU" in report
