"""What lies at a path: a run, an export, one artifact of it, or something that is refused in one line."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfseg
from tests.fake_network import INFO, blocks
from tfseg.errors import InputError
from tfseg.formats import export_manifest, trusted_files
from tfseg.inference.engines import tflite_runtime
from tfseg.inference.engines.loading import found

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def exports(files, saved_model, tmp_path):
    """exports(*names): a folder of exports with these artifacts."""

    def made(*names):
        artifacts = {}
        for name in names:
            target = tmp_path / "toy" / name
            source = saved_model / "2" if name.startswith("serving") else files / name
            if source.is_dir():
                shutil.copytree(source, target)
            else:
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(source.read_bytes() if source.exists() else b"")
            kind = "savedmodel" if source.is_dir() else target.stem
            artifacts[name] = {"kind": kind, "sha256": export_manifest.sha256(target)}
        values = {"format": "tfseg 1", "name": "toy", "classes": INFO.to_dict(), "artifacts": artifacts}
        export_manifest.write(tmp_path / "toy", values)
        return tmp_path / "toy"

    return made


def test_an_export_of_one_model_stands_for_it(exports, image):
    folder = exports("stream.tflite", "onnx.onnx")  # what is for other programs does not count
    assert found(folder) == folder / "stream.tflite"
    assert tfseg.load(folder).predict(image, iters=2).iterations == 2


def test_an_export_of_several_lists_them(exports):
    folder = exports("stream.tflite", "segment.tflite", "serving/toy/2")
    message = r"toy: holds 3 models; give one of them: segment\.tflite, serving/toy/2, stream\.tflite"
    with pytest.raises(InputError, match=message):
        tfseg.load(folder)
    assert tfseg.load(folder / "serving" / "toy", trust=True).max_iterations == 5
    with pytest.raises(InputError, match="holds no model that can be run here"):
        found(exports("onnx.onnx"))


def test_of_several_versions_the_highest_is_taken(saved_model, tmp_path):
    for version in ("2", "10", "x11"):
        (tmp_path / version).mkdir()
        shutil.copy(saved_model / "2" / "saved_model.pb", tmp_path / version)
    (tmp_path / "12").mkdir()  # without a model
    assert found(tmp_path) == tmp_path / "10"


def test_a_run_directory_stays_one_whatever_else_is_in_it(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "manifest.json").write_text("{}")
    assert found(tmp_path) == tmp_path
    with pytest.raises(InputError, match=r"config\.json: damaged"):
        tfseg.load(tmp_path)


@pytest.mark.parametrize(
    "name,options,message",
    [
        ("model.onnx", {}, r"model\.onnx: is for other programs; give a \.tflite file"),
        ("saved_model.pb", {}, r"saved_model\.pb: is part of a SavedModel, which is its folder"),
        ("missing.tflite", {}, r"missing\.tflite: cannot be read"),
        ("missing", {}, "missing: not a run directory"),
        ("", {}, "neither a run directory or a model zoo folder .+, nor a SavedModel .+, nor a folder of exports"),
        ("", {"mean": 0}, "--mean and --std go together"),
        ("missing", {"mean": 0, "std": 1}, "--mean and --std do not apply to .*missing"),
        ("a.tflite", {"weights": "best"}, r"--weights=best does not apply to .*a\.tflite"),
    ],
)
def test_what_cannot_be_used_is_one_line(tmp_path, name, options, message):
    with pytest.raises(InputError, match=message) as caught:
        tfseg.load(tmp_path / name, **options)
    assert len(str(caught.value).splitlines()) == 1


def segment(command, folder, *words):
    """The command on a photo of [[1, 2], [0, 1]], in `folder`."""
    Image.fromarray(blocks([[1, 2], [0, 1]])).save(folder / "photo.png")
    return command.completed("segment.py", *words, "--output_dir=out", "photo.png", folder=folder)


def test_the_command_uses_an_export_within_a_budget(command, exports, tmp_path):
    done = segment(command, tmp_path, f"--model={exports('stream.tflite')}", "--budget_ms=1000000")
    assert done.returncode == 0, done.stderr
    assert "images of 8x8: 5 iterations: median " in done.stdout and "more cannot be run" in done.stdout
    class_ids = np.asarray(Image.open(tmp_path / "out" / "photo_classes.png"))
    np.testing.assert_array_equal(class_ids[2::4, 2::4], [[1, 2], [0, 1]])
    assert "note:" not in done.stderr and "XNNPACK" not in done.stderr


def test_the_command_says_in_one_line_that_a_file_was_cut(command, files, tmp_path):
    path = tmp_path / "cut.tflite"
    path.write_bytes((files / "stream.tflite").read_bytes()[:-1000])
    done = segment(command, tmp_path, f"--model={path}", "--iters=2")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert "cut.tflite: damaged, or not a .tflite file" in done.stderr


def test_a_manifest_beside_a_file_does_not_spare_it_the_trial(exports, monkeypatch, tmp_path):
    """A list of this machine does, and the user's word."""
    monkeypatch.setenv("TFSEG_HOME", str(tmp_path / "home"))
    path, tried = exports("segment.tflite") / "segment.tflite", []
    monkeypatch.setattr(tflite_runtime, "_try", lambda path, model: tried.append(path) or True)
    sha256 = export_manifest.sha256(path)
    for options, num_trials in (({}, 1), ({"trust": True}, 0), ({"sha256": sha256}, 0)):
        tried.clear()
        tfseg.load(path, **options)
        assert len(tried) == num_trials
    trusted_files.note_made_here({path: sha256})
    tfseg.load(path)
    assert tried == []
    with pytest.raises(InputError, match=r"segment\.tflite: its sha256 is .+, not that of --sha256"):
        tfseg.load(path, sha256="0" * 64)


def test_the_sha256_of_weights_is_compared_and_of_a_run_there_is_none(tmp_path):
    np.savez(tmp_path / "weights.npz", a=np.ones(3))
    with pytest.raises(InputError, match=r"weights\.npz: its sha256 is .+, not that of --sha256"):
        tfseg.load(tmp_path / "weights.npz", sha256="0" * 64)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="--sha256 does not apply to .+: it is for a SavedModel or a file"):
        tfseg.load(tmp_path, sha256="0" * 64)
