"""The manifest of exports: what it lists, and that changed artifacts and damaged manifests are one clear line."""

import hashlib
import json
import os

import pytest

from tests.fake_network import INFO
from tfseg.errors import InputError
from tfseg.formats import export_manifest

FACTS = {"kind": "segment", "sha256": "0" * 64}
EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # sha256 of nothing


@pytest.fixture
def folder(tmp_path):
    """An export of a file and a SavedModel folder."""
    root = tmp_path / "exports" / "toy"
    saved_model = root / "serving" / "toy" / "1"
    (saved_model / "variables").mkdir(parents=True)
    (root / "toy.tflite").write_bytes(b"network")
    (saved_model / "saved_model.pb").write_bytes(b"graph")
    (saved_model / "variables" / "data").write_bytes(b"")
    artifacts = {
        "toy.tflite": {"kind": "segment", "sha256": export_manifest.sha256(root / "toy.tflite")},
        "serving/toy/1": {"kind": "savedmodel", "sha256": export_manifest.sha256(saved_model)},
    }
    export_manifest.write(root, {"format": "tfseg 1", "name": "toy", "classes": INFO.to_dict(), "artifacts": artifacts})
    return root


def test_the_hash_of_a_folder_is_that_of_its_files_hashes_and_paths(folder):
    graph = hashlib.sha256(b"graph").hexdigest()
    lines = sorted([f"{graph}  saved_model.pb\n", f"{EMPTY}  variables/data\n"])
    assert export_manifest.sha256(folder / "serving/toy/1") == hashlib.sha256("".join(lines).encode()).hexdigest()
    assert export_manifest.sha256(folder / "serving/toy/1/variables/data") == EMPTY


def test_artifacts_are_found_from_where_they_are(folder, monkeypatch):
    assert export_manifest.check(folder / "toy.tflite") == export_manifest.Listed(
        folder, "toy.tflite", {"kind": "segment", "sha256": hashlib.sha256(b"network").hexdigest()}
    )
    assert export_manifest.check(folder / "serving/toy/1").values["kind"] == "savedmodel"
    monkeypatch.chdir(folder / "serving" / "toy" / "1")
    assert export_manifest.check(".").path == "serving/toy/1"
    monkeypatch.chdir(folder)
    assert export_manifest.check("toy.tflite").path == "toy.tflite"


def test_what_no_manifest_lists_is_none(folder, tmp_path):
    (folder / "other.tflite").write_bytes(b"network")
    (tmp_path / "exports" / "toy.tflite").write_bytes(b"network")
    assert export_manifest.check(folder / "other.tflite") is None
    assert export_manifest.check(tmp_path / "exports" / "toy.tflite") is None
    assert export_manifest.check(folder / "serving") is None
    (folder / "serving" / "toy" / "1" / "deep").mkdir()
    assert export_manifest.check(folder / "serving" / "toy" / "1" / "deep") is None  # four levels below the manifest


def test_a_manifest_of_another_program_is_passed_over(folder):
    (folder / "serving" / "toy" / "manifest.json").write_text('{"short_name": "an app"}')
    assert export_manifest.check(folder / "serving/toy/1").path == "serving/toy/1"
    with pytest.raises(
        InputError, match=r"manifest\.json: not the manifest of exports \(its format is not 'tfseg 1'\)"
    ):
        export_manifest.read(folder / "serving" / "toy")


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "toy.tflite").write_bytes(b"networ"),
        lambda folder: (folder / "serving/toy/1/saved_model.pb").write_bytes(b"grapH"),
        lambda folder: (folder / "serving/toy/1/variables/data").unlink(),
        lambda folder: (folder / "serving/toy/1/variables/more").write_bytes(b""),
        lambda folder: (folder / "serving/toy/1/variables").rename(folder / "serving/toy/1/Variables"),
    ],
)
def test_anything_that_changed_is_refused_with_both_hashes(folder, change):
    change(folder)
    message = "sha256 is [0-9a-f]{64}, the manifest says [0-9a-f]{64}; export or download it again"
    with pytest.raises(InputError, match=message) as caught:
        for artifact in ("toy.tflite", "serving/toy/1"):
            export_manifest.check(folder / artifact)
    assert len(str(caught.value).splitlines()) == 1


def test_a_linked_folder_in_a_saved_model_is_refused(folder, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (folder / "serving/toy/1/assets").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="assets: a link to a folder"):
        export_manifest.check(folder / "serving/toy/1")


@pytest.mark.parametrize("kind", ["pipe", "device", "link to nowhere"])
def test_what_is_no_file_in_a_saved_model_is_refused_and_not_waited_for(folder, kind):
    path = folder / "serving/toy/1/variables/more"
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero" if kind == "device" else "nowhere")
    with pytest.raises(InputError, match="variables/more: (neither a file nor a folder|cannot be read)"):
        export_manifest.check(folder / "serving/toy/1")


def test_a_link_to_a_file_counts_as_the_file(folder, tmp_path):
    path = folder / "serving/toy/1/saved_model.pb"
    path.rename(tmp_path / "blob")
    path.symlink_to(tmp_path / "blob")
    assert export_manifest.check(folder / "serving/toy/1") is not None


@pytest.mark.parametrize("limit,most", [("MAX_FILES", 1), ("MAX_FOLDER_BYTES", 4)])
def test_a_folder_that_is_too_large_for_a_model_is_not_read(folder, monkeypatch, limit, most):
    monkeypatch.setattr(export_manifest, limit, most)
    monkeypatch.setattr(export_manifest, "file_sha256", None)
    with pytest.raises(InputError, match="toy/1: more than .+ files or .+ GiB; a SavedModel of tfseg is smaller"):
        export_manifest.sha256(folder / "serving/toy/1")


def changed(folder, **values):
    path = folder / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize("values", [{"name": "other"}, {"cost": []}, {"checksum": None}, {"checksum": "0" * 64}])
def test_a_manifest_that_was_changed_is_noticed(folder, values):
    changed(folder, **values)
    for read in (lambda: export_manifest.read(folder), lambda: export_manifest.check(folder / "toy.tflite")):
        with pytest.raises(InputError, match=r"manifest\.json: damaged \(checksum is not that of the other fields"):
            read()


def test_a_manifest_of_an_earlier_version_has_no_checksum_and_is_read(folder):
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    del values["checksum"]
    path.write_text(json.dumps(values, indent=4))
    assert export_manifest.read(folder) == values
    assert export_manifest.check(folder / "toy.tflite").path == "toy.tflite"


@pytest.mark.parametrize(
    "damage,message",
    [
        (lambda folder: (folder / "manifest.json").unlink(), "no exports here, or unfinished ones: it has no manifest"),
        (lambda folder: (folder / "manifest.json").write_text('{"format": "tfs'), r"json: damaged \(.+\); export or"),
        (lambda folder: (folder / "manifest.json").write_bytes(b"\xff\xfe"), r"json: damaged \(.+\); export or"),
        (lambda folder: (folder / "manifest.json").write_text("[" * 100_000), r"json: damaged \(.+\); export or"),
        (lambda folder: changed(folder, format="tfseg 2"), "its format is 'tfseg 2', this version reads 'tfseg 1'"),
        (lambda folder: changed(folder, name=1), r"damaged \(name takes str, not 1\)"),
        (lambda folder: changed(folder, classes={}), r"damaged \(classes.name is missing\)"),
        (lambda folder: changed(folder, artifacts=None), r"damaged \(artifacts takes dict, not None\)"),
        (lambda folder: changed(folder, artifacts={"../x": FACTS}), r"artifact '\.\./x' is not a path within the"),
        (lambda folder: changed(folder, artifacts={"/etc/x": FACTS}), "artifact '/etc/x' is not a path within"),
        (lambda folder: changed(folder, artifacts={"x": {"kind": "segment"}}), r"artifacts.x.sha256 is missing"),
        (lambda folder: changed(folder, artifacts={"x": FACTS | {"kind": 1}}), "artifacts.x.kind takes str, not 1"),
        (lambda folder: changed(folder, artifacts={"x": FACTS | {"sha256": "12"}}), "artifacts.x.sha256 is '12', not"),
        (lambda folder: changed(folder, artifacts={"x": FACTS | {"bytes": -1}}), "artifacts.x.bytes is -1; it must be"),
        (lambda folder: changed(folder, artifacts={"x": FACTS | {"budget": 5}}), "artifacts.x.budget is a group of"),
        (lambda folder: changed(folder, cost=[{"size": [3, 3]}]), r"cost\[0\].iterations is missing"),
        (lambda folder: changed(folder, cost=[{"iterations": 1, "size": [3]}]), r"cost\[0\].size takes 2 values"),
        (lambda folder: changed(folder, cost={}), "cost takes tuple, not {}"),
        (lambda folder: changed(folder, miou_images=0.5), "miou_images takes int, not 0.5"),
    ],
)
def test_a_damaged_manifest_is_one_line(folder, damage, message):
    damage(folder)
    with pytest.raises(InputError, match=message) as caught:
        export_manifest.read(folder)
    assert len(str(caught.value).splitlines()) == 1


def test_what_could_not_be_read_again_is_not_written(folder):
    before = (folder / "manifest.json").read_bytes()
    with pytest.raises(InputError, match="its format is not 'tfseg 1'"):
        export_manifest.write(folder, {"name": "toy"})
    assert (folder / "manifest.json").read_bytes() == before
    values = export_manifest.read(folder) | {"budget": {"milliseconds": 80}}
    export_manifest.write(folder, values)
    assert export_manifest.read(folder) == values
    assert not list(folder.glob(".*"))


def test_a_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"x\.tflite: cannot be read \(No such file or directory\)"):
        export_manifest.sha256(tmp_path / "x.tflite")
