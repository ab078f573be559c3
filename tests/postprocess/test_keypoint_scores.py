"""Votes are counted where they fall."""

import numpy as np

from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.keypoint_scores import fused_scores, long_votes, scatter, short_votes


def test_a_vote_is_shared_among_the_four_cells_round_it():
    # A quarter of a row down, half a column to the right: 8 * (3/4, 1/4) * (1/2, 1/2).
    votes = scatter(np.array([[1.25, 2.5]]), np.array([8.0]), (4, 5))
    expected = np.zeros([4, 5])
    expected[1:3, 2:4] = [[3, 3], [1, 1]]
    np.testing.assert_array_equal(votes, expected)


def test_what_falls_outside_is_dropped():
    points = np.array([[-0.75, 0.0], [2.5, 3.0], [-7, 1], [1, 99], [-1, -1], [3, 4]])
    expected = np.zeros([3, 4])
    expected[0, 0], expected[2, 3] = 0.25, 0.5
    np.testing.assert_allclose(scatter(points, 1.0, (3, 4)), expected)


def test_votes_add_up():
    generator = np.random.default_rng(0)
    points, weights = generator.uniform(-2, 9, [500, 2]), generator.random(500)
    expected = np.zeros([7, 8])
    for (y, x), weight in zip(points, weights, strict=True):
        for row in range(7):
            for column in range(8):
                expected[row, column] += weight * max(0, 1 - abs(y - row)) * max(0, 1 - abs(x - column))
    np.testing.assert_allclose(scatter(points, weights, (7, 8)), expected)


def test_short_range_votes_weigh_what_the_heatmap_says_and_only_above_the_threshold():
    probabilities = np.zeros([2, 3, 3], np.float32)
    probabilities[0, 0, 0], probabilities[0, 2, 2], probabilities[1, 1, 1] = 0.75, 0.01, 0.5
    offsets = np.zeros([3, 3, 2, 2], np.float32)
    offsets[0, 0, 0], offsets[1, 1, 1] = [1, 2], [-1, 0]
    votes = short_votes(probabilities, offsets, 0.01)
    expected = np.zeros([2, 3, 3])
    expected[0, 1, 2], expected[1, 0, 1] = 0.75, 0.5
    np.testing.assert_array_equal(votes, expected)


def test_every_long_range_vote_counts_one():
    targets = np.array([[[0.0, 0], [0, 0]], [[1, 1], [0, 1]]])  # two keypoints, two cells
    assert long_votes(targets, (2, 2)).tolist() == [[[2, 0], [0, 0]], [[0, 1], [0, 1]]]


def test_scores_are_disks_of_votes_and_long_ones_are_cut_off_at_one():
    config = FusionConfig(smooth_sigma=0.0, short_weight=1.0, long_weight=0.5)
    disk = np.pi * 2**2
    scores = fused_scores(np.full([1, 1, 2], 3 * disk), np.array([[[disk / 2, 5 * disk]]]), 2, config)
    np.testing.assert_allclose(scores, [[[3.25, 3.5]]])


def test_smoothing_spreads_a_peak_as_a_gaussian_does():
    short = np.zeros([1, 15, 15], np.float32)
    short[0, 7, 7] = np.pi * 4
    scores = fused_scores(short, np.zeros_like(short), 2, FusionConfig(smooth_sigma=1.0))
    np.testing.assert_allclose(scores.sum(), 1, atol=1e-5)
    np.testing.assert_allclose(scores[0, 7, 8] / scores[0, 7, 7], np.exp(-0.5), rtol=1e-4)
