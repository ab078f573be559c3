"""The commands evaluate.py and segment.py: a mistake is one line and exit code 2, before anything slow begins."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["evaluate.py"], "--model is missing"),
        (["evaluate.py", "runs/a"], "unexpected arguments: runs/a"),
        (["evaluate.py", "--model=runs/a", "--size=513"], "--size=513: HEIGHTxWIDTH"),
        (["evaluate.py", "--model=runs/a", "--weights=first"], "should be one of <last|best>"),
        (["evaluate.py", "--model=runs/a", "--window=500x500"], "--window=500x500: two multiples of 32"),
        (["evaluate.py", "--model=runs/a", "--stride=32x32"], "--stride=32x32 does nothing without --window"),
        (["evaluate.py", "--model=runs/a", "--scales=1,big"], "--scales=1,big: numbers are wanted"),
        (["evaluate.py", "--model=runs/a", "--fuse=exp_logits", "--flip"], "does nothing without several scales"),
        (["evaluate.py", "--model=runs/a", "--match=car:car"], "--dataset and --match go together"),
        (
            ["evaluate.py", "--model=a", "--dataset=camvid", "--match=car"],
            "--match=car: MODEL:DATA pairs of class names",
        ),
        (["segment.py", "photo.jpg"], "--model is missing"),
        (["segment.py", "--model=runs/a"], "which photos?"),
        (["segment.py", "--model=runs/a", "--itres=3"], "Did you mean: iters"),
        (["segment.py", "--model=runs/a", "--iters=3", "--budget_ms=80", "x.jpg"], "--iters and --budget_ms are both"),
        (["segment.py", "--model=runs/a", "--budget_ms=0", "x.jpg"], "budget_ms is 0; milliseconds above 0"),
        (["segment.py", "--model=a.tflite", "--mean=1,2", "x.jpg"], "--mean=1,2: one number, or three"),
        (["segment.py", "--model=a", "--output_format=png,labelm", "x.jpg"], "'labelm' is none of png, coco, labelme"),
        (["segment.py", "--model=a", "--output_format=", "x.jpg"], "--output_format is empty; one or more of png"),
        (["segment.py", "--model=a", "--output_format=coco", "x.mp4"], "--output_format=coco is for photos, not for"),
        (["segment.py", "--model=a", "--output_format=coco", "--camera=0"], "is for photos, not for videos"),
        (["segment.py", "--model=a", "--rle", "--output_format=yolo", "x.jpg"], "it is for --output_format=coco"),
        (["segment.py", "--model=a", "--min_area=9", "x.jpg"], "it is for --output_format=coco,labelme,yolo"),
        (["segment.py", "--model=a", "--output_format=coco", "--min_area=0", "x.jpg"], "min_area"),
        (["segment.py", "--model=a", "--output_format=coco", "--simplify_px=-1", "x.jpg"], "--simplify_px=-1: pixels"),
        (
            ["segment.py", "--model=a", "--output_format=coco", "--simplify_px=nan", "x.jpg"],
            "--simplify_px=nan: pixels",
        ),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command, arguments, message):
    done = command.completed(*arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
