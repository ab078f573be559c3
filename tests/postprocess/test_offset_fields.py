"""Fields are read between cells, and offsets are followed to where they point."""

import numpy as np
import pytest

from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.offset_fields import follow_edges, long_targets, refine, sample


def linear_field(height, width, num_channels):
    """dy = 10 row + channel, dx = column - 100 channel."""
    row, column, channel = np.meshgrid(np.arange(height), np.arange(width), np.arange(num_channels), indexing="ij")
    return np.stack([10 * row + channel, column - 100 * channel], axis=-1).astype(np.float32)


def test_between_cells_a_linear_field_is_linear():
    points = np.array([[0.25, 1.5], [2.0, 3.0], [1.75, 0.0]])
    values = sample(linear_field(3, 4, 2), np.array([0, 1, 1]), points)
    np.testing.assert_allclose(values, [[2.5, 1.5], [21, -97], [18.5, -100]])


def test_points_outside_read_the_border():
    points = np.array([[-5.0, 1], [9, 9], [1, -0.5]])
    np.testing.assert_allclose(sample(linear_field(3, 4, 1), 0, points), [[0, 1], [20, 3], [10, 0]])


def test_a_field_of_one_cell_is_constant():
    assert sample(linear_field(1, 1, 2), 1, np.array([[0.4, -3.0]])).tolist() == [[1, -100]]


def test_every_refinement_adds_the_offset_where_the_point_is():
    # Each step moves one column to the right; the third column is the goal.
    field = np.zeros([1, 4, 1, 2], np.float32)
    field[0, :2, 0, 1] = 1
    start = np.array([[0.0, 0.0]])
    assert [refine(start, field, 0, steps)[0, 1] for steps in range(4)] == [0, 1, 2, 2]


def test_long_range_offsets_start_at_their_cell_and_are_refined():
    long_field, short_field = np.zeros([2, 2, 3, 4, 2], np.float32)
    long_field[1, 2] = [[-1, -2], [0, 0], [5, 5], [-1, 0]]  # of cell 5, row 1, column 2
    short_field[0, 0, 0] = [0.5, 0.25]
    targets = long_targets(np.array([5]), long_field, short_field, FusionConfig(refine_steps=1))
    assert targets[:, 0].tolist() == [[0.5, 0.25], [1, 2], [6, 7], [0, 2]]


def test_long_by_long_adds_the_long_range_offset_where_the_first_one_points():
    long_field, short_field = np.zeros([2, 1, 4, 1, 2], np.float32)
    long_field[0, :, 0, 1] = [2, 0, 0.5, 0]
    for is_on, column in ((False, 2), (True, 2.5)):
        config = FusionConfig(refine_long_by_long=is_on)
        assert long_targets(np.array([0]), long_field, short_field, config)[0, 0, 1] == column


@pytest.mark.parametrize("graph", ["star", "rectangle"])
def test_edges_lead_from_any_keypoint_to_all_of_its_instance(graph):
    config = FusionConfig(graph=graph)
    keypoints = np.array([[3.0, 4], [3, 14], [12, 4], [12, 14], [7, 8]])[: config.keypoint_graph.num_keypoints]
    middle = np.zeros([20, 20, 8, 2], np.float32)
    for edge, (start, target) in enumerate(config.keypoint_graph.edges):
        y, x = keypoints[start].astype(int)
        middle[y - 1 : y + 2, x - 1 : x + 2, edge] = keypoints[target] - keypoints[start]
    short = np.zeros([20, 20, len(keypoints), 2], np.float32)
    seeds = np.arange(len(keypoints))
    found = follow_edges(seeds, keypoints, middle, short, config)
    np.testing.assert_array_equal(found, np.broadcast_to(keypoints, found.shape))


def test_a_hop_that_misses_is_corrected_by_the_short_range_offsets_of_its_target():
    config = FusionConfig(refine_steps=2)
    middle, short = np.zeros([9, 9, 8, 2], np.float32), np.zeros([9, 9, 5, 2], np.float32)
    middle[4, 4, 0] = [-2, -2]  # edge 0: from the centre at (4, 4) to the top left corner, which is at (1, 2.5)
    rows, columns = np.mgrid[:9, :9]
    short[..., 0, :] = np.stack([1 - rows, 2.5 - columns], axis=-1)
    found = follow_edges(np.array([4]), np.array([[4.0, 4.0]]), middle, short, config)
    np.testing.assert_allclose(found[0, 0], [1, 2.5])
