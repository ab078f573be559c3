"""Memory in use, while images change their size."""

import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.hanging import HANG_SECONDS
from tfseg.benchmarks import memory
from tfseg.errors import InputError
from tfseg.formats import export_manifest, trusted_files

ROOT = Path(__file__).resolve().parents[2]
ZOO = ROOT / "model_zoo" / "camvid_rnn_mobilenet_v2"


def test_sizes_differ_stay_within_half_and_all_of_the_largest_and_are_the_same_each_time():
    sizes = memory.sizes_of(300, (40, 60))
    assert len(set(sizes)) == 300
    heights, widths = map(np.array, zip(*sizes, strict=True))
    assert heights.min() >= 20 and heights.max() <= 40 and widths.min() >= 30 and widths.max() <= 60
    assert memory.sizes_of(300, (40, 60)) == sizes


def test_more_sizes_than_there_are_is_an_error():
    assert len(memory.sizes_of(6, (2, 4))) == 6  # 1 and 2 by 2, 3 and 4
    with pytest.raises(InputError, match="--sizes=7: up to 2x4 there are 6; give a larger size"):
        memory.sizes_of(7, (2, 4))


def test_growth_is_the_most_that_was_held_after_every_size_was_seen(monkeypatch):
    held, seen = iter([100.0, 900.0, 200.0, 210.0, 250.0, 240.0, 230.0]), []
    monkeypatch.setattr(memory.resident_memory, "held_bytes", lambda: 1e6 * next(held))
    result = memory.soak(seen.append, ["a", "b", "c"], 7)
    assert seen == list(itertools.islice(itertools.cycle("abc"), 7))
    assert (result.settled, result.most, result.growth) == (200, 250, 1.25)
    assert (len(result.first), len(result.later)) == (3, 4)
    assert str(result).splitlines()[0] == (
        "200 MB after 3 calls, each of a new size; at most 250 MB in the 4 after them: 1.25 times (goal 1.3)"
    )


def test_a_server_gets_files_and_gives_files(tmp_path):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "image_bytes")])
    def echo(image_bytes):
        return {"mask_png_bytes": image_bytes}

    tf.saved_model.save(module, tmp_path / "with", {"serving_default": echo})
    tf.saved_model.save(module, tmp_path / "without", {"other": echo})
    for name in ("with", "without"):
        trusted_files.note_made_here({tmp_path / name: export_manifest.sha256(tmp_path / name)})
    assert memory.served(tmp_path / "with")(b"a file").tolist() == [b"a file"]
    with pytest.raises(InputError, match="without: has no signature serving_default; export.py --format=savedmodel"):
        memory.served(tmp_path / "without")


def run(*words, **environment):
    command = [sys.executable, "-m", "tfseg.benchmarks.memory", *map(str, words)]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=HANG_SECONDS
    )


@pytest.mark.slow
def test_memory_in_use_stays_within_its_goal_whatever_the_sizes(tmp_path):
    """The long form is the program's own: 3000 calls of 300 sizes."""
    short = ("--calls=240", "--sizes=80", "--largest=120x160")
    words = [f"--model={ZOO}", "--format=savedmodel", "--check_images=0", f"--output_dir={tmp_path}"]
    subprocess.run([sys.executable, "export.py", *words], cwd=ROOT, check=True, timeout=HANG_SECONDS)
    exported = tmp_path / ZOO.name / "serving" / ZOO.name
    for done in (
        run(f"--model={ZOO}", *short),
        run(f"--model={exported}", "--served", *short, TF_ENABLE_ONEDNN_OPTS="0"),
    ):
        assert done.returncode == 0, done.stderr
        assert float(re.search(r"([\d.]+) times \(goal", done.stdout)[1]) <= memory.MOST_GROWTH
        assert len(re.findall(r"ms an image", done.stdout)) == 2
