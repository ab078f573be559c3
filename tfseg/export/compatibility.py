"""Where a .tflite file can run: its operators, and what keeps it off phones' GPUs.

The second is what TensorFlow's analyser says, which needs no GPU. It runs in a process of its own, this module as a
program, since it can crash.
"""

import collections
import contextlib
import io
import re
import tempfile
from pathlib import Path

import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python import schema_py_generated as schema

from tfseg.errors import InputError
from tfseg.formats import tflite_file
from tfseg.system import child_process

TIMEOUT = 1800  # seconds; for an analyser that hangs, also on a busy machine
# Lines of the analyser's report.
OPERATOR = re.compile(r"\s+Op#\d+ (\w+)\(")
WARNING = re.compile(r"GPU COMPATIBILITY WARNING: (?!Subgraph#)(.+)")
VERDICT = re.compile(r"looks compatible with GPU delegate|has GPU delegate compatibility issues at nodes")


def operators(model) -> dict[str, int]:
    """How often each operator is in a model, over all subgraphs: {name: count}, by name.

    Custom ones have their own names, those of TensorFlow itself with "Flex" before it.
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


def gpu_verdict(path) -> list[str]:
    """What keeps TFLite's GPU delegate from running a whole .tflite file; nothing means that it looks compatible.

    Returns:
      "OPERATOR: reason", each once, in the order of the file.
    Raises:
      InputError: a damaged file, or one on which the analyser fails.
    """
    model = tflite_file.read(path)
    with tempfile.TemporaryDirectory() as folder:
        analysed = Path(path)
        if _fold(model):
            analysed = Path(folder) / "folded.tflite"
            builder = flatbuffers.Builder(1 << 16)
            builder.Finish(model.Pack(builder), tflite_file.IDENTIFIER)
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
    """Turns constants of 16 bits into those of 32 that their DEQUANTIZE makes of them; whether there are any.

    The delegate does so too, but the analyser does not: convolutions with such kernels seem to have too many inputs.
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
