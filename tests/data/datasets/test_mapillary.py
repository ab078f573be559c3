"""Mapillary Vistas: both archives, and its three kinds of labels."""

import json

import numpy as np
import pytest

from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import mapillary
from tfseg.errors import InputError

# (name, is thing, is evaluated); label 2 is not evaluated, so later labels move down by one.
LABELS = [
    ("bird", True, True),
    ("road", False, True),
    ("car mount", False, False),
    ("car", True, True),
    ("none", False, False),
]
CATEGORIES = [(index + 1, name, int(thing)) for index, (name, thing, _) in enumerate(LABELS)]


def write_config(path, labels=LABELS):
    path.parent.mkdir(parents=True, exist_ok=True)
    entries = [
        {"name": name, "readable": name.title(), "color": [index, 0, 9], "instances": thing, "evaluate": evaluated}
        for index, (name, thing, evaluated) in enumerate(labels)
    ]
    path.write_text(json.dumps({"labels": entries, "version": 1.2}))


@pytest.fixture
def root(tmp_path):
    return tmp_path / "vistas"


@pytest.fixture
def write(root, save, save_segments):
    """write(kinds, inside, split) writes the image a.jpg of 1x5 pixels, and its labels in the folders of those kinds.

    The pixels are bird 1, bird 2, road, car (a crowd in the panoptic form), and a label that is not evaluated.
    """

    def write_split(kinds, inside="", split="training", json_name="panoptic_2018.json"):
        save(root / split / "images" / "a.jpg", np.zeros([1, 5, 3], np.uint8))
        folder = root / split / inside
        if "labels" in kinds:
            save(folder / "labels" / "a.png", np.array([[0, 0, 1, 3, 4]], np.uint8))
        if "instances" in kinds:
            save(folder / "instances" / "a.png", np.array([[0, 1, 256, 768 + 255, 1024]], np.uint16))
        if "panoptic" in kinds:
            segments = [(7, 1, 0), (8, 1, 0), (9, 2, 0), (10, 4, 1)]
            images = {"a.png": ([[7, 8, 9, 10, 0]], segments)}
            save_segments(folder / "panoptic" / json_name, CATEGORIES, images, folder=folder / "panoptic")

    return write_split


def encoded(root, list_examples=mapillary.list_examples):
    found = list_examples(root, ConvertOptions())
    (example,) = found.splits["train"]
    return found.encode(example)


def test_classes_are_the_evaluated_labels_of_the_config(root, write):
    write_config(root / "config.json")
    write(["labels"])
    info = mapillary.list_examples(root, ConvertOptions()).info
    assert (info.name, info.class_names, info.thing_ids) == ("mapillary", ("bird", "road", "car"), {0, 2})
    assert info.colors == ((0, 0, 9), (1, 0, 9), (3, 0, 9))


def test_sixteen_bit_instances_give_classes_and_instances_of_things(root, write, panoptic_of):
    write_config(root / "config.json")
    write(["labels", "instances"])
    label, classes, instances = panoptic_of(encoded(root))
    assert label == classes == [[0, 0, 1, 2, 255]]
    assert instances == [[1, 2, 0, 256, 0]]


def test_the_panoptic_form_goes_first_and_knows_crowds(root, write, panoptic_of):
    write_config(root / "config.json")
    write(["labels", "instances", "panoptic"])
    label, classes, instances = panoptic_of(encoded(root))
    assert label == classes == [[0, 0, 1, 2, 255]]
    assert instances == [[1, 2, 0, 0, 0]]


def test_labels_alone_are_semantic(root, write):
    write_config(root / "config.json")
    write(["labels"])
    record = encoded(root)
    assert record.panoptic_png is None
    assert {class_id: count for class_id, count in enumerate(record.class_counts) if count} == {
        0: 2,
        1: 1,
        2: 1,
        255: 1,
    }


def test_the_newer_archive_holds_both_versions(root, write, panoptic_of):
    write_config(root / "config_v1.2.json")
    write_config(root / "config_v2.0.json", [*LABELS[:3], ("boat", True, True), *LABELS[3:]])
    write(["labels", "instances"], inside="v1.2")
    write(["labels", "instances"], inside="v2.0")
    assert panoptic_of(encoded(root))[0] == [[0, 0, 1, 2, 255]]
    newer = mapillary.list_v2_examples(root, ConvertOptions())
    assert newer.info.class_names == ("bird", "road", "boat", "car") and newer.info.name == "mapillary_v2"
    assert panoptic_of(encoded(root, mapillary.list_v2_examples))[0] == [[0, 0, 1, 2, 3]]


def test_the_newer_panoptic_file_is_found(root, write, panoptic_of):
    write_config(root / "config_v2.0.json")
    write(["labels", "panoptic"], inside="v2.0", json_name="panoptic_2020.json")
    assert panoptic_of(encoded(root, mapillary.list_v2_examples))[2] == [[1, 2, 0, 0, 0]]


def test_records_are_made_of_both_splits(root, write, tmp_path):
    write_config(root / "config.json")
    write(["panoptic"])
    write(["panoptic"], split="validation")
    splits = opening.prepare("mapillary", root, tmp_path / "records").splits
    assert splits["train"].label_histogram == splits["val"].label_histogram == [2, 1, 1]


def test_bad_labels_are_named(root, write, save):
    write_config(root / "config.json")
    write(["labels", "instances"])
    path = save(root / "training" / "instances" / "a.png", np.array([[0, 1, 256, 768, 5 * 256]], np.uint16))
    with pytest.raises(InputError, match=r"instances/a\.png: label 5, but config\.json has 5 labels"):
        encoded(root)
    save(path, np.zeros([1, 4], np.uint16))
    with pytest.raises(InputError, match=r"instances/a\.png: label of 4x1 pixels for an image of 5x1"):
        encoded(root)
    path.unlink()
    assert mapillary.list_examples(root, ConvertOptions()).problems == [f"{path}: no such file"]


def test_an_image_without_annotation_is_a_problem(root, write, save):
    write_config(root / "config.json")
    write(["panoptic"])
    save(root / "training" / "images" / "b.jpg", np.zeros([1, 5, 3], np.uint8))
    (problem,) = mapillary.list_examples(root, ConvertOptions()).problems
    assert problem.endswith("b.jpg: has no annotation in " + str(root / "training" / "panoptic" / "panoptic_2018.json"))


BAD_COLORS = ([1], [999, 0, 0], [0, -1, 0], [0, 0, 0.5], [1, 2, 3, 4], "red", ["1", "2", "3"])


def label_of(color):
    """Returns an entry of a config file."""
    return {"name": "a", "color": color, "evaluate": True, "instances": False}


@pytest.mark.parametrize(
    "content, reason",
    [
        ("{", "Expecting"),
        ("[]", "list indices"),
        ('{"labels": [{"name": "a", "color": [1, 2, 3], "evaluate": true}]}', "no 'instances'"),
        (
            '{"labels": [{"name": "a", "color": [1, 2, 3], "evaluate": false, "instances": true}]}',
            "no label is evaluated",
        ),
        *((json.dumps({"labels": [label_of(color)]}), "not three whole numbers from 0 to 255") for color in BAD_COLORS),
        (json.dumps({"labels": [label_of(7)]}), "not iterable"),
        pytest.param('{"labels": ' + "[" * 100_000, "nested too deeply", id="nested"),
    ],
)
def test_a_bad_config_is_named(root, content, reason):
    root.mkdir()
    (root / "config.json").write_text(content)
    with pytest.raises(InputError, match=rf"config\.json: .*{reason}") as caught:
        mapillary.list_examples(root, ConvertOptions())
    assert "\n" not in str(caught.value)


def test_the_version_that_is_missing_is_named(root, write):
    write_config(root / "config.json")
    write(["labels"])
    with pytest.raises(InputError, match=r"no Mapillary Vistas v2\.0 here \(config_v2\.0\.json, .*mapillary\.com"):
        mapillary.list_v2_examples(root, ConvertOptions())
