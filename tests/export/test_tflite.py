""".tflite files against the network, in both interpreters."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter as LiteRTInterpreter

from tests.export.test_functions import IMAGE, SIZE, logits_of, recurrent
from tests.hanging import HANG_SECONDS
from tfseg.errors import InputError
from tfseg.export import compatibility, tflite
from tfseg.export.functions import NetworkFunctions
from tfseg.formats import tflite_file
from tfseg.layers.resize import upsample
from tfseg.system import child_process

pytestmark = pytest.mark.usefixtures("warm_children")

ITERATIONS = (1, 5)
IMAGES = np.random.default_rng(0).integers(0, 256, [3, *SIZE, 3]).astype(np.uint8)


@pytest.fixture(scope="module")
def network():
    return recurrent()


@pytest.fixture(scope="module")
def functions(network):
    return NetworkFunctions(network, SIZE)


@pytest.fixture(scope="module")
def files(functions):
    """{name: content} of float32 files."""
    signatures = {f"segment_{n}": functions.segment(n) for n in ITERATIONS}
    signatures |= {"stream": functions.stream(), "dynamic": functions.dynamic(5)}
    signatures |= {"resizable": functions.resizable(3), "class_map_5": functions.class_map(5)}
    return {name: tflite.convert(functions.holder, traced, "fp32") for name, traced in signatures.items()}


def opened(interpreter, content):
    """A function (signature, inputs) -> outputs."""
    model = interpreter(model_content=content)
    model.allocate_tensors()
    return lambda signature, **inputs: model.get_signature_runner(signature)(**inputs)


def streamed(run, iterations):
    """Logits after that many steps from zeros, and the state."""
    features = run("encode", image=IMAGE.numpy())
    shapes = {"canvas": 3, "h1": 8, "c1": 8, "h2": 4, "c2": 4, "h3": 3, "c3": 3}
    size = features["invariant_i"].shape[1:3]
    state = {name: np.zeros([1, *size, channels], np.float32) for name, channels in shapes.items()}
    for _ in range(iterations):
        state = run("refine", **features, **state)
    return run("decode", canvas=state["canvas"])["logits"], state


@pytest.mark.parametrize("interpreter", [tf.lite.Interpreter, LiteRTInterpreter], ids=["tensorflow", "litert"])
@pytest.mark.parametrize("iterations", ITERATIONS)
def test_every_form_gives_the_networks_logits(network, files, interpreter, iterations):
    expected = logits_of(network, iterations).numpy()
    image = {"image": IMAGE.numpy()}
    count = {"iterations": np.array([iterations], np.int32), "tolerance": np.array([-1], np.float32)}
    answers = [
        opened(interpreter, files[f"segment_{iterations}"])("serving_default", **image)["logits"],
        opened(interpreter, files["dynamic"])("serving_default", **image, **count)["logits"],
        streamed(opened(interpreter, files["stream"]), iterations)[0],
    ]
    for logits in answers:
        assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()
        np.testing.assert_array_equal(logits.argmax(-1), expected.argmax(-1))


@pytest.mark.parametrize("interpreter", [tf.lite.Interpreter, LiteRTInterpreter], ids=["tensorflow", "litert"])
def test_a_class_map_is_the_argmax_of_the_logits(files, interpreter):
    image = {"image": IMAGE.numpy()}
    logits = opened(interpreter, files["segment_5"])("serving_default", **image)["logits"]
    class_ids = opened(interpreter, files["class_map_5"])("serving_default", **image)["class_ids"]
    assert class_ids.dtype == np.uint8
    np.testing.assert_array_equal(class_ids, logits.argmax(-1))
    assert len(np.unique(class_ids)) > 1


def test_a_class_map_of_8_bits_is_the_argmax_of_the_logits_of_8_bits_the_first_of_equal_ones(functions):
    image, answers = np.rint(IMAGE).astype(np.uint8), []
    for traced in (functions.segment(3), functions.class_map(3)):
        model = tf.lite.Interpreter(model_content=tflite.convert(functions.holder, traced, "int8", IMAGES))
        [given], [answer] = model.get_input_details(), model.get_output_details()
        model.allocate_tensors()
        model.set_tensor(given["index"], image)
        model.invoke()
        answers.append(model.get_tensor(answer["index"]))
    logits, class_ids = answers
    assert (class_ids.dtype, class_ids.shape) == (np.uint8, (1, *SIZE))
    np.testing.assert_array_equal(class_ids, logits.argmax(-1))


@pytest.mark.parametrize("interpreter", [tf.lite.Interpreter, LiteRTInterpreter], ids=["tensorflow", "litert"])
def test_a_resizable_file_takes_any_size(network, files, interpreter):
    model = interpreter(model_content=files["resizable"])
    index = model.get_input_details()[0]["index"]
    for size in ((64, 64), (64, 96), (50, 37), (33, 50)):
        image = tf.random.stateless_uniform([1, *size, 3], size, 0, 255)
        model.resize_tensor_input(index, image.shape)
        model.allocate_tensors()
        model.set_tensor(index, image.numpy())
        model.invoke()
        logits = model.get_tensor(model.get_output_details()[0]["index"])
        canvas = network(image, iterations=3)["semantic_logits"]
        expected = upsample(canvas, size, network.canvas_stride, network.padding).numpy()
        assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


ONE_CALL = {"CONV_2D", "LOGISTIC", "MUL", "RESIZE_BILINEAR", "SPLIT", "SUB", "TANH"}
LOOP = {"ARG_MAX", "CAST", "GREATER", "LESS", "LOGICAL_AND", "MAXIMUM", "MEAN", "MINIMUM", "NOT_EQUAL", "RESHAPE"}
OPERATORS = {
    "segment_1": ONE_CALL,
    "segment_5": ONE_CALL | {"ADD", "CONCATENATION"},
    "class_map_5": ONE_CALL | {"ADD", "ARG_MAX", "CAST", "CONCATENATION"},
    "stream": ONE_CALL | {"ADD", "CONCATENATION"},
    "dynamic": ONE_CALL | LOOP | {"ADD", "CONCATENATION", "STRIDED_SLICE", "WHILE"},
}


@pytest.mark.parametrize("name", OPERATORS)
def test_files_have_these_operators_and_no_others(files, tmp_path, name):
    (tmp_path / "model.tflite").write_bytes(files[name])
    found = compatibility.operators(tflite_file.read(tmp_path / "model.tflite"))
    assert set(found) == OPERATORS[name]
    assert compatibility.flex_or_custom(tflite_file.read(tmp_path / "model.tflite")) == []


@pytest.mark.skipif(not compatibility.JUDGES_GPUS, reason="this TensorFlow's analyser has no verdict on GPUs")
def test_gpus_run_what_has_no_loop(files, tmp_path):
    def verdict(name):
        (tmp_path / "model.tflite").write_bytes(files[name])
        return compatibility.gpu_verdict(tmp_path / "model.tflite")

    assert verdict("segment_5") == verdict("stream") == []
    assert {reason.split(":")[0] for reason in verdict("class_map_5")} == {"ARG_MAX", "CAST"}
    assert {reason.split(":")[0] for reason in verdict("dynamic")} == {"ARG_MAX", "STRIDED_SLICE", "WHILE"}


def test_a_stream_holds_the_weights_once(files):
    assert len(files["stream"]) <= 1.05 * len(files["segment_5"])


def test_8_bits_take_and_give_8_bits(functions, network):
    content = tflite.convert(functions.holder, functions.segment(3), "int8", IMAGES)
    model = tf.lite.Interpreter(model_content=content)
    [given], [answer] = model.get_input_details(), model.get_output_details()
    assert (given["dtype"], given["quantization"]) == (np.uint8, (1.0, 0))
    assert answer["dtype"] == np.uint8
    model.allocate_tensors()
    model.set_tensor(given["index"], np.rint(IMAGE).astype(np.uint8))
    model.invoke()
    scale, zero = answer["quantization"]
    logits = (model.get_tensor(answer["index"]).astype(np.float32) - zero) * scale
    expected = logits_of(network, 3).numpy()
    assert np.abs(logits - expected).mean() < 0.1 * np.ptp(expected)


def test_the_ranges_of_a_stream_are_those_of_all_its_iterations(functions):
    def largest(iterations):
        traced = functions.stream()
        inputs = tflite.stream_inputs(traced, IMAGES, iterations)
        return max(np.abs(values["canvas"]).max() for name, values in inputs if name == "decode")

    content = tflite.convert(functions.holder, functions.stream(), "int8", IMAGES, max_iterations=6)
    logits, state = streamed(opened(LiteRTInterpreter, content), 6)
    # The canvas grows; an int8 canvas calibrated on one iteration could not hold that of six.
    assert largest(6) > 2 * largest(1)
    assert np.abs(state["canvas"]).max() > 1.5 * largest(1)


@pytest.mark.parametrize(
    ("kind", "precision", "images", "message"),
    [
        ("dynamic", "int8", IMAGES, "int8 is not possible with a number of iterations at run time"),
        ("segment", "int8", None, "int8 needs images to measure the range of values on"),
        ("segment", "int4", None, "precision 'int4': one of fp32, fp16, dynamic, int8"),
    ],
)
def test_what_cannot_be_converted_is_said_before_it_is_tried(functions, kind, precision, images, message):
    traced = {"dynamic": functions.dynamic, "segment": functions.segment}[kind](2)
    with pytest.raises(InputError, match=message):
        tflite.convert(functions.holder, traced, precision, images)


def test_a_converter_that_crashes_is_one_line(functions, monkeypatch):
    def crash(module, job, timeout):
        code = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=HANG_SECONDS)
        raise child_process.ChildError(child_process._ending(ended.returncode, ended.stderr))

    monkeypatch.setattr(child_process, "run", crash)
    with pytest.raises(InputError, match="the TFLite converter cannot convert this model to fp32: it ended by SIGSEGV"):
        tflite.convert(functions.holder, functions.segment(1), "fp32")
