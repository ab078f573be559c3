"""Whatever is wrong, and however much of it: one line of at most 300 characters that names the file or the flag."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.training.toy_run import toy_config
from tfseg import architectures
from tfseg.errors import MAX_MESSAGE
from tfseg.labels import DatasetInfo, default_colors
from tfseg.runs.run_directory import save_weights, write_config
from tfseg.system.checksums import write_with_sha256

MANY = 200
LONG = "long_" * 200
INFO = DatasetInfo("toy", tuple(f"class {index} of {MANY}" for index in range(MANY)), default_colors(MANY))


@pytest.fixture(scope="module")
def folder(command, toy_records):
    """The command's folder, with a run of many classes and with records."""
    config = toy_config("records", {})
    write_config(command.folder / "run", config, INFO)
    network = architectures.build(config.model, MANY)
    save_weights(command.folder / "run" / "weights" / "last.npz", network)
    shutil.copytree(toy_records, command.folder / "records")
    Image.fromarray(np.zeros([32, 32, 3], np.uint8)).save(command.folder / "photo.png")
    return command.folder


def change(path, edit):
    values = json.loads(path.read_text())
    edit(values)
    path.write_text(json.dumps(values))


def wrong_weights(run):
    arrays = {f"{LONG}{index}": np.zeros(3, "f4") for index in range(MANY)}
    np.savez(run / "weights" / "last.npz", **arrays)
    data = (run / "weights" / "last.npz").read_bytes()
    write_with_sha256(run / "weights" / "last.npz", data)


SEGMENT = ["segment.py", "--model=broken", "photo.png"]
TRAIN = [
    "train.py",
    "--model=rnn",
    "--dataset=folder",
    "--data_dir=broken",
    "--init_backbone_from=none",
    "--workdir=new",
]
# {what is wrong: (copied folder, change of the copy, command line, what the line begins with)}
CASES = {
    "weights of another model": ("run", wrong_weights, SEGMENT, "broken/weights/last.npz: "),
    "an empty checksum": (
        "run",
        lambda run: (run / "weights" / "last.npz.sha256").write_bytes(b""),
        SEGMENT,
        "broken/weights/last.npz.sha256: not a checksum",
    ),
    "a field with a long name": (
        "run",
        lambda run: change(run / "config.json", lambda values: values["training"].update({LONG: 1})),
        SEGMENT,
        "broken/config.json: training has no field 'long_",
    ),
    "a long value": (
        "run",
        lambda run: change(run / "config.json", lambda values: values["training"].update(seed=[LONG] * MANY)),
        SEGMENT,
        "broken/config.json: training.seed takes int, not ['long_",
    ),
    "an unknown model": (
        "run",
        lambda run: change(run / "config.json", lambda values: values["model"].update(name=LONG)),
        SEGMENT,
        "broken/config.json: model.name 'long_",
    ),
    "a colour too few": (
        "run",
        lambda run: change(run / "config.json", lambda values: values["dataset_info"]["colors"].pop()),
        SEGMENT,
        "broken/config.json: damaged (dataset_info toy: 200 class names but 199 colours)",
    ),
    "a long class name twice over": (
        "run",
        lambda run: (run / "config.json").write_text(f'{{"{LONG}": 1, "{LONG}": 2}}'),
        SEGMENT,
        "broken/config.json: damaged (the field 'long_",
    ),
    "a pipe": (
        "run",
        lambda run: [(run / "config.json").unlink(), os.mkfifo(run / "config.json")],
        SEGMENT,
        "broken/config.json: a pipe",
    ),
    "a changed digit of the manifest": (
        "records",
        lambda records: change(
            records / "manifest.json", lambda values: values["splits"]["val"].update(ignored_pixels=1)
        ),
        TRAIN,
        "broken/manifest.json: damaged (checksum is not that of the other fields",
    ),
    "counts of another number of classes": (
        "records",
        lambda records: change(
            records / "manifest.json", lambda values: values["splits"]["val"].update(label_histogram=list(range(9999)))
        ),
        TRAIN,
        "broken/manifest.json: damaged (splits.val.label_histogram has 9999 counts for 3 classes)",
    ),
    "a split of a long name": (
        "records",
        lambda records: change(records / "manifest.json", lambda values: values["splits"].update({LONG: LONG})),
        TRAIN,
        "broken/manifest.json: damaged (splits['long_",
    ),
    "many class weights": (
        "records",
        lambda records: (records / "weights.txt").write_text("0.12345678901 " * 5000),
        [*TRAIN, "--class_weights=broken/weights.txt"],
        "broken/weights.txt: 3 finite weights of 0 or more are needed, one a class; it has 5000: 0.12345678901, ",
    ),
    "a class weight that is none": (
        "records",
        lambda records: (records / "weights.txt").write_text(f"1 {LONG} 1"),
        [*TRAIN, "--class_weights=broken/weights.txt"],
        "broken/weights.txt: damaged (number 2 is 'long_",
    ),
    "a folder of class weights": (
        "records",
        lambda records: (records / "weights.txt").mkdir(),
        [*TRAIN, "--class_weights=broken/weights.txt"],
        "broken/weights.txt: a folder, not a regular file",
    ),
    "a long flag": ("records", None, [*TRAIN, f"--optimizer={LONG}"], "--optimizer=long_"),
    "a long data set": ("records", None, ["train.py", f"--dataset={LONG}"], "--"),
    "an unknown backbone": ("records", None, [*TRAIN, "--backbone=none"], "backbone.name 'none' is unknown; one of "),
    "a long field": ("records", None, [*TRAIN, f"--config.training.{LONG}=1"], "config: training has no field 'long_"),
    "a class that the run does not have": (
        "run",
        None,
        ["evaluate.py", "--model=broken", "--dataset=folder", "--data_dir=records", "--match=none:bright"],
        "--match: toy has no class 'none'; it has class 0 of 200, class 1 of 200, ",
    ),
}


@pytest.mark.parametrize(("source", "spoil", "words", "start"), CASES.values(), ids=CASES)
def test_the_line_is_short_and_names_the_file(command, folder, source, spoil, words, start):
    shutil.rmtree(folder / "broken", ignore_errors=True)
    shutil.copytree(folder / source, folder / "broken")
    if spoil:
        spoil(folder / "broken")
    done = command(*words)
    (line,) = [line for line in done["err"].splitlines() if not line.startswith("note: ")]
    assert (done["code"], done["out"]) == (2, "")
    assert line.startswith(f"error: {start}")
    assert len(line) <= MAX_MESSAGE
