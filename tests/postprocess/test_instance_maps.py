"""Instance maps are checked before they are used."""

import dataclasses

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.postprocess.instance_maps import InstanceMaps, checked, probabilities, vectors
from tfseg.postprocess.keypoint_graphs import GRAPHS

STAR = GRAPHS["star"]


def maps_of(grid, stride=4):
    return InstanceMaps(*(np.zeros([*grid, channels]) for channels in (5, 10, 10, 16)), stride)


@pytest.mark.parametrize(("size", "grid"), [((8, 9), (2, 3)), ((33, 32), (9, 8)), ((1, 1), (1, 1))])
def test_the_grid_is_the_size_over_the_stride_rounded_up(size, grid):
    assert checked(maps_of(grid), STAR, size).grid == grid
    with pytest.raises(InputError, match="heatmap_logits has shape"):
        checked(maps_of((grid[0] + 1, grid[1])), STAR, size)


@pytest.mark.parametrize("name", ["long_offsets", "short_offsets", "middle_offsets"])
def test_a_map_of_another_graph_is_named_with_both_shapes(name):
    maps = dataclasses.replace(maps_of((2, 2)), **{name: np.zeros([2, 2, 8])})
    message = rf"^{name} has shape \(2, 2, 8\), but 5 keypoints and an image of 8x8 at stride 4 need \(2, 2, 1[06]\)$"
    with pytest.raises(InputError, match=message):
        checked(maps, STAR, (8, 8))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(value):
    maps = maps_of((2, 2))
    maps.short_offsets[1, 0, 3] = value
    with pytest.raises(InputError, match="short_offsets holds values that are not finite"):
        checked(maps, STAR, (8, 8))


@pytest.mark.parametrize("stride", [0, -4, 2.5])
def test_a_stride_is_a_whole_number(stride):
    with pytest.raises(InputError, match=f"stride is {stride}"):
        checked(maps_of((2, 2), stride), STAR, (8, 8))


def test_probabilities_are_those_of_the_sigmoid_at_any_logit():
    logits = np.array([-1e4, -np.log(3), 0, np.log(3), 1e4], np.float32)
    np.testing.assert_allclose(probabilities(logits), [0, 0.25, 0.5, 0.75, 1], atol=1e-7)


def test_vectors_are_pairs_of_channels():
    assert vectors(np.arange(6).reshape(1, 1, 6)).tolist() == [[[[0, 1], [2, 3], [4, 5]]]]
