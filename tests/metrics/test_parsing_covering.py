"""Parsing covering against values worked by hand, and properties that hold for all maps."""

import dataclasses

import numpy as np
import pytest

from tests.metrics.panoptic_maps import INFO, LABEL, PREDICTION, V, random_maps, updated
from tfseg.metrics.panoptic_quality import PanopticQuality
from tfseg.metrics.parsing_covering import ParsingCovering


def covering(*images, info=INFO):
    return updated(ParsingCovering(info), *images).result()


def close(expected):
    return pytest.approx(expected, rel=0, abs=1e-8)


def test_an_image_worked_by_hand():
    result = covering((LABEL, PREDICTION))
    assert [result["classes"][name]["pc"] for name in INFO.class_names] == close([8 / 9, 0.775, 0.8])
    assert result["all"]["pc"] == close((8 / 9 + 0.775 + 0.8) / 3)
    assert (result["things"]["pc"], result["stuff"]["pc"]) == close((0.775, (8 / 9 + 0.8) / 2))
    assert [result["classes"][name]["pc_normalized"] for name in INFO.class_names] == close([8 / 9, 0.775, 0.8])


def test_one_tree_of_three_is_a_third_as_thing_and_as_stuff():
    prediction = np.repeat([[1001] * 3 + [0] * 6], 3, 0)
    things = np.repeat([[1001] * 3 + [1002] * 3 + [1003] * 3], 3, 0)
    assert covering((things, prediction))["classes"]["cat"]["pc"] == close(1 / 3)
    stuff = (np.full([3, 9], 2000), np.where(prediction, 2000, 0))
    assert covering(stuff)["classes"]["lawn"]["pc"] == close(1 / 3)


def test_normalized_every_image_weighs_the_same():
    small_label, large_label = np.full([10, 10], V), np.full([100, 100], V)
    small_label[:5], large_label[:10] = 1001, 1001
    large_prediction = large_label.copy()
    large_prediction[5:10] = 0  # 500 of 1000 pixels
    scores = covering((small_label, small_label), (large_label, large_prediction))["classes"]["cat"]
    assert scores["pc"] == close((50 + 500) / 1050)
    assert scores["pc_normalized"] == close((0.5 + 0.05) / (0.5 + 0.1))


def test_a_predicted_segment_may_cover_several_labelled_ones():
    label = [[1001] * 2 + [1002] * 6]
    # IoU 2/8 for the segment of 2 pixels, 6/8 for that of 6: segments are not matched.
    assert covering((label, [[1001] * 8]))["classes"]["cat"]["pc"] == pytest.approx((2 * 2 / 8 + 6 * 6 / 8) / 8)


def test_a_tiny_map_is_as_exact_as_a_large_one():
    # One of three pixels is covered, by a segment of seven: 3 * 1 / 9 of 3.
    label, prediction = [[1001] * 3 + [0] * 6], [[0] * 2 + [1001] * 7]
    assert covering((label, prediction))["classes"]["cat"]["pc"] == close(1 / 9)


def test_the_sum_of_five_hundred_billion_pixels_fits():
    sums = updated(ParsingCovering(INFO), (np.zeros([1000, 1000], int),) * 2)
    for each in (sums.label_pixels, sums.covered_pixels):
        each *= 500_000
    assert sums.label_pixels[0] == 5 * 10**11 and sums.scores_per_class()["pc"][0] == 1


def test_only_predictions_of_its_class_cover_a_segment():
    assert covering(([[1001] * 4], [[2000] * 4]))["all"] == {"pc": 0.0, "pc_normalized": 0.0, "num_classes": 1}


def test_void_and_crowds_are_taken_out_of_the_image_first():
    prediction = [[1001] * 8]
    for ignored in (V, 1000):
        assert covering(([[1001] * 4 + [ignored] * 4], prediction))["classes"]["cat"]["pc"] == 1
    assert covering(([[1001] * 4 + [0] * 4], prediction))["classes"]["cat"]["pc"] == 0.5


def test_the_image_of_a_share_has_its_void_pixels():
    sums = updated(ParsingCovering(INFO), ([[1001] * 2 + [V] * 6], [[1001] * 8]))
    assert sums.label_shares[1] == 2**42 // 4 and sums.covered_shares[1] == 2**42 // 4


def test_without_labelled_pixels_the_score_is_undefined():
    result = covering(([[0] * 2 + [V] * 2], [[0] * 2 + [1001] * 2]))
    assert result["classes"]["cat"] == {"pc": None, "pc_normalized": None}
    assert result["things"] == {"pc": 0.0, "pc_normalized": 0.0, "num_classes": 0}


@pytest.mark.parametrize("seed", range(5))
def test_it_is_one_exactly_when_the_maps_agree_but_for_the_numbers_of_instances(seed):
    label, prediction = random_maps(np.random.default_rng(seed))
    renumbered = np.where((label > 1000) & (label < 1100), 2200 - label - 100, label)
    assert set(np.unique(renumbered)) != set(np.unique(label))
    assert covering((label, renumbered))["all"]["pc"] == covering((label, label))["all"]["pc"] == 1.0
    assert 0 < covering((label, prediction))["all"]["pc"] < 1
    one_pixel = label.copy()
    position = np.argwhere((label > 1000) & (label < 1100))[0]
    one_pixel[tuple(position)] = 0
    assert covering((label, one_pixel))["all"]["pc"] < 1


def test_whether_a_class_is_thing_or_stuff_does_not_matter():
    label, prediction = random_maps(np.random.default_rng(9))
    label[label == 1000] = V  # a crowd is one only of things
    stuff_only = dataclasses.replace(INFO, thing_ids=frozenset())
    assert covering((label, prediction))["classes"] == covering((label, prediction), info=stuff_only)["classes"]


def test_small_segments_of_an_absent_class_lower_it_only_by_what_they_hide():
    label = np.zeros([20, 20], int)
    prediction = label.copy()
    prediction[0, ::4] = 1001 + np.arange(5)  # five pixels, five false positives
    assert covering((label, prediction))["all"]["pc"] == pytest.approx(395 / 400)
    quality = updated(PanopticQuality(INFO), (label, prediction)).result()["all"]
    assert quality["pq"] == pytest.approx(395 / 400 / 2)
