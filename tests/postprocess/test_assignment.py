"""Cells are assigned to the instance whose keypoints they point to."""

import numpy as np
import pytest

from tfseg.postprocess import assignment
from tfseg.postprocess.assignment import nearest_instances
from tfseg.postprocess.fusion_config import DISTANCES, FusionConfig
from tfseg.postprocess.keypoint_graphs import GRAPHS

CELL = 0.25


def scene(num_cells=300, num_instances=23):
    generator = np.random.default_rng(0)
    corner, sides = generator.uniform(0, 100, [num_instances, 1, 2]), generator.uniform(1, 60, [num_instances, 1, 2])
    keypoints = corner + sides * np.array([[0, 0], [0, 1], [1, 0], [1, 1], [0.5, 0.5]])
    targets = keypoints[generator.integers(0, num_instances, num_cells)] + generator.normal(0, 15, [num_cells, 5, 2])
    return targets.transpose(1, 0, 2).astype(np.float32), keypoints.astype(np.float32)


def by_hand(targets, keypoints, distance, normalize):
    differences = targets.transpose(1, 0, 2)[:, np.newaxis].astype(float) - keypoints
    top, left, bottom, right = GRAPHS["star"].boxes(keypoints).T
    areas = (bottom - top + CELL) * (right - left + CELL) if normalize else np.ones(len(keypoints))
    if distance == "squared_l2":
        return ((differences**2).sum((2, 3)) / areas).argmin(1)
    return (np.sqrt((differences**2).sum(3)).sum(2) / np.sqrt(areas)).argmin(1)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("at_once", [1, 2**18])
def test_the_nearest_instance_is_that_of_the_definition(monkeypatch, distance, normalize, at_once):
    monkeypatch.setattr(assignment, "DISTANCES_AT_ONCE", at_once)
    targets, keypoints = scene()
    config = FusionConfig(distance=distance, normalize_by_scale=normalize)
    found = nearest_instances(targets, keypoints, config, CELL)
    np.testing.assert_array_equal(found, by_hand(targets, keypoints, distance, normalize))
    assert len(set(found.tolist())) > 15


def test_the_choices_differ_in_what_they_call_near():
    targets, keypoints = scene()
    configs = [FusionConfig(distance=name, normalize_by_scale=is_on) for name in DISTANCES for is_on in (False, True)]
    answers = {tuple(nearest_instances(targets, keypoints, config, CELL)) for config in configs}
    assert len(answers) == 4


def test_far_from_the_origin_instances_a_cell_apart_are_told_apart():
    _, keypoints = scene(num_instances=1)
    pair = np.concatenate([keypoints, keypoints + 1]) + 5000
    assert nearest_instances(pair.transpose(1, 0, 2), pair, FusionConfig(), CELL).tolist() == [0, 1]
