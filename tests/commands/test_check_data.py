"""prepare_data.py and check_data.py as a user meets them: pictures and a table, or one line and exit code 2."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.hanging import HANG_SECONDS

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def command(tmp_path):
    """command("check_data.py", ...) -> the finished process, run in a scratch folder."""

    def run(name, *arguments):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "TFSEG_CACHE": str(tmp_path / "cache")}
        words = [sys.executable, str(ROOT / name), *map(str, arguments)]
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS
        )

    return run


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


def test_own_photos_are_prepared_and_checked(command, photos, tmp_path):
    prepared = command(
        "prepare_data.py", "--dataset=folder", f"--raw_dir={photos}", "--data_dir=records", "--map=255:1"
    )
    assert prepared.returncode == 0, prepared.stderr
    assert "train: 2 images in 1 shards" in prepared.stdout
    checked = command("check_data.py", "records")
    assert checked.returncode == 0, checked.stderr
    assert "| class_1         |  1 |    25.000 |      2 |" in checked.stdout.splitlines()
    assert sorted(path.name for path in (tmp_path / "records" / "check").iterdir()) == [
        "train_00000.png",
        "train_00001.png",
    ]


def test_records_without_a_train_split_are_shown_and_an_unknown_split_is_one_line_and_exit_2(command, photos, tmp_path):
    prepared = command(
        "prepare_data.py", "--dataset=folder", f"--raw_dir={photos}", "--data_dir=records", "--map=255:1"
    )
    assert prepared.returncode == 0, prepared.stderr
    path = tmp_path / "records" / "manifest.json"
    values = json.loads(path.read_text())
    del values["splits"]["train"], values["checksum"]
    path.write_text(json.dumps(values))
    checked = command("check_data.py", "records")
    assert checked.returncode == 0, checked.stderr
    assert [path.name for path in (tmp_path / "records" / "check").iterdir()] == ["val_00000.png"]
    refused = command("check_data.py", "records", "--split=train")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert refused.stderr == "error: records: no split 'train'; there are val\n"


def test_raw_photos_with_a_bad_mask_are_one_line_and_exit_2(command, photos, tmp_path):
    checked = command("check_data.py", photos, "--dataset=folder")
    assert checked.returncode == 2 and checked.stdout == ""
    last = checked.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "--map 255:1" in last
    assert "Traceback" not in checked.stderr
    assert [path.name for path in (tmp_path / "cache").iterdir()] == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["check_data.py"], "error: give one folder: python check_data.py DIR"),
        (["prepare_data.py", "--dataset=folder", "--data_dir=x", "--map=255"], "error: --map=255: give mask value"),
    ],
)
def test_bad_flags_are_one_line_and_exit_2(command, arguments, message):
    failed = command(*arguments)
    assert failed.returncode == 2
    assert failed.stderr.startswith(message) and failed.stderr.count("\n") == 1
