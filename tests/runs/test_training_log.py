"""metrics.csv: read for figures, or one line that names the fault; a damaged one does not hold up a run."""

import os

import pytest

from tfseg.errors import InputError
from tfseg.runs.training_log import LogRow, read_log, recovered_rows

TEXT = "step,loss,images_per_second,val_miou\n1,0.5,8.0,\n2,nan,9.0,\n2,,,0.25\n"
ROWS = [
    {"step": "1", "loss": "0.5", "images_per_second": "8.0", "val_miou": ""},
    {"step": "2", "loss": "nan", "images_per_second": "9.0", "val_miou": ""},
    {"step": "2", "loss": "", "images_per_second": "", "val_miou": "0.25"},
]


def test_figures_are_read_from_the_rows(tmp_path):
    (tmp_path / "metrics.csv").write_text(TEXT)
    assert read_log(tmp_path / "metrics.csv") == [LogRow(1, None, 8.0), LogRow(2, None, 9.0), LogRow(2, 0.25)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"step\nx\n", r"metrics.csv: damaged \(line 2, step is 'x', not a number\); correct the line"),
        (b"step\n-1\n", r"metrics.csv: damaged \(line 2, step is -1; it must be 0 or more\)"),
        (b"loss\n1\n", r"metrics.csv: damaged \(line 2, step is missing\)"),
        (b"step,val_miou\n1,7\n", r"metrics.csv: damaged \(line 2, val_miou is 7.0; it must be at most 1\)"),
        (b"step\n\xff\n", r"metrics.csv: damaged \(byte 5 is not UTF-8\)"),
        (None, r"metrics.csv: cannot be read \(No such file or directory\)"),
    ],
)
def test_a_log_that_cannot_be_read_is_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "metrics.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_log(tmp_path / "metrics.csv")


def test_rows_up_to_a_step_are_kept_to_the_letter(tmp_path, capsys):
    (tmp_path / "metrics.csv").write_text(TEXT)
    assert recovered_rows(tmp_path, 2) == ROWS
    assert recovered_rows(tmp_path, 1) == ROWS[:1]
    (tmp_path / "metrics.csv").write_text(TEXT + "3,0.")  # cut by a kill
    assert recovered_rows(tmp_path, 9) == ROWS
    assert capsys.readouterr().err == ""
    assert recovered_rows(tmp_path / "new", 9) == []


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (lambda data: data.replace(b"0.5", b"0.\xff"), ROWS[1:]),
        (lambda data: data.replace(b"0.5", b"0.x"), ROWS[1:]),
        (lambda data: data.replace(b"1,0.5", b"1,\x00,0.5"), ROWS[1:]),
        (lambda data: data.replace(b"1,0.5", b"one,0.5"), ROWS[1:]),
        (lambda data: data.replace(b"1,0.5", b'"1,0.5'), ROWS[1:]),
        (lambda data: data.replace(b"step", b"stop"), []),
        (lambda data: b"\xff" + data, []),
        (lambda data: b"\x00" * 4096 + b"\n", []),
        (lambda data: b"\x00" * 96, []),
        (lambda data: data + b"\x00" * 96, ROWS),
        (lambda data: data.replace(b"\n", b"\r"), []),
        (lambda data: data.replace(b"loss", b"lo\x00ss"), []),
        (lambda data: data + b"3," + b"9" * 5000 + b"x,,\n", ROWS),
    ],
)
def test_a_damaged_log_is_put_aside_and_its_whole_rows_are_kept(tmp_path, capsys, damage, kept):
    content = damage(TEXT.encode())
    (tmp_path / "metrics.csv").write_bytes(content)
    assert recovered_rows(tmp_path, 9) == kept
    assert (tmp_path / "metrics.csv.bad").read_bytes() == content
    assert os.listdir(tmp_path) == ["metrics.csv.bad"]
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{tmp_path}/metrics.csv: damaged (")
    assert line.endswith(f"it is kept as metrics.csv.bad, and the log goes on with its {len(kept)} whole rows")


def test_a_pipe_is_no_log(tmp_path):
    os.mkfifo(tmp_path / "metrics.csv")
    for read in (lambda: read_log(tmp_path / "metrics.csv"), lambda: recovered_rows(tmp_path, 1)):
        with pytest.raises(InputError, match="metrics.csv: a pipe"):
            read()


@pytest.mark.parametrize("content", [None, b""])
def test_a_log_that_is_gone_is_said_when_a_run_goes_on(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "metrics.csv").write_bytes(content)
    assert recovered_rows(tmp_path, 0) == [] and capsys.readouterr().err == ""
    assert recovered_rows(tmp_path, 4) == []
    assert "missing or empty; the log begins anew after step 4" in capsys.readouterr().err
