"""Converts functions of a network to an ONNX file with tf2onnx, in a separate process."""

import importlib.util
import subprocess
import sys

import tensorflow as tf

from tfseg.errors import InputError
from tfseg.export.functions import SEGMENT
from tfseg.system.temporary import TemporaryFolder

OPSET = 17
TIMEOUT = 1800  # seconds
INSTALL = "pip install -r requirements-onnx.txt"


def convert(holder, signatures) -> bytes:
    """Returns the ONNX file of a network with a fixed number of iterations.

    Args:
      holder: tf.Module that holds the variables.
      signatures: the result of `NetworkFunctions.segment`. The input "image" and the output "logits" keep their names
        and layout (NHWC).
    Raises:
      InputError: tf2onnx is not installed, or cannot convert the network.
    """
    if importlib.util.find_spec("tf2onnx") is None:
        raise InputError(f"--format=onnx needs tf2onnx: {INSTALL}")
    with TemporaryFolder() as folder:
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
        path = folder / "model.onnx"
        if child.returncode or not path.exists():
            lines = child.stderr.strip().splitlines() or [f"exit code {child.returncode}"]
            raise InputError(f"tf2onnx cannot convert this model: {lines[-1]}")
        return _with_shapes(path, signatures[SEGMENT].structured_outputs)


def _with_shapes(path, outputs):
    """Returns the file with the true output shapes: tf2onnx writes multiples of the small map's sizes for a resize."""
    import onnx

    model = onnx.load(path)
    # The shapes of intermediate values are wrong in the same way, and not needed.
    del model.graph.value_info[:]
    for output in model.graph.output:
        for dimension, size in zip(output.type.tensor_type.shape.dim, outputs[output.name].shape, strict=True):
            dimension.dim_value = size
    return model.SerializeToString()
