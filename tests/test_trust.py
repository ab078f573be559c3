"""A SavedModel of a stranger runs nowhere until somebody vouches for it, whatever lies beside it."""

import ast
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import tfseg
from tests.formats import hostile_saved_models
from tfseg.errors import InputError
from tfseg.formats import export_manifest, saved_model, trusted_files

ROOT = Path(__file__).resolve().parent.parent
# Names of functions that run what is in a file, as attributes of tf or keras.
RUN_FILES = {
    "load",
    "load_model",
    "from_saved_model",
    "model_from_json",
    "load_library",
    "load_op_library",
    "TFSMLayer",
}


@pytest.fixture(scope="module", params=["save", "save_version_1"])
def hostile(request, tmp_path_factory):
    """(SavedModel, the folder into which it writes when it is run)."""
    root = tmp_path_factory.mktemp("hostile")
    (root / "written").mkdir()
    path = root / "exports" / "serving" / "toy" / "1"
    path.parent.mkdir(parents=True)
    getattr(hostile_saved_models, request.param)(path, root / "written")
    return path, root / "written"


@pytest.fixture
def written(hostile):
    """Names of the files that the model has written since the test began."""
    folder = hostile[1]
    for file in folder.iterdir():
        file.unlink()
    return lambda: sorted(file.name for file in folder.iterdir())


@pytest.fixture(params=["alone", "with a perfect manifest"])
def stranger(request, hostile):
    """The SavedModel, in one case beneath a manifest of its own maker."""
    path, _ = hostile
    manifest = path.parents[2] / export_manifest.FILE_NAME
    manifest.unlink(missing_ok=True)
    if request.param != "alone":
        hostile_saved_models.forge_manifest(path)
        assert export_manifest.check(path) is not None
    return path


REFUSAL = "not made on this machine, and a SavedModel is a program that may do anything"


PHOTO = np.zeros([8, 8, 3], np.uint8)


@pytest.fixture(scope="module")
def photo(command):
    Image.fromarray(PHOTO).save(command.folder / "photo.png")
    return "photo.png"


# One form is enough for the commands, which cost more; the others go through the same function.
in_commands = pytest.mark.parametrize("hostile", ["save"], indirect=True)


@in_commands
def test_commands_do_not_run_it(stranger, written, command, photo):
    for words in (
        ["segment.py", f"--model={stranger}", photo],
        ["profile_flops.py", f"--model={stranger.parent}", "--size=8x8", "--iters=1", "--layers"],
    ):
        done = command(*words)
        assert (done["code"], len(done["err"].splitlines())) == (2, 1) and REFUSAL in done["err"], done
    for script in ("evaluate.py", "export.py"):
        done = command(script, f"--model={stranger}")
        assert (done["code"], len(done["err"].splitlines())) == (2, 1), done
    assert written() == []


@in_commands
def test_it_runs_for_those_who_trust_it_or_know_its_sha256(stranger, written, command, photo):
    done = command("segment.py", f"--model={stranger}", "--trust", "--overwrite", photo)
    assert done["code"] == 0, done["err"]
    assert set(written()) >= {"call", "initialize"}
    words = ["--size=8x8", "--iters=1", "--rounds=0", f"--sha256={export_manifest.sha256(stranger)}"]
    assert command("profile_flops.py", f"--model={stranger}", *words)["code"] == 0


def test_python_does_not_run_it(stranger, written):
    for load in (tfseg.load, saved_model.load, saved_model.run_program):
        with pytest.raises(InputError, match=REFUSAL):
            load(stranger)
        with pytest.raises(InputError, match="not that of --sha256"):
            load(stranger, sha256="0" * 64)
    assert written() == []


def test_a_description_that_is_missing_does_not_make_it_harmless(stranger, written, tmp_path):
    path = shutil.copytree(stranger, tmp_path / "2")
    shutil.rmtree(path / "assets.extra")
    with pytest.raises(InputError, match=REFUSAL):
        tfseg.load(path, mean=0, std=1)
    assert written() == []


def test_it_runs_from_python_for_those_who_trust_it_or_know_its_sha256(stranger, written):
    for options in ({"trust": True}, {"sha256": export_manifest.sha256(stranger)}):
        for file in stranger.parents[3].joinpath("written").iterdir():
            file.unlink()
        assert tfseg.load(stranger, **options).predict(PHOTO).class_ids.shape == (8, 8)
        assert written() != []


def test_what_was_compared_is_what_is_loaded(stranger, written, monkeypatch, tmp_path):
    """Somebody exchanges the files between the comparison and the loading."""
    path = shutil.copytree(stranger, tmp_path / "harmless")
    shutil.rmtree(path / "assets.extra")
    good, hashed = export_manifest.sha256(path), export_manifest.sha256

    def exchanged(artifact):
        found = hashed(artifact)
        if Path(artifact) == path:
            (path / "saved_model.pb").write_bytes(b"exchanged")
        return found

    monkeypatch.setattr(export_manifest, "sha256", exchanged)
    with pytest.raises(InputError, match="harmless: changed while it was read"):
        saved_model.run_program(path, sha256=good)
    assert written() == []


def test_what_is_loaded_lies_where_nobody_else_may_write(stranger, monkeypatch, tmp_path):
    monkeypatch.setenv("TFSEG_HOME", str(tmp_path / "home"))
    trusted_files.note_made_here({stranger: export_manifest.sha256(stranger)})
    program = saved_model.run_program(stranger)
    assert program.folder != stranger and program.folder.parent.stat().st_mode & 0o777 == 0o700
    folder = program.folder
    del program
    assert not folder.exists()


def dotted(node):
    """a.b.c of an expression; "" if it is another one."""
    if isinstance(node, ast.Name):
        return node.id
    return f"{dotted(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ""


def uses_of_functions_that_run_files(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            name = dotted(node)
            if name.split(".")[0] in ("tf", "tensorflow", "keras") and name.split(".")[-1] in RUN_FILES:
                yield name
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in (
            "tensorflow",
            "keras",
            "tf_keras",
        ):
            yield from (f"{node.module}.{alias.name}" for alias in node.names if alias.name in RUN_FILES)
            if (node.module or "").split(".")[-1] in ("saved_model", "loader", "load"):
                yield node.module


def test_one_function_of_the_whole_project_runs_saved_models():
    files = [*ROOT.glob("*.py"), *ROOT.glob("tfseg/**/*.py"), *ROOT.glob("model_zoo/**/*.py")]
    found = {(str(file.relative_to(ROOT)), name) for file in files for name in uses_of_functions_that_run_files(file)}
    assert found == {
        ("tfseg/formats/saved_model.py", "tf.saved_model.load"),
        # In a child process, of a folder that the parent wrote a moment ago.
        ("tfseg/export/tflite.py", "tf.lite.TFLiteConverter.from_saved_model"),
    }
