"""Converts functions of a network to an ONNX file, through tf2onnx, in a process of its own."""

import importlib.util
import subprocess
import sys
import tempfile
from pathlib import Path

import tensorflow as tf

from tfseg.errors import InputError
from tfseg.export.functions import SEGMENT

OPSET = 17
TIMEOUT = 1800  # seconds
INSTALL = "pip install -r requirements-onnx.txt"


def convert(holder, signatures) -> bytes:
    """The ONNX file of a network after a fixed number of iterations.

    Args:
      holder: tf.Module that has the variables.
      signatures: of `NetworkFunctions.segment`. Input "image" and output "logits" keep their names and layout (NHWC).
    Raises:
      InputError: tf2onnx is not installed, or cannot convert it.
    """
    if importlib.util.find_spec("tf2onnx") is None:
        raise InputError(f"--format=onnx needs tf2onnx: {INSTALL}")
    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(holder, f"{folder}/functions", signatures)
        words = ["--saved-model", f"{folder}/functions", "--signature_def", SEGMENT, "--tag", "serve"]
        words += ["--opset", str(OPSET), "--output", f"{folder}/model.onnx"]
        try:
            child = subprocess.run(
                [sys.executable, "-W", "ignore", "-m", "tf2onnx.convert", *words],
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired:
            raise InputError(f"tf2onnx did not end within {TIMEOUT} seconds") from None
        path = Path(folder, "model.onnx")
        if child.returncode or not path.exists():
            lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
            raise InputError(f"tf2onnx cannot convert this model: {lines[-1]}")
        return _with_shapes(path, signatures[SEGMENT].structured_outputs)


def _with_shapes(path, outputs):
    """The file with the true shapes of its outputs: tf2onnx takes those of resized maps for multiples of the map's."""
    import onnx

    model = onnx.load(path)
    # Those of values in between are as wrong, and not needed.
    del model.graph.value_info[:]
    for output in model.graph.output:
        for dimension, size in zip(output.type.tensor_type.shape.dim, outputs[output.name].shape, strict=True):
            dimension.dim_value = size
    return model.SerializeToString()
