"""The whole suite: perfect predictions score 1, absent classes are left out, order does not matter, parts add up."""

import dataclasses
import json
from typing import ClassVar

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors
from tfseg.metrics.class_scores import ClassIoU
from tfseg.metrics.metric import Metric
from tfseg.metrics.suite import METRICS, SegmentationSuite

INFO = DatasetInfo("toy", ("sky", "road", "car"), default_colors(3))
THINGS = dataclasses.replace(INFO, thing_ids=frozenset({2}), categories=("nature", "flat", "vehicle"))
SCORES = ("miou", "fwiou", "pixel_accuracy", "mean_class_accuracy")


def random_images(count, num_iterations=2):
    rng = np.random.default_rng(5)
    for _ in range(count):
        size = rng.integers(1, 9, 2)
        label = rng.choice([0, 1, 2, 255], size)
        yield label, [rng.integers(0, 3, size).astype(np.uint8) for _ in range(num_iterations)]


def suite_of(images, num_iterations=2):
    suite = SegmentationSuite(INFO, num_iterations)
    for label, predictions in images:
        suite.update(label, predictions)
    return suite


def test_perfect_predictions_score_one_everywhere():
    label = np.array([[0, 1], [2, 255]])
    result = suite_of([(label, [np.where(label == 255, 0, label)] * 2)]).result()
    for entry in result["iterations"]:
        assert [entry[score] for score in SCORES] == [1.0] * 4
        assert entry["iou"] == {"sky": 1.0, "road": 1.0, "car": 1.0}
        assert entry["classes_left_out"] == []


def test_a_class_in_neither_map_is_null_in_json_and_not_part_of_the_mean():
    label = np.array([[0, 0, 1]])
    entry = suite_of([(label, [np.array([[0, 1, 1]])])], 1).result()["iterations"][0]
    assert json.loads(json.dumps(entry, allow_nan=False))["iou"] == {"sky": 0.5, "road": 0.5, "car": None}
    assert entry["classes_left_out"] == ["car"]
    assert entry["miou"] == 0.5


def test_every_iteration_is_scored_by_itself():
    label = np.array([[0, 1, 2, 2]])
    entries = suite_of([(label, [np.array([[0, 0, 0, 0]]), label])]).result()["iterations"]
    assert [entry["iteration"] for entry in entries] == [1, 2]
    assert entries[0]["miou"] == pytest.approx(1 / 4 / 3)
    assert entries[0]["confusion"] == [[1, 0, 0], [1, 0, 0], [2, 0, 0]]
    assert entries[1]["miou"] == 1.0


def test_order_does_not_matter_and_parts_add_up():
    images = list(random_images(7))
    whole, first, second = suite_of(images), suite_of(images[:3]), suite_of(images[3:])
    first.merge(second)
    assert suite_of(images[::-1]).result() == whole.result() == first.result()
    assert whole.result()["num_images"] == 7


def test_without_things_instances_and_categories_their_scores_are_not_there():
    entry = suite_of(random_images(2)).result()["iterations"][0]
    assert not [key for key in entry if "iiou" in key or "category" in key]


@pytest.mark.parametrize(
    "known,keys",
    [
        ([True, True], {"iiou", "mean_iiou", "category_iiou", "mean_category_iiou"}),
        ([True, False], set()),
        ([False, False], set()),
    ],
)
def test_instance_level_iou_is_there_only_if_the_instances_of_every_image_are_known(known, keys):
    suite, label = SegmentationSuite(THINGS, 1), np.array([[0, 1, 2]])
    for is_known in known:
        suite.update(label, [label], label if is_known else None)
    result = suite.result()
    [entry] = result["iterations"]
    assert {key for key in entry if "iiou" in key} == keys
    assert entry["category_iou"] == {"nature": 1.0, "flat": 1.0, "vehicle": 1.0} and entry["mean_category_iou"] == 1.0
    assert result["num_images_with_instances"] == sum(known)
    assert json.loads(json.dumps(result, allow_nan=False)) == result


def test_instances_are_scored_after_every_iteration_and_parts_add_up():
    rng, images = np.random.default_rng(2), list(random_images(5))
    instances = [rng.integers(0, 3, label.shape) for label, _ in images]
    suites = [SegmentationSuite(THINGS, 2) for _ in range(3)]
    for index, ((label, predictions), ids) in enumerate(zip(images, instances, strict=True)):
        suites[0].update(label, iter(predictions), ids)
        suites[1 + index % 2].update(label, predictions, ids)
    suites[1].merge(suites[2])
    first, second = suites[0].result()["iterations"]
    assert suites[1].result() == suites[0].result()
    assert first["iiou"] != second["iiou"]
    swapped = SegmentationSuite(THINGS, 2)
    for (label, predictions), ids in zip(images, instances, strict=True):
        swapped.update(label, predictions[::-1], ids)
    assert swapped.result()["iterations"][1]["iiou"] == first["iiou"]


def test_suites_of_other_things_or_categories_do_not_add_up():
    with pytest.raises(ValueError, match="add up"):
        SegmentationSuite(THINGS, 1).merge(SegmentationSuite(INFO, 1))


def test_only_ignored_pixels_score_nothing():
    label = np.full([2, 2], 255)
    entry = suite_of([(label, [np.zeros([2, 2], int)])], 1).result()["iterations"][0]
    assert [entry[score] for score in SCORES] == [None] * 4


def test_wrong_sizes_counts_and_labels_are_refused():
    suite = SegmentationSuite(INFO, 2)
    label = np.zeros([2, 2], int)
    with pytest.raises(ValueError, match="shape"):
        suite.update(label, [np.zeros([4], int)] * 2)
    with pytest.raises(ValueError, match="shorter"):
        suite.update(label, [label])
    with pytest.raises(InputError, match="label value 7"):
        suite.update(label + 7, [label] * 2)
    with pytest.raises(ValueError, match="add up"):
        suite.merge(SegmentationSuite(INFO, 3))


def missing_in(metric):
    """What a class lacks of a metric, a sentence each; see `tfseg.metrics.metric.Metric`."""
    if not issubclass(metric, Metric):
        return [f"{metric.__name__} does not extend Metric of tfseg/metrics/metric.py"]
    label = np.array([[0, 1, 2, 2]])
    perfect, absent = (SegmentationSuite(THINGS, 1, [metric]) for _ in range(2))
    perfect.update(label, [label], label)
    absent.update(np.full([1, 4], 255), [label], np.zeros([1, 4], int))
    [found], [nothing] = (suite.result()["iterations"] for suite in (perfect, absent))
    sentences = []
    if not metric.columns:
        sentences.append(f"{metric.__name__} has no columns: the report would not show it")
    for key in [*metric.columns.values(), *(key for keys in metric.tables.values() for key in keys)]:
        if key not in found:
            sentences.append(f"{metric.__name__}: the report shows {key}, which result() does not have")
        elif not isinstance(found[key], dict) and found[key] != 1.0:
            sentences.append(f"{metric.__name__}: {key} of a perfect prediction is {found[key]}, not 1")
        elif not isinstance(nothing.get(key), dict) and nothing.get(key) not in (None, 0.0):
            sentences.append(f"{metric.__name__}: {key} is {nothing[key]} where nothing is labelled, not None")
    return sentences


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.__name__)
def test_every_metric_is_one_on_perfect_maps_undefined_on_absent_classes_and_shown(metric):
    assert missing_in(metric) == []


def test_what_a_new_metric_lacks_is_said_in_words():
    class Silent(Metric):
        def result(self, index, confusion):
            return {"silence": 1.0}

    class Wrong(Metric):
        columns: ClassVar = {"wrong": "half", "gone": "gone"}

        def result(self, index, confusion):
            return {"half": 0.5}

    assert missing_in(Silent) == ["Silent has no columns: the report would not show it"]
    assert missing_in(Wrong) == [
        "Wrong: half of a perfect prediction is 0.5, not 1",
        "Wrong: the report shows gone, which result() does not have",
    ]
    assert missing_in(dict) == ["dict does not extend Metric of tfseg/metrics/metric.py"]


def test_a_metric_that_is_switched_off_is_not_counted():
    label = np.array([[0, 1, 2]])
    suite = SegmentationSuite(THINGS, 1, [ClassIoU])
    suite.update(label, [label], label)
    assert set(suite.result()["iterations"][0]) == {"iteration", "miou", "classes_left_out", "iou", "confusion"}
