"""Tells where a .tflite file can run: lists its operators, and what keeps it off phones' GPUs.

The verdict on GPUs comes from TensorFlow's analyser, which needs no GPU. The analyser can crash, so it runs in a
separate process, with this module as the program.
"""

import collections
import contextlib
import io
import re
from pathlib import Path

import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from tfseg.errors import InputError
from tfseg.formats import tflite_bytes, tflite_file
from tfseg.system import child_process
from tfseg.system.temporary import TemporaryFolder

# The analyser of TensorFlow 2.20 calls all files compatible, even those with TensorFlow's own operators.
JUDGES_GPUS = tf.__version__.startswith("2.15.")
TIMEOUT = 1800  # seconds; only an analyser that hangs takes this long, even on a busy machine
# Patterns for lines of the analyser's report.
OPERATOR = re.compile(r"\s+Op#\d+ (\w+)\(")
WARNING = re.compile(r"GPU COMPATIBILITY WARNING: (?!Subgraph#)(.+)")
VERDICT = re.compile(r"looks compatible with GPU delegate|has GPU delegate compatibility issues at nodes")


def operators(model) -> dict[str, int]:
    """Counts each operator of a model, over all subgraphs: {name: count}, sorted by name.

    Custom operators appear under their own names; TensorFlow's own operators have the prefix "Flex".
    """
    found = (_name(model, operator) for graph in model.subgraphs for operator in graph.operators)
    return dict(sorted(collections.Counter(found).items()))


def flex_or_custom(model) -> list[str]:
    """Names of the operators that plain TFLite runtimes lack, sorted."""
    custom = {
        _name(model, operator)
        for graph in model.subgraphs
        for operator in graph.operators
        if tflite_file.kind(model, operator) == "CUSTOM"
    }
    return sorted(custom)


def gpu_verdict(path) -> list[str] | None:
    """Lists what keeps TFLite's GPU delegate from running a whole .tflite file.

    Returns:
      Lines "OPERATOR: reason", each once, in the order of the file; an empty list if the file looks compatible. None
      with a TensorFlow whose analyser has no verdict.
    Raises:
      InputError: the file is damaged, or the analyser fails on it.
    """
    model = tflite_file.read(path)
    if not JUDGES_GPUS:
        return None
    with TemporaryFolder() as folder:
        analysed = Path(path)
        if _fold(model):
            analysed = folder / "folded.tflite"
            builder = flatbuffers.Builder(1 << 16)
            builder.Finish(model.Pack(builder), tflite_bytes.IDENTIFIER)
            analysed.write_bytes(builder.Output())
        try:
            report = child_process.run("tfseg.export.compatibility", {"path": str(analysed)}, TIMEOUT)["report"]
        except child_process.ChildError as error:
            raise InputError(f"{path}: TensorFlow's analyser cannot read it ({error}); export it again") from error
    if not VERDICT.search(report):
        raise InputError(f"{path}: TensorFlow's analyser gives no verdict on it; export it again")
    return _reasons(report)


def _name(model, operator):
    kind = tflite_file.kind(model, operator)
    if kind != "CUSTOM":
        return kind
    return tflite_file.text(model.operatorCodes[operator.opcodeIndex].customCode) or kind


def _fold(model) -> bool:
    """Replaces float16 constants by the float32 constants that their DEQUANTIZE makes; returns whether there are any.

    The delegate does this too, but the analyser does not: to it, convolutions with such kernels have too many inputs.
    """
    is_folded = False
    for graph in model.subgraphs:
        kept = []
        for operator in graph.operators:
            tensor = graph.tensors[operator.inputs[0]] if tflite_file.kind(model, operator) == "DEQUANTIZE" else None
            if tensor is None or not _is_half_constant(model, tensor):
                kept.append(operator)
                continue
            half = np.frombuffer(bytes(model.buffers[tensor.buffer].data), "<f2")
            buffer = schema.BufferT()
            buffer.data = half.astype("<f4").view(np.uint8)
            graph.tensors[operator.outputs[0]].buffer = len(model.buffers)
            model.buffers.append(buffer)
            is_folded = True
        graph.operators = kept
    return is_folded


def _is_half_constant(model, tensor):
    is_half = tensor.type == schema.TensorType.FLOAT16 and tensor.sparsity is None
    return is_half and model.buffers[tensor.buffer].data is not None


def _reasons(report):
    reasons, operator = [], ""
    for line in report.splitlines():
        if match := OPERATOR.match(line):
            operator = match[1]
        elif match := WARNING.match(line):
            reason = f"{operator}: " + re.sub(
                rf"^Not supported (custom )?op {operator}$", "not supported", match[1].strip()
            )
            reasons += [] if reason in reasons else [reason]
    return reasons


def _report(job):
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        tf.lite.experimental.Analyzer.analyze(model_path=job["path"], gpu_compatibility=True)
    return {"report": printed.getvalue()}


if __name__ == "__main__":
    child_process.answer(_report)
