"""Keypoints are found where votes agree."""

import numpy as np
import pytest

from tfseg.postprocess import peaks
from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.peaks import centroids, expected_oks, find_peaks, keypoint_scores, local_maxima

RADIUS, SIGMA = 6.25, 3.125  # 25 pixels at stride 4
CONFIG = FusionConfig()


def one(*values):
    return tuple(np.array([value]) for value in values)


def test_votes_in_one_cell_score_the_probability_of_the_heatmap():
    scores = np.zeros([2, 30, 30], np.float32)
    scores[1, 12, 13] = 0.7
    probabilities = np.full([2, 30, 30], 0.9, np.float32)
    [score] = keypoint_scores(scores, probabilities, np.array([1]), np.array([[12, 13]]), RADIUS, CONFIG)
    assert score == pytest.approx(0.9)


def test_uniform_votes_score_what_the_disk_averages_to():
    # 121 cells lie in a disk of 25 pixels at stride 4; exp(-d^2 / (2 * 12.5^2)) is .436 on average.
    [similarity] = expected_oks(np.ones([1, 30, 30], np.float32), *one(0, 15, 15), RADIUS, SIGMA)
    assert similarity == pytest.approx(0.436, abs=5e-4)


def test_votes_outside_the_disk_do_not_matter():
    scores = np.zeros([1, 30, 30], np.float32)
    scores[0, 15, 15] = scores[0, 15, 22] = 1
    assert expected_oks(scores, *one(0, 15, 15), RADIUS, SIGMA) == pytest.approx(1)
    scores[0, 15, 21] = 1  # 6 cells away: inside
    assert expected_oks(scores, *one(0, 15, 15), RADIUS, SIGMA) == pytest.approx((1 + np.exp(-1.8432)) / 2)


def test_no_votes_have_no_similarity_and_corners_of_the_image_lack_nothing():
    scores = np.zeros([1, 9, 9], np.float32)
    assert expected_oks(scores, *one(0, 4, 4), RADIUS, SIGMA) == 0
    scores[0, 0, 0] = scores[0, 8, 8] = 2
    assert expected_oks(scores, np.array([0, 0]), np.array([0, 8]), np.array([0, 8]), RADIUS, SIGMA) == pytest.approx(1)


def test_similarities_do_not_depend_on_how_many_are_gathered_at_a_time(monkeypatch):
    generator = np.random.default_rng(0)
    scores = generator.random([3, 20, 21], dtype=np.float32)
    cells = (generator.integers(0, 3, 50), generator.integers(0, 20, 50), generator.integers(0, 21, 50))
    whole = expected_oks(scores, *cells, RADIUS, SIGMA)
    monkeypatch.setattr(peaks, "GATHERED", 7 * 121)
    np.testing.assert_allclose(expected_oks(scores, *cells, RADIUS, SIGMA), whole, rtol=1e-6)


def test_local_maxima_are_above_the_threshold_and_the_largest_of_their_square():
    scores = np.zeros([2, 4, 5], np.float32)
    scores[0, 0, 0], scores[0, 1, 1], scores[0, 1, 4], scores[1, 3, 2] = 0.5, 0.6, 0.3, 0.02
    found = local_maxima(scores, 3, 0.02)
    assert np.stack(found).T.tolist() == [[0, 1, 1], [0, 1, 4]]
    assert np.stack(local_maxima(scores, 7, 0.02)).T.tolist() == [[0, 1, 1]]


def test_a_peak_lies_at_the_centre_of_mass_of_its_nine_cells():
    scores = np.zeros([1, 5, 5], np.float32)
    scores[0, 2, 2:4] = [3, 1]
    scores[0, 0, 0] = 2
    scores[0, 1, 0] = 2
    points = centroids(scores, np.array([0, 0]), np.array([2, 0]), np.array([2, 0]))
    np.testing.assert_allclose(points, [[2, 2.25], [0.5, 0]])


def peaked(values):
    """Scores and probabilities with one keypoint per (keypoint, probability), each far from the others."""
    scores = np.zeros([2, 20, 20 * len(values)], np.float32)
    probabilities = np.zeros_like(scores)
    for index, (keypoint, value) in enumerate(values):
        scores[keypoint, 10, 20 * index + 10] = 1
        probabilities[keypoint, 10, 20 * index + 10] = value
    return scores, probabilities


def test_the_best_keypoints_come_first_and_bad_ones_not_at_all():
    found = find_peaks(*peaked([(0, 0.5), (1, 0.75), (0, 0.04), (0, 0.25)]), RADIUS, CONFIG)
    assert found.keypoints.tolist() == [1, 0, 0]
    assert found.scores.tolist() == [0.75, 0.5, 0.25]
    assert found.points.tolist() == [[10, 30], [10, 10], [10, 70]]


def test_keypoints_lie_between_cells():
    scores, probabilities = peaked([(0, 0.5)])
    scores[0, 10, 11] = 0.6
    assert find_peaks(scores, probabilities, RADIUS, CONFIG).points.tolist() == [[10, 10.375]]


def test_of_each_keypoint_only_so_many_are_kept():
    values = [(0, 0.5), (0, 0.75), (0, 0.25), (1, 0.125)]
    found = find_peaks(*peaked(values), RADIUS, FusionConfig(max_keypoints=2))
    assert list(zip(found.keypoints.tolist(), found.scores.tolist(), strict=True)) == [(0, 0.75), (0, 0.5), (1, 0.125)]


def test_an_image_without_votes_has_no_keypoints():
    found = find_peaks(*peaked([(0, 0.0)]), RADIUS, FusionConfig(peak_threshold=1.0))
    assert found.points.shape == (0, 2)
