"""Operators of .tflite files, and whether phones' GPUs can run them."""

import numpy as np
import pytest
import tensorflow as tf

from tests.export.toy_exports import changed, converted, kernel, loop
from tfseg.errors import InputError
from tfseg.export import compatibility
from tfseg.formats import tflite_file
from tfseg.system import child_process

pytestmark = pytest.mark.usefixtures("warm_children")

IMAGE = [1, 16, 24, 3]
judged = pytest.mark.skipif(not compatibility.JUDGES_GPUS, reason="this TensorFlow's analyser has no verdict on GPUs")


def network(image):
    features = tf.nn.relu(tf.nn.conv2d(image, kernel(3, 3, 3, 8), 2, "SAME") + kernel(8))
    return tf.image.resize(tf.nn.conv2d(features, kernel(3, 3, 8, 4), 1, "SAME"), [16, 24])


@pytest.fixture
def verdict(tmp_path, monkeypatch):
    """What `gpu_verdict` says about a file's bytes; the child's work is done here, without its start-up."""
    monkeypatch.setattr(child_process, "run", lambda module, job, timeout: compatibility._report(job))

    def written_and_judged(content):
        (tmp_path / "model.tflite").write_bytes(content)
        return compatibility.gpu_verdict(tmp_path / "model.tflite")

    return written_and_judged


def with_flex():
    """Counts of class ids, for which plain runtimes have no operator."""
    count = lambda ids: tf.math.bincount(ids, minlength=3, maxlength=3)  # noqa: E731
    function = tf.function(count).get_concrete_function(tf.TensorSpec([5], tf.int32))
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS, tf.lite.OpsSet.SELECT_TF_OPS]
    return bytes(converter.convert())


def test_operators_are_counted_in_all_subgraphs(read_tflite):
    model = read_tflite(converted(network, IMAGE))
    assert compatibility.operators(model) == {"CONV_2D": 2, "RESIZE_BILINEAR": 1}
    # The loop's condition takes iterations[0] and compares, its body adds and convolves.
    model = read_tflite(converted(loop, [1, 9, 7, 4], tf.TensorSpec([1], tf.int32, name="iterations")))
    counts = {"ADD": 1, "CONV_2D": 1, "LESS": 1, "STRIDED_SLICE": 1, "WHILE": 1}
    assert compatibility.operators(model) == counts
    assert list(compatibility.operators(model)) == sorted(counts)
    assert compatibility.flex_or_custom(model) == []


def test_an_operator_that_runtimes_lack_has_its_own_name(read_tflite, verdict):
    content = with_flex()
    model = read_tflite(content)
    assert compatibility.operators(model)["FlexDenseBincount"] == 1
    assert compatibility.flex_or_custom(model) == ["FlexDenseBincount"]
    if compatibility.JUDGES_GPUS:
        assert "FlexDenseBincount: not supported" in verdict(content)


@pytest.mark.skipif(compatibility.JUDGES_GPUS, reason="this TensorFlow's analyser has a verdict on GPUs")
def test_there_is_no_verdict_where_the_analyser_calls_everything_compatible(tmp_path, verdict):
    (tmp_path / "flex.tflite").write_bytes(with_flex())
    assert "looks compatible with GPU" in compatibility._report({"path": str(tmp_path / "flex.tflite")})["report"]
    assert verdict(with_flex()) is None


@judged
def test_the_analyser_runs_in_a_process_of_its_own(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(converted(lambda image: tf.argmax(network(image), -1), IMAGE))
    assert compatibility.gpu_verdict(path) == ["ARG_MAX: not supported"]


@judged
@pytest.mark.parametrize("precision", ["float32", "float16", "dynamic"])
def test_convolutions_and_resizing_run_on_gpus(read_tflite, verdict, precision):
    content = converted(network, IMAGE, precision=precision)
    assert compatibility.operators(read_tflite(content)).get("DEQUANTIZE", 0) == (4 if precision == "float16" else 0)
    assert verdict(content) == []


@judged
def test_what_does_not_run_on_gpus_is_named_with_its_reason(verdict):
    largest = lambda image: tf.argmax(network(image), -1, tf.int32)  # noqa: E731
    assert verdict(converted(largest, IMAGE)) == ["ARG_MAX: not supported"]
    assert verdict(converted(largest, IMAGE, precision="float16")) == ["ARG_MAX: not supported"]
    of_bytes = converted(lambda image: network(tf.cast(image, tf.float32)), tf.TensorSpec(IMAGE, tf.uint8))
    [reason] = verdict(of_bytes)
    assert reason.startswith("CAST: ") and "UINT8" in reason
    reasons = verdict(converted(loop, [1, 9, 7, 4], tf.TensorSpec([1], tf.int32, name="iterations")))
    assert reasons[0] == "WHILE: not supported"
    assert [reason.split(":")[0] for reason in reasons] == ["WHILE", "STRIDED_SLICE"]


@judged
def test_dequantize_is_passed_over_only_where_its_input_is_in_the_file(verdict):
    def ask_for_kernels(model):
        [graph] = model.subgraphs
        halves = [op.inputs[0] for op in graph.operators if tflite_file.kind(model, op) == "DEQUANTIZE"]
        for index in halves:
            graph.tensors[index].buffer = 0
        graph.inputs = [*graph.inputs, *halves]

    content = changed(converted(network, IMAGE, precision="float16"), ask_for_kernels)
    assert verdict(content) == ["CONV_2D: Expected 1 or 2 input tensor(s), but node has 3 runtime inputs."]


def test_folded_constants_are_those_of_the_file(read_tflite):
    model = read_tflite(converted(network, IMAGE, precision="float16"))
    assert compatibility._fold(model)
    assert compatibility.operators(model) == {"CONV_2D": 2, "RESIZE_BILINEAR": 1}
    [graph] = model.subgraphs
    kernels = graph.tensors[graph.operators[0].inputs[1]]
    found = np.asarray(model.buffers[kernels.buffer].data).view("<f4").reshape(tflite_file.shape_of(kernels))
    expected = kernel(3, 3, 3, 8).numpy().astype(np.float16).astype(np.float32)
    np.testing.assert_array_equal(found, expected.transpose(3, 0, 1, 2))
    assert not compatibility._fold(model)


def test_a_file_cut_short_is_refused_before_the_analyser_sees_it(verdict, monkeypatch):
    monkeypatch.setattr(child_process, "run", None)
    with pytest.raises(InputError, match=r"model\.tflite: damaged, or not a .tflite file"):
        verdict(converted(network, IMAGE)[:-40])


@judged
def test_an_analyser_that_crashes_is_one_line(verdict, monkeypatch):
    def crash(*_):
        raise child_process.ChildError("it ended by SIGSEGV")

    monkeypatch.setattr(child_process, "run", crash)
    with pytest.raises(
        InputError, match=r"model\.tflite: TensorFlow's analyser cannot read it \(it ended by SIGSEGV\)"
    ):
        verdict(converted(network, IMAGE))


@judged
def test_a_report_without_a_verdict_is_not_taken_for_compatible(verdict, monkeypatch):
    monkeypatch.setattr(child_process, "run", lambda *_: {"report": "=== model.tflite ===\n"})
    with pytest.raises(InputError, match="gives no verdict on it"):
        verdict(converted(network, IMAGE))
