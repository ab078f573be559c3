"""Examples, as far as they run without what they show: Triton itself is tested by `make test-clients`."""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import tensorflow as tf

from tests.export.serving.small_network import small_network
from tfseg.export.serving import service

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
NUM_CLASSES = 4


class RefusedRequest(Exception):
    """What Triton answers with an error."""


@dataclasses.dataclass
class Tensor:
    """How Triton describes a tensor."""

    name: str
    dtype: type
    shape: tuple


@pytest.fixture(scope="module")
def triton():
    """The example, on classes of ours in place of nvidia-pytriton, which is not in this environment."""
    stand_ins = {
        "pytriton": {},
        "pytriton.exceptions": {"PyTritonInvalidOperationError": RefusedRequest},
        "pytriton.model_config": {"ModelConfig": None, "Tensor": Tensor},
        "pytriton.triton": {"Triton": None, "TritonConfig": None},
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"):
            patch.setenv(name, "0")
        for name, content in stand_ins.items():
            patch.setitem(sys.modules, name, ModuleType(name))
            vars(sys.modules[name]).update(content)
        spec = importlib.util.spec_from_file_location("triton_server", EXAMPLES / "triton_server.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def signatures(tmp_path_factory):
    path = tmp_path_factory.mktemp("serving") / "toy" / "1"
    service.save(small_network(NUM_CLASSES), path, {}, max_iterations=5)
    loaded = tf.saved_model.load(path)
    yield loaded.signatures


@pytest.fixture(scope="module")
def segment_bytes(triton, signatures):
    return triton.answering(signatures["segment_bytes"])


def png(height=16, width=32):
    picture = np.random.default_rng(0).integers(0, 256, [height, width, 3]).astype(np.uint8)
    return tf.io.encode_png(picture).numpy()


def request(*contents, iterations):
    return {"image_bytes": np.array(contents, np.object_), "iterations": np.array(iterations, np.int32)}


def test_each_request_gets_what_the_signature_gives_for_it(segment_bytes, signatures):
    answers = segment_bytes([request(png(), png(48, 16), iterations=[1, 4]), request(png(), iterations=[3])])
    for found, (contents, counts) in zip(answers, [((png(), png(48, 16)), [1, 4]), ((png(),), [3])], strict=True):
        expected = signatures["segment_bytes"](image_bytes=tf.constant(contents), iterations=tf.constant(counts))
        assert found.keys() == expected.keys() == {"mask_png_bytes", "iterations", "class_pixels"}
        for name, wanted in expected.items():
            np.testing.assert_array_equal(found[name], wanted)


@pytest.mark.parametrize(
    "bad, said",
    [
        (
            request(b"", iterations=[1]),
            "[0 bytes that are not a JPEG, a PNG of 8 bits, or an uncompressed BMP of 24 bits]",
        ),
        (request(png()[:20], iterations=[1]), "[a PNG that is cut short]"),
        (request(png(), iterations=[1, 2]), "[2 numbers of iterations for 1 images; one for each is needed]"),
        (request(png()[:60], iterations=[1]), None),
    ],
    ids=["empty", "cut in its header", "counts", "cut in its pixels"],
)
def test_a_bad_request_is_answered_with_the_line_that_says_why(segment_bytes, bad, said):
    with pytest.raises(RefusedRequest) as refused:
        segment_bytes([bad])
    [line] = str(refused.value).splitlines()
    assert line == said if said else "PNG" in line


def test_tensors_are_described_with_open_sizes_and_strings_as_bytes(triton, signatures):
    assert triton.described(signatures["segment_bytes"].structured_outputs) == [
        Tensor("class_pixels", np.int32, (-1, NUM_CLASSES)),
        Tensor("iterations", np.int32, (-1,)),
        Tensor("mask_png_bytes", np.bytes_, (-1,)),
    ]
    [images, _] = triton.described(signatures["segment_tensors"].structured_input_signature[1])
    assert images == Tensor("images", np.uint8, (-1, -1, -1, 3))


def test_the_highest_version_is_served(triton, tmp_path):
    for name in ("9", "10", "latest"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    (tmp_path / "11").mkdir()  # not there yet
    assert triton.newest(tmp_path) == tmp_path / "10"


@pytest.mark.parametrize(
    "call, said",
    [
        (
            lambda triton, signatures, folder: triton.main([str(folder)]),
            "has no <version>/saved_model.pb; give the folder",
        ),
        (
            lambda triton, signatures, folder: triton.wanted(signatures, "encode,segment"),
            "the model has no segment; it has",
        ),
    ],
    ids=["no model", "no such signature"],
)
def test_what_cannot_be_served_is_refused_in_one_line(triton, signatures, tmp_path, capsys, call, said):
    with pytest.raises(SystemExit) as ended:
        call(triton, signatures, tmp_path)
    [line] = capsys.readouterr().err.splitlines()
    assert ended.value.code == 2 and line.startswith("error: ") and said in line


def test_a_python_without_a_shared_library_is_refused_before_triton_fails(triton, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("LD_LIBRARY_PATH", "/before")
    monkeypatch.setattr(
        triton.sysconfig, "get_config_var", {"LIBDIR": str(tmp_path), "INSTSONAME": "libpython3.so.1"}.get
    )
    with pytest.raises(SystemExit):
        triton.find_python_library()
    assert "--enable-shared" in capsys.readouterr().err
    (tmp_path / "libpython3.so.1").touch()
    triton.find_python_library()
    assert triton.os.environ["LD_LIBRARY_PATH"] == f"{tmp_path}:/before"
