"""Panoptic quality against values worked by hand."""

import pickle

import numpy as np
import pytest

from tests.metrics.panoptic_maps import INFO, LABEL, PREDICTION, V, one_class, random_maps, updated
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors
from tfseg.metrics.panoptic_quality import PanopticQuality
from tfseg.metrics.parsing_covering import ParsingCovering


def counts_of(quality, name="cat"):
    entry = quality.result()["classes"][name]
    return tuple(entry[key] for key in ("true_positives", "false_positives", "false_negatives"))


def test_an_image_worked_by_hand():
    result = updated(PanopticQuality(INFO), (LABEL, PREDICTION)).result()
    # Of the 10 pixels predicted as wall, 8 are wall, 1 is lawn and 1 is void, which does not count:
    # 8 / (8 + 10 - 8 - 1).
    assert result["classes"]["wall"]["pq"] == pytest.approx(8 / 9)
    assert result["classes"]["cat"]["pq"] == pytest.approx((0.8 + 0.75) / 2)
    assert result["classes"]["lawn"]["pq"] == pytest.approx(0.8)
    assert round(result["all"]["pq"], 6) == 0.821296
    assert result["things"] == pytest.approx({"pq": 0.775, "sq": 0.775, "rq": 1, "num_classes": 1})
    assert result["stuff"]["pq"] == pytest.approx((8 / 9 + 0.8) / 2)
    assert (result["all"]["num_classes"], result["stuff"]["num_classes"], result["num_images"]) == (3, 2, 1)


def test_one_tree_of_three_scores_half_as_thing_and_nothing_as_stuff():
    prediction = np.repeat([[1001] * 3 + [0] * 6], 3, 0)
    things = np.repeat([[1001] * 3 + [1002] * 3 + [1003] * 3], 3, 0)
    assert counts_of(updated(PanopticQuality(INFO), (things, prediction))) == (1, 0, 2)
    assert updated(PanopticQuality(INFO), (things, prediction)).result()["classes"]["cat"]["pq"] == 0.5
    # As stuff it is one segment with an IoU of 1 / 3.
    stuff = updated(PanopticQuality(INFO), (things * 0 + 2000, np.where(prediction, 2000, 0)))
    assert stuff.result()["classes"]["lawn"] == {
        "pq": 0.0,
        "sq": 0.0,
        "rq": 0.0,
        "true_positives": 0,
        "false_positives": 1,
        "false_negatives": 1,
    }


def small_cell(*pixels):
    """6x6: instance 2 at these (row, first column, last column), instance 1 elsewhere."""
    label = np.ones([6, 6], int)
    for row, first, last in pixels:
        label[row, first : last + 1] = 2
    return label


def test_four_images_of_two_cells():
    label = small_cell((2, 2, 4), (3, 1, 4))
    good = small_cell((2, 1, 4), (3, 1, 3))
    bad = small_cell((2, 3, 4), (3, 3, 4), (4, 3, 4))
    scores = []
    for images in ([(label, good)], [(label, bad)], [(label, good)] * 2 + [(label, bad)] * 2):
        scores.append(round(updated(PanopticQuality(one_class()), *images).result()["all"]["pq"], 6))
    # (28/30 + 6/8) / 2; then one match of 27/32 with one wrong and one missed; then two images of each.
    assert scores == [0.841667, 0.421875, 0.631771]


def test_an_iou_of_exactly_one_half_is_no_match():
    label = [[1001] * 4 + [0] * 4]
    assert counts_of(updated(PanopticQuality(INFO), (label, [[1001] * 2 + [0] * 6]))) == (0, 1, 1)
    assert counts_of(updated(PanopticQuality(INFO), (label, [[1001] * 3 + [0] * 5]))) == (1, 0, 0)


def test_a_false_positive_is_excused_when_more_than_half_of_it_is_void():
    label = [[V] * 4 + [0] * 4]
    assert counts_of(updated(PanopticQuality(INFO), (label, [[0, 0, 1001, 1001, 1001, 1001, 0, 0]]))) == (0, 1, 0)
    assert counts_of(updated(PanopticQuality(INFO), (label, [[0, 1001, 1001, 1001, 1001, 1001, 0, 0]]))) == (0, 0, 0)


def test_a_crowd_is_neither_found_nor_missed_and_excuses_only_its_class():
    label = [[1000] * 6 + [0] * 6]
    perfect = [[1000] * 6 + [0] * 6]
    assert counts_of(updated(PanopticQuality(INFO), (label, perfect))) == (0, 0, 0)
    assert counts_of(updated(PanopticQuality(INFO), (label, [[1001] * 4 + [1002] * 2 + [0] * 6]))) == (0, 0, 0)
    assert counts_of(updated(PanopticQuality(INFO), (label, [[2000] * 6 + [0] * 6])), "lawn") == (0, 1, 0)


def test_a_crowd_does_not_shrink_a_union_as_void_does():
    prediction = [[0] * 4 + [1001] * 6]
    on_crowd = updated(PanopticQuality(INFO), ([[0] * 4 + [1000] * 2 + [1001] * 4], prediction))
    on_void = updated(PanopticQuality(INFO), ([[0] * 4 + [V] * 2 + [1001] * 4], prediction))
    assert on_crowd.result()["classes"]["cat"]["pq"] == pytest.approx(4 / 6)
    assert on_void.result()["classes"]["cat"]["pq"] == 1


def test_void_in_the_prediction_is_no_segment_whatever_its_instance():
    quality = updated(PanopticQuality(INFO), ([[1001] * 4 + [V] * 2], [[V] * 2 + [V + 7] * 4]))
    assert counts_of(quality) == (0, 0, 1)
    assert quality.result()["all"] == {"pq": 0.0, "sq": 0.0, "rq": 0.0, "num_classes": 1}


def test_a_group_without_classes_is_zero_and_a_class_that_does_not_occur_is_undefined():
    result = updated(PanopticQuality(INFO), ([[0, 0]], [[0, 0]])).result()
    assert result["things"] == {"pq": 0.0, "sq": 0.0, "rq": 0.0, "num_classes": 0}
    assert result["classes"]["cat"]["pq"] is None and result["all"]["pq"] == 1.0
    assert PanopticQuality(INFO).result()["all"]["num_classes"] == 0


def test_mean_quality_is_not_the_product_of_the_two_means():
    label = [[0] * 4 + [1001] * 4 + [1002] * 4]
    group = updated(PanopticQuality(INFO), (label, [[0] * 5 + [1001] * 3 + [0] * 4])).result()["all"]
    # wall: IoU 4 / 9, no match. cat: IoU 3 / 4, and one cat is missed.
    assert group["pq"] == pytest.approx((0 + 0.75 / 1.5) / 2)
    assert (group["sq"], group["rq"]) == pytest.approx((0.75 / 2, (1 / 1.5) / 2))


def test_ids_of_high_classes_and_instances_stay_apart():
    info = DatasetInfo("many", tuple(map(str, range(255))), default_colors(255), thing_ids=frozenset({254}))
    label = np.array([[254_999, 254_998, 255_999, 254_001]], np.int32).repeat(2, 0)
    quality = updated(PanopticQuality(info), (label, label[:, ::-1]), (label, label))
    # Swapped: 254_001 <-> 254_999 and 254_998 <-> void. The first two match crosswise, the third is missed.
    assert counts_of(quality, "254") == (5, 0, 1)


@pytest.mark.parametrize("wrong", [[[0, 3000]], [[0, -1]]])
def test_an_id_of_no_class_is_refused(wrong):
    for images in ((wrong, [[0, 0]]), ([[0, 0]], wrong)):
        with pytest.raises(InputError, match="panoptic id (3000: class 3 of 3; is an instance id at or above|-1)"):
            updated(PanopticQuality(INFO), images)


def test_maps_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="shape"):
        updated(PanopticQuality(INFO), ([[0, 0]], [[0], [0]]))


@pytest.mark.parametrize("metric", [PanopticQuality, ParsingCovering])
def test_parts_from_other_processes_add_up_in_any_order(metric):
    images = [random_maps(np.random.default_rng(seed)) for seed in range(7)]
    whole = updated(metric(INFO), *images)
    parts = [pickle.loads(pickle.dumps(updated(metric(INFO), *part))) for part in (images[4:], images[:1], images[1:4])]
    total = metric(INFO)
    for part in parts:
        total.merge(part)
    assert total.result() == whole.result() and 0.2 < next(iter(whole.result()["all"].values())) < 0.9
    with pytest.raises(ValueError, match="add up"):
        total.merge(metric(one_class()))


def test_counts_of_different_modes_do_not_add_up():
    with pytest.raises(ValueError, match="mode"):
        PanopticQuality(INFO).merge(PanopticQuality(INFO, panopticapi_compat=True))
