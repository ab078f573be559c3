"""Every keypoint leads to all others."""

import numpy as np
import pytest

from tfseg.postprocess.keypoint_graphs import GRAPHS


@pytest.mark.parametrize("name", GRAPHS)
def test_hops_reach_all_keypoints_along_edges(name):
    graph = GRAPHS[name]
    for seed, hops in enumerate(graph.hops):
        reached = {seed}
        for edge, source, target in hops.tolist():
            assert graph.edges[edge] == (source, target)
            assert source in reached
            reached.add(target)
        assert reached == set(range(graph.num_keypoints))


def test_in_the_star_corners_are_reached_through_the_centre():
    assert GRAPHS["star"].hops[1].tolist() == [[5, 1, 4], [0, 4, 0], [2, 4, 2], [3, 4, 3]]


def test_in_the_rectangle_the_nearer_corners_come_first():
    # From bottom right (3): to bottom left (2) and top right (1), then from the first of these to top left (0).
    assert GRAPHS["rectangle"].hops[3].tolist() == [[2, 3, 2], [5, 3, 1], [3, 2, 0]]


@pytest.mark.parametrize("name", GRAPHS)
def test_edges_go_both_ways(name):
    edges = GRAPHS[name].edges
    assert len(edges) == len(set(edges)) == 8
    assert {(target, source) for source, target in edges} == set(edges)


def test_a_box_side_is_the_mean_of_its_two_corners():
    corners = np.array([[[2.0, 3], [4, 9], [10, 5], [12, 11]]])
    assert GRAPHS["rectangle"].boxes(corners).tolist() == [[3, 4, 11, 10]]


def test_a_cross_has_a_point_on_each_side_of_the_box_in_line_with_the_centre():
    rows, columns = {"top": 2, "bottom": 5, "center": 3.5}, {"left": 3, "right": 6, "center": 4.5}
    points = GRAPHS["cross"].placed(rows, columns)
    assert points == [(2, 4.5), (3.5, 3), (3.5, 6), (5, 4.5), (3.5, 4.5)]
    assert GRAPHS["cross"].boxes(np.array([points])).tolist() == [[2, 3, 5, 6]]
