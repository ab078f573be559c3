"""Exported models: folders of exports with their manifest, SavedModels, .tflite files."""

import numpy as np

import tfseg
from tests.fake_network import INFO, blocks
from tests.fuzz.kind import Kind, Target
from tests.inference.engines import toy_artifacts
from tfseg.formats import export_manifest
from tfseg.layers.resize import upsample

SIZE = (16, 24)
TFLITE, SAVED_MODEL = "toy_segment.tflite", "serving/toy/1"
FOLDER = "exports/toy"
NORMALIZATION = {"mean": 0.0, "std": 1.0}


def image():
    """[16, 24, 3] uint8."""
    return blocks(np.random.default_rng(0).integers(0, 3, [4, 6]))


def _write_manifest(folder, artifacts):
    """Lists artifacts, {path: kind}, in the folder's manifest."""
    entries = {
        path: {"kind": kind, "sha256": export_manifest.sha256(folder / path)} for path, kind in artifacts.items()
    }
    values = {"format": export_manifest.FORMAT, "name": "toy", "classes": INFO.to_dict(), "artifacts": entries}
    export_manifest.write(folder, values)


def _own_tflite(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(toy_artifacts.tflite(toy_artifacts.ToyNetwork(), "segment", SIZE))


def _listed_tflite(folder):
    _own_tflite(folder / FOLDER / TFLITE)
    _write_manifest(folder / FOLDER, {TFLITE: "segment"})


def _saved_model(folder):
    toy_artifacts.save_model(toy_artifacts.ToyNetwork(), folder / FOLDER / SAVED_MODEL)


def _listed_saved_model(folder):
    _saved_model(folder)
    _write_manifest(folder / FOLDER, {SAVED_MODEL: "savedmodel"})


def _foreign_tflite(folder):
    """A network of another program: one image in, logits out, no metadata."""
    network = toy_artifacts.ToyNetwork(is_recurrent=False)

    def run(image):
        return {"logits": upsample(network.encode(image)["canvas"], SIZE, network.canvas_stride, network.padding)}

    functions = {"serving_default": toy_artifacts.traced(run, image=[1, *SIZE, 3])}
    (folder / "foreign.tflite").write_bytes(toy_artifacts.converted(functions, network.variables))


def _predicted(path, **options):
    """What a user gets from a model: its classes, how often it runs, and a class map."""
    model = tfseg.load(path, **options)
    prediction = model.predict(image())
    return {"class_ids": prediction.class_ids, "iterations": prediction.iterations, "info": model.info.to_dict()}


def _saved_model_targets(has_checksum):
    names = ("saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001")
    files = [Target(f"{FOLDER}/{SAVED_MODEL}/{name}", has_checksum=has_checksum) for name in names]
    description = f"{FOLDER}/{SAVED_MODEL}/assets.extra/{export_manifest.DESCRIPTION}"
    return *files, Target(description, "json", has_checksum=has_checksum)


def _exported(name, artifact, targets, make, known_as):
    """The kind of an export whose sha256 the user gives: a manifest lists the artifact."""
    path = f"{FOLDER}/{artifact}"
    return Kind(
        name,
        (*targets, Target(f"{FOLDER}/manifest.json", "json")),
        make,
        lambda sha256, _: _predicted(path, sha256=sha256),
        prepare=lambda: export_manifest.sha256(path),
        known_as=(known_as,),
    )


EXPORTED_TFLITE = _exported(
    "exported .tflite", TFLITE, (Target(f"{FOLDER}/{TFLITE}", has_checksum=True),), _listed_tflite, FOLDER
)
EXPORTED_SAVED_MODEL = _exported(
    "exported SavedModel", SAVED_MODEL, _saved_model_targets(has_checksum=True), _listed_saved_model, SAVED_MODEL
)
TRUSTED_SAVED_MODEL = Kind(
    "trusted SavedModel",
    _saved_model_targets(has_checksum=False),
    _saved_model,
    lambda prepared, path: _predicted(f"{FOLDER}/{SAVED_MODEL}", trust=True),
    known_as=(SAVED_MODEL,),
)
UNLISTED_TFLITE = Kind(
    "unlisted .tflite",
    (Target("toy.tflite"),),
    lambda folder: _own_tflite(folder / "toy.tflite"),
    lambda prepared, path: _predicted(path),
)
FOREIGN_TFLITE = Kind(
    "foreign .tflite",
    (Target("foreign.tflite"),),
    _foreign_tflite,
    lambda prepared, path: _predicted(path, **NORMALIZATION),
)
KINDS = (EXPORTED_TFLITE, EXPORTED_SAVED_MODEL, TRUSTED_SAVED_MODEL, UNLISTED_TFLITE, FOREIGN_TFLITE)
