"""Files in the .tflite format are run: with and without signatures, quantised, and never when they are damaged."""

import shutil
import sys

import numpy as np
import pytest
import tensorflow as tf

from tests.export import toy_exports
from tests.export.toy_exports import changed, converted, kernel
from tests.fake_network import INFO
from tfseg.errors import InputError
from tfseg.formats import export_manifest, tflite_memory
from tfseg.inference.engines import tflite_interpreter, tflite_runtime, tflite_trial


def add_and_double(first, second):
    return {"sum": first + second, "double": 2 * first}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "model.tflite"
    specs = [tf.TensorSpec([1, 2], name="first"), tf.TensorSpec([1, 2], name="second")]
    path.write_bytes(converted(add_and_double, *specs))
    return path


@pytest.fixture(scope="module")
def quantized(tmp_path_factory):
    """x -> x, where x is from -1 to 1 and stored in 8 bits."""
    run = lambda x: {"y": tf.nn.conv2d(x, tf.ones([1, 1, 1, 1]), 1, "SAME")}  # noqa: E731
    path = tmp_path_factory.mktemp("files") / "quantized.tflite"
    path.write_bytes(toy_exports.quantized(run, tf.TensorSpec([1, 1, 3, 1], name="x"), -1.0, 1.0))
    return path


def test_a_signature_is_run_by_names(path):
    program = tflite_runtime.load(path)
    [signature] = program.signatures.values()
    assert signature.inputs["first"] == tflite_runtime.Tensor((1, 2), "float32", 0.0, 0)
    assert set(signature.outputs) == {"sum", "double"}
    outputs = program.run("serving_default", {"first": [[1, 2]], "second": [[10, 20]]})
    np.testing.assert_array_equal(outputs["sum"], [[11, 22]])
    np.testing.assert_array_equal(outputs["double"], [[2, 4]])


def test_what_is_left_out_is_zeros(path):
    program = tflite_runtime.load(path)
    program.run("serving_default", {"second": [[10, 20]]})
    np.testing.assert_array_equal(program.run("serving_default", {"first": [[1, 2]]})["sum"], [[1, 2]])


def test_a_file_without_signatures_is_run_by_the_names_of_its_tensors(path, tmp_path):
    old = tmp_path / "old.tflite"
    old.write_bytes(changed(path.read_bytes(), lambda model: setattr(model, "signatureDefs", [])))
    program = tflite_runtime.load(old)
    [(name, signature)] = program.signatures.items()
    first, second = sorted(signature.inputs)
    assert name == "main" and "first" in first and "second" in second
    outputs = program.run("main", {first: [[1, 2]], second: [[10, 20]]})
    assert sorted(value.tolist() for value in outputs.values()) == [[[2, 4]], [[11, 22]]]


def test_quantised_values_go_in_and_come_out_as_real_ones(quantized):
    program = tflite_runtime.load(quantized)
    [(name, signature)] = program.signatures.items()
    x, y = signature.inputs["x"], signature.outputs["y"]
    assert (x.dtype, y.dtype) == ("uint8", "uint8")
    assert x.scale == pytest.approx(2 / 255) and x.zero_point in (127, 128)
    real = np.float32([-1, 0.5, 9]).reshape(1, 1, 3, 1)  # 9 is the largest that can be stored, which is 1
    outputs = program.run(name, {"x": real})["y"]
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs.ravel(), [-1, 0.5, 1], atol=2 / 255)
    stored = np.uint8([0, x.zero_point, 255]).reshape(1, 1, 3, 1)
    np.testing.assert_allclose(program.run(name, {"x": stored})["y"].ravel(), [-1, 0, 1], atol=2 / 255)
    np.testing.assert_allclose(program.run(name, {})["y"], 0, atol=2 / 255)


@pytest.mark.parametrize(
    "signature,inputs,message",
    [
        ("encode", {}, "has no signature encode, only serving_default"),
        ("serving_default", {"third": [[1, 2]]}, "serving_default has no input third"),
        ("serving_default", {"first": [[1, 2, 3]]}, "first has the shape 1x3, wanted is 1x2"),
        ("serving_default", {"first": [1, 2]}, "first has the shape 2, wanted is 1x2"),
    ],
)
def test_wrong_calls_are_one_line(path, signature, inputs, message):
    with pytest.raises(InputError, match=rf"model\.tflite: {message}"):
        tflite_runtime.load(path).run(signature, inputs)


@pytest.mark.parametrize("trust", [False, True])
def test_a_damaged_file_never_reaches_the_interpreter(path, tmp_path, monkeypatch, trust):
    monkeypatch.setattr(tflite_runtime, "interpreter", None)
    monkeypatch.setattr(tflite_runtime, "_try", None)
    cut = tmp_path / "cut.tflite"
    content = path.read_bytes()
    for share in (0, 25, 50, 75, 90):
        cut.write_bytes(content[: len(content) * share // 100])
        with pytest.raises(InputError, match=r"cut\.tflite: damaged, or not a .tflite file \(.+\); export or download"):
            tflite_runtime.load(cut, trust=trust)
    with pytest.raises(InputError, match=r"missing\.tflite: cannot be read"):
        tflite_runtime.load(tmp_path / "missing.tflite", trust=trust)


def test_a_file_that_a_manifest_lists_has_to_be_that_file(path, tmp_path, monkeypatch):
    monkeypatch.setattr(tflite_runtime, "_try", None)
    shutil.copy(path, tmp_path / "a.tflite")
    artifacts = {"a.tflite": {"kind": "segment", "sha256": export_manifest.sha256(path)}}
    export_manifest.write(
        tmp_path, {"format": "tfseg 1", "name": "a", "classes": INFO.to_dict(), "artifacts": artifacts}
    )
    assert tflite_runtime.load(tmp_path / "a.tflite", trust=True).listed.path == "a.tflite"
    (tmp_path / "a.tflite").write_bytes(path.read_bytes() + bytes(4))
    with pytest.raises(InputError, match="sha256 is .+, the manifest says"):
        tflite_runtime.load(tmp_path / "a.tflite", trust=True)


def test_a_file_that_nothing_lists_is_tried_in_another_process(path, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    with pytest.raises(InputError, match=r"model\.tflite: the interpreter cannot run it \(exit code 1\)"):
        tflite_runtime.load(path)
    assert tflite_runtime.load(path, trust=True).signatures


def test_names_that_are_no_text_are_one_line(path, tmp_path):
    def rename(model):
        model.subgraphs[0].tensors[model.subgraphs[0].outputs[0]].name = b"\xc5("

    (tmp_path / "bad.tflite").write_bytes(changed(path.read_bytes(), rename))
    for trust in (False, True):
        with pytest.raises(InputError, match=r"bad\.tflite: the interpreter cannot run it \(.*utf-8"):
            tflite_runtime.load(tmp_path / "bad.tflite", trust=trust)


def test_what_the_interpreter_refuses_is_one_line(path, tmp_path):
    def rename(model):
        model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = 32  # CUSTOM
        model.operatorCodes[0].customCode = b"Own"

    foreign = tmp_path / "own.tflite"
    foreign.write_bytes(
        changed(converted(lambda x: tf.nn.conv2d(x, kernel(1, 1, 3, 2), 1, "SAME"), [1, 4, 4, 3]), rename)
    )
    for trust in (False, True):
        with pytest.raises(InputError, match=r"own\.tflite: the interpreter cannot run it \(.*Own") as caught:
            tflite_runtime.load(foreign, trust=trust)
        assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("trust", [False, True])
def test_a_file_that_the_faster_kernels_refuse_runs_with_the_plain_ones(tmp_path, capsys, trust):
    path = toy_exports.rescaled_resize(tmp_path)
    with pytest.raises(RuntimeError, match="XNNPack"):
        tflite_interpreter.interpreter(path)
    program = tflite_runtime.load(path, trust=trust)
    said = f"note: {path}: the interpreter's faster kernels refuse it; it runs with the plain ones"
    assert said in capsys.readouterr().err
    [outputs] = program.run("serving_default", {"image": np.full([1, 8, 8, 3], (153, 0, 51))}).values()
    # The resize gives the same stored values, which stand for 1.5 times as much.
    np.testing.assert_allclose(outputs[0, 4, 4], (0.9, 0, 0.3), atol=0.02)


def test_kernels_that_fail_only_when_they_run_are_replaced_then(path, monkeypatch, capsys):
    program = tflite_runtime.load(path, trust=True)
    call = tflite_runtime.Program._call

    def fail_once(self, signature, values):
        if self._has_delegates:
            raise RuntimeError("failed to invoke")
        return call(self, signature, values)

    monkeypatch.setattr(tflite_runtime.Program, "_call", fail_once)
    np.testing.assert_array_equal(program.run("serving_default", {"first": [[1, 2]]})["double"], [[2, 4]])
    assert "it runs with the plain ones" in capsys.readouterr().err


def test_a_call_that_fails_anyway_is_one_line_and_the_next_one_runs(path, monkeypatch):
    program = tflite_runtime.load(path, trust=True)
    with monkeypatch.context() as broken:
        broken.setattr(tflite_runtime.Program, "_call", lambda *_: (_ for _ in ()).throw(RuntimeError("no\nway")))
        with pytest.raises(InputError, match=r"model\.tflite: the interpreter cannot run it \(no way\)"):
            program.run("serving_default", {})
    np.testing.assert_array_equal(program.run("serving_default", {"first": [[1, 2]]})["double"], [[2, 4]])


def enlarged(content, sides):
    """The file for images of other sides, whose activations nobody has the memory for."""

    def change(model):
        for tensor in model.subgraphs[0].tensors:
            if len(tensor.shape) == 4 and list(tensor.shape[1:3]) == [8, 8]:
                tensor.shape = [1, *sides, tensor.shape[3]]

    return changed(content, change)


@pytest.mark.parametrize("trust", [False, True])
def test_a_file_whose_activations_fill_the_memory_never_reaches_the_interpreter(tmp_path, monkeypatch, trust):
    monkeypatch.setattr(tflite_runtime, "interpreter", None)
    monkeypatch.setattr(tflite_runtime, "_try", None)
    content = converted(lambda image: tf.nn.conv2d(image, kernel(1, 1, 3, 3), 1, "SAME"), [1, 8, 8, 3])
    path = tmp_path / "bomb.tflite"
    path.write_bytes(enlarged(content, (32768, 32768)))
    with pytest.raises(
        InputError, match=r"bomb\.tflite: the activations of one run have 24\.0 GiB, more than 16\.0 GiB"
    ):
        tflite_runtime.load(path, trust=trust)
    monkeypatch.setattr(tflite_memory, "memory_bytes", lambda: 1 << 30)
    path.write_bytes(enlarged(content, (8192, 8192)))
    with pytest.raises(InputError, match=r"bomb\.tflite: one run needs at least 1\.5 GiB, this machine has 1\.0 GiB"):
        tflite_runtime.load(path, trust=trust)


def endless(image):
    """A loop whose counter never reaches its end."""
    return tf.while_loop(lambda x: tf.reduce_max(x) < 1e9, lambda x: (tf.minimum(x + 1, 3),), (image,))[0]


def test_a_loop_that_never_ends_is_ended_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(tflite_trial, "PROCESSOR_SECONDS", 1)
    (tmp_path / "endless.tflite").write_bytes(converted(endless, [1, 2, 2, 3]))
    with pytest.raises(
        InputError, match=r"endless\.tflite: the interpreter cannot run it \(it used up its processor time"
    ):
        tflite_runtime.load(tmp_path / "endless.tflite")


def test_a_trial_that_asks_for_more_memory_than_it_may_have_is_ended(tmp_path, monkeypatch):
    """The file's shapes do not tell how large the result is: the image says how often it is repeated."""
    monkeypatch.setattr(tflite_trial, "allowed_bytes", lambda model, path: 1 << 28)

    def repeat(image):
        times = 30_000 + tf.cast(image[0, 0, 0, 0], tf.int32)
        return tf.tile(image, tf.stack([1, times, 30, 1]))

    (tmp_path / "swells.tflite").write_bytes(converted(repeat, [1, 4, 4, 3]))
    with pytest.raises(InputError, match=r"swells\.tflite: the interpreter cannot run it \("):
        tflite_runtime.load(tmp_path / "swells.tflite")
