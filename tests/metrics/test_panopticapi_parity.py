"""Panoptic quality against the published evaluation, run on the same files."""

import contextlib
import io
import json

import numpy as np
import pytest
from PIL import Image

from tests.metrics.panoptic_maps import INFO, V, random_maps
from tfseg.benchmarks.panoptic_quality import benchmark
from tfseg.formats.coco_panoptic.annotations import read_annotations
from tfseg.formats.coco_panoptic.segment_ids import encode_ids
from tfseg.formats.coco_panoptic.writer import PanopticWriter
from tfseg.metrics.panoptic_folders import score_folders

# The published code takes no NumPy 2, so the stack of Python 3.12 has none of it.
evaluation = pytest.importorskip("panopticapi.evaluation", reason="panopticapi takes no NumPy 2")


def write(path, maps, info=INFO, **options):
    with PanopticWriter(path, info, **options) as writer:
        for index, panoptic_ids in enumerate(maps):
            writer.add(index, f"image{index}", panoptic_ids)
    return path


def published(label_path, prediction_path):
    """Runs panopticapi and returns {"all", "things", "stuff"} and the counts of every class name."""
    label, prediction = (json.loads(path.read_text()) for path in (label_path, prediction_path))
    categories = {category["id"]: category for category in label["categories"]}
    pairs = list(zip(label["annotations"], prediction["annotations"], strict=True))
    folders = [str(path.with_suffix("")) for path in (label_path, prediction_path)]
    with contextlib.redirect_stdout(io.StringIO()):
        found = evaluation.pq_compute_single_core(0, pairs, *folders, categories)
    groups = {}
    for name, is_thing in (("all", None), ("things", True), ("stuff", False)):
        group = found.pq_average(categories, is_thing)[0]
        groups[name] = {"num_classes": group.pop("n")} | group
    counts = {
        categories[category_id]["name"]: (each.tp, each.fp, each.fn) for category_id, each in found.pq_per_cat.items()
    }
    return groups, counts


def assert_equal(label_path, prediction_path):
    """Checks that both agree, and returns the groups."""
    labels = read_annotations(label_path)
    result = score_folders(labels, read_annotations(prediction_path, labels), 1, panopticapi_compat=True)
    groups, counts = published(label_path, prediction_path)
    quality = result["panoptic_quality"]
    ours = {
        name: (entry["true_positives"], entry["false_positives"], entry["false_negatives"])
        for name, entry in quality["classes"].items()
    }
    assert ours == {name: (0, 0, 0) for name in ours} | counts
    for name, group in groups.items():
        assert quality[name] == pytest.approx(group, abs=1e-9)
    return groups


@pytest.mark.parametrize("seed", range(4))
def test_random_maps_with_void_and_a_crowd(tmp_path, seed):
    generator = np.random.default_rng(seed)
    labels, predictions = zip(*(random_maps(generator) for _ in range(6)), strict=True)
    groups = assert_equal(
        write(tmp_path / "label.json", labels, has_crowds=True), write(tmp_path / "prediction.json", predictions)
    )
    assert 0.1 < groups["things"]["pq"] < groups["things"]["sq"] < 1 and groups["stuff"]["num_classes"] == 2


@pytest.mark.parametrize("seed", range(4))
def test_several_crowds_of_a_class_and_categories_with_ids_of_their_own(tmp_path, seed):
    generator = np.random.default_rng(seed)
    labels, predictions = zip(*(random_maps(generator) for _ in range(4)), strict=True)
    label_path = write(tmp_path / "label.json", labels, category_ids=[200, 7, 31])
    content = json.loads(label_path.read_text())
    num_crowds = 0
    for annotation in content["annotations"]:
        generator.shuffle(annotation["segments_info"])  # the order says which crowd is the last
        for segment in annotation["segments_info"]:
            segment["iscrowd"] = int(generator.random() < 0.5)
            num_crowds += segment["iscrowd"]
    label_path.write_text(json.dumps(content))
    assert_equal(label_path, write(tmp_path / "prediction.json", predictions, category_ids=[200, 7, 31]))
    assert num_crowds > 12


def test_only_the_last_of_several_crowds_excuses_in_compat_mode(tmp_path):
    # The predicted cat has 3 pixels on each of two crowds; their order in the file varies.
    label_path = write(tmp_path / "label.json", [[[1001] * 3 + [1002] * 3 + [0] * 2]])
    prediction_path = write(tmp_path / "prediction.json", [[[1001] * 6 + [0] * 2]])
    content = json.loads(label_path.read_text())
    for segment in content["annotations"][0]["segments_info"]:
        segment["iscrowd"] = int(segment["category_id"] == 1)
    label_path.write_text(json.dumps(content))
    assert_equal(label_path, prediction_path)
    labels = read_annotations(label_path)
    predictions = read_annotations(prediction_path, labels)
    for is_compat, num_wrong in ((True, 1), (False, 0)):
        quality = score_folders(labels, predictions, 1, is_compat)["panoptic_quality"]
        assert quality["classes"]["cat"]["false_positives"] == num_wrong


def test_ties_and_empty_predictions(tmp_path):
    tie = [[0] * 4 + [1001] * 4 + [1002] * 2 + [2000] * 4 + [V] * 2]
    labels = [tie] * 4
    predictions = [
        [[0] * 2 + [1001] * 4 + [1002] * 4 + [2000] * 2 + [0] * 4],
        [[V] * 16],
        [[0] * 6 + [1001] * 6 + [V] * 2 + [1003] * 2],
        [[0] * 4 + [1001] * 2 + [V] * 8 + [1003, 1004]],
    ]
    groups = assert_equal(write(tmp_path / "label.json", labels), write(tmp_path / "prediction.json", predictions))
    assert 0 < groups["all"]["pq"] < 0.5


def test_more_than_65535_segments(tmp_path):
    ids = np.arange(1, 1 + 260 * 260).reshape(260, 260)
    paths = []
    for name, segment_ids in (("label", ids), ("prediction", np.where(ids % 3, ids, 0))):
        paths.append(write(tmp_path / f"{name}.json", [ids * 0]))
        Image.fromarray(encode_ids(segment_ids)).save(tmp_path / name / "image0.png")
        content = json.loads(paths[-1].read_text())
        content["annotations"][0]["segments_info"] = [
            {"id": segment_id, "category_id": int(segment_id > 2), "iscrowd": 0, "area": 1}
            for segment_id in segment_ids[segment_ids > 0].tolist()
        ]
        paths[-1].write_text(json.dumps(content))
    groups = assert_equal(*paths)
    # Two thirds of all cats are found: 2/3 / (2/3 + 1/3 / 2).
    assert groups["things"] == pytest.approx({"pq": 0.8, "sq": 1, "rq": 0.8, "num_classes": 1}, abs=1e-4)


def test_the_benchmark_counts_the_same_with_both():
    found = benchmark((96, 128), num_runs=1)
    counts = found["tfseg"][1]
    np.testing.assert_allclose(counts, found["panopticapi"][1], rtol=0, atol=1e-9)
    assert counts[:, 0].sum() > 10 and counts[:, 1:3].sum() > 0
