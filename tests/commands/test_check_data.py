"""prepare_data.py and check_data.py as a user meets them: pictures and a table, or one line and exit code 2."""

import functools
import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def run(command, tmp_path):
    """run("check_data.py", ...) -> the finished process, run in a scratch folder."""
    return functools.partial(command.completed, folder=tmp_path)


@pytest.fixture
def photos(tmp_path):
    """A folder of three images with black and white masks."""
    for kind in ("images", "masks"):
        (tmp_path / "photos" / kind).mkdir(parents=True)
    mask = np.zeros([8, 8], np.uint8)
    mask[:2] = 255
    for stem in "abc":
        Image.fromarray(np.full([8, 8, 3], 99, np.uint8)).save(tmp_path / "photos" / "images" / f"{stem}.jpg")
        Image.fromarray(mask).save(tmp_path / "photos" / "masks" / f"{stem}.png")
    return tmp_path / "photos"


def test_own_photos_are_prepared_and_checked(run, photos, tmp_path):
    prepared = run("prepare_data.py", "--dataset=folder", f"--raw_dir={photos}", "--data_dir=records", "--map=255:1")
    assert prepared.returncode == 0, prepared.stderr
    assert "train: 2 images in 1 shards" in prepared.stdout
    checked = run("check_data.py", "records")
    assert checked.returncode == 0, checked.stderr
    assert "| class_1         |  1 |    25.000 |      2 |" in checked.stdout.splitlines()
    assert sorted(path.name for path in (tmp_path / "records" / "check").iterdir()) == [
        "train_00000.png",
        "train_00001.png",
    ]


def test_records_without_a_train_split_are_shown_and_an_unknown_split_is_one_line_and_exit_2(run, photos, tmp_path):
    prepared = run("prepare_data.py", "--dataset=folder", f"--raw_dir={photos}", "--data_dir=records", "--map=255:1")
    assert prepared.returncode == 0, prepared.stderr
    path = tmp_path / "records" / "manifest.json"
    values = json.loads(path.read_text())
    del values["splits"]["train"], values["checksum"]
    path.write_text(json.dumps(values))
    checked = run("check_data.py", "records")
    assert checked.returncode == 0, checked.stderr
    assert [path.name for path in (tmp_path / "records" / "check").iterdir()] == ["val_00000.png"]
    refused = run("check_data.py", "records", "--split=train")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: records: no split 'train'; there are val\n"


def test_raw_photos_with_a_bad_mask_are_one_line_and_exit_2(command, run, photos):
    checked = run("check_data.py", photos, "--dataset=folder")
    assert checked.returncode == 2 and checked.stdout == ""
    last = checked.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "--map 255:1" in last
    assert "Traceback" not in checked.stderr
    assert list((command.folder / "cache").glob("folder-*")) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check_data.py"], "error: give one folder: python check_data.py DIR"),
        (["prepare_data.py", "--dataset=folder", "--data_dir=x", "--map=255"], "error: --map=255: give mask value"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(run, arguments, message):
    failed = run(*arguments)
    assert failed.returncode == 2
    assert failed.stderr.startswith(message) and failed.stderr.count("\n") == 1
