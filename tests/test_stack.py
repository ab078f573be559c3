"""tfseg runs on Keras 2, whichever Keras TensorFlow would take, and says so where it came too late to choose."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hanging import HANG_SECONDS

ROOT = Path(__file__).resolve().parent.parent
HAS_KERAS_3 = importlib.metadata.version("keras").startswith("3.")


def run(code):
    """Runs a program that has no choice of Keras in its environment."""
    environment = {name: value for name, value in os.environ.items() if name != "TF_USE_LEGACY_KERAS"}
    words = [sys.executable, "-W", "ignore", "-c", code]
    return subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=HANG_SECONDS)


@pytest.mark.parametrize("first", ["tfseg", "tensorflow"])
def test_keras_is_that_of_version_2_whichever_is_imported_first(first):
    other = {"tfseg": "tensorflow", "tensorflow": "tfseg"}[first]
    done = run(f"import {first}, {other}; print(tensorflow.keras.layers.Layer.__module__.split('.')[0])")
    assert (done.returncode, done.stdout) == (0, "tf_keras\n" if HAS_KERAS_3 else "keras\n"), done.stderr


@pytest.mark.skipif(not HAS_KERAS_3, reason="only Keras 2 is here")
def test_where_keras_3_is_in_use_the_import_fails_with_what_to_do():
    done = run("import tensorflow; tensorflow.keras.layers; import tfseg")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: tfseg needs Keras 2: import tfseg before tensorflow, or set TF_USE_LEGACY_KERAS=1"
    )


@pytest.mark.skipif(HAS_KERAS_3, reason="Keras 3 is here, and is kept out by the environment")
def test_where_there_is_no_choice_the_environment_is_left_alone():
    done = run("import os, tfseg; print(os.environ.get('TF_USE_LEGACY_KERAS'))")
    assert (done.returncode, done.stdout) == (0, "None\n"), done.stderr
