"""Consistency over time, on numbers worked by hand."""

import numpy as np
import pytest

from tfseg.metrics.temporal import VideoScores

IGNORED = 255


def scored(labels, predictions, windows=(3,), sequences=None):
    """The result for frames of a few pixels, each given as a list of class ids."""
    scores = VideoScores(3, IGNORED, windows)
    for number, (label, prediction) in enumerate(zip(labels, predictions, strict=True)):
        sequence = sequences[number] if sequences else "a"
        scores.update(np.array([label]), np.array([prediction]), sequence, is_seeded=number > 0)
    return scores.result()


def test_perfect_predictions_are_perfectly_consistent():
    labels = np.random.default_rng(0).integers(0, 3, [20, 6])
    result = scored(labels, labels, (8, 16))
    assert (result["miou"], result["seeded_miou"], result["temporal_consistency"]) == (1, 1, 1)
    still = np.repeat(labels[:1], 20, 0)
    assert scored(still, still, (8, 16))["vc8"] == scored(still, still, (8, 16))["vc16"] == 1


def test_a_pixel_that_flickers_counts_where_its_label_stays():
    labels = [[0, 1, 2, 0], [0, 1, 2, 1], [0, 1, 2, 2]]
    predictions = [[0, 1, 2, 0], [0, 2, 2, 0], [0, 1, 2, 2]]
    # Three pixels keep their label twice; the second changes its class both times: 4 of 6. Over all frames: 2 of 3.
    result = scored(labels, predictions)
    assert result["temporal_consistency"] == pytest.approx(4 / 6)
    assert result["vc3"] == pytest.approx(2 / 3)


def test_a_steady_mistake_is_consistent():
    result = scored([[0, 1]] * 3, [[1, 1]] * 3)
    assert (result["temporal_consistency"], result["vc3"]) == (1, 1)
    assert result["miou"] == pytest.approx((0 + 1 / 2) / 2)


def test_ignored_pixels_do_not_count():
    labels, predictions = [[0, IGNORED], [0, IGNORED], [0, 1]], [[0, 1], [0, 0], [0, 1]]
    assert scored(labels, predictions)["temporal_consistency"] == 1
    assert scored([[IGNORED]] * 3, [[0], [1], [2]])["vc3"] is None


def test_videos_are_not_compared_with_each_other_and_count_alike():
    labels = [[0, 1]] * 7
    predictions = [[0, 1]] * 3 + [[0, 0], [0, 1], [0, 0], [0, 1]]
    sequences = "aaabbbb"
    # a: one window, 1. b: two windows, each 1/2. Pairs: 2 of a with 2 same pixels, 3 of b with 1: 7 of 10.
    result = scored(labels, predictions, sequences=sequences)
    assert result["vc3"] == pytest.approx((1 + 1 / 2) / 2)
    assert result["temporal_consistency"] == pytest.approx(7 / 10)


def test_seeded_frames_have_a_score_of_their_own():
    result = scored([[0, 1], [0, 1]], [[0, 0], [0, 1]])
    assert result["seeded_miou"] == 1 and result["miou"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scored([[0, 1]], [[0, 1]])["seeded_miou"] is None


def test_a_frame_of_another_size_begins_a_new_video():
    scores = VideoScores(3, IGNORED, (2,))
    for size in (4, 4, 6):
        scores.update(np.zeros([size, size], int), np.zeros([size, size], int), "a", False)
    assert scores.result()["vc2"] == 1
