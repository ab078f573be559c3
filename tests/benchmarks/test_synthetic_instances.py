"""Perfect maps are what a network is trained for."""

import numpy as np
import pytest

from tfseg.benchmarks.synthetic_instances import (
    LABEL_DIVISOR,
    ellipses,
    owners_of,
    perfect_maps,
    rectangles,
    thing_id,
    true_keypoints,
)
from tfseg.postprocess.instance_maps import vectors
from tfseg.postprocess.keypoint_graphs import GRAPHS

STAR = GRAPHS["star"]


@pytest.fixture
def small():
    """9x9 with one instance in rows 2 to 5, columns 3 to 6."""
    panoptic_ids = np.zeros([9, 9], np.int32)
    panoptic_ids[2:6, 3:7] = thing_id(0)
    return panoptic_ids


def test_keypoints_are_the_outermost_pixels_and_the_centre_of_mass(small):
    ids, keypoints = true_keypoints(small, STAR)
    assert ids.tolist() == [thing_id(0)]
    assert keypoints[0].tolist() == [[2, 3], [2, 6], [5, 3], [5, 6], [3.5, 4.5]]


def test_long_range_offsets_point_from_pixels_of_the_instance_to_its_keypoints(small):
    long = vectors(perfect_maps(small, STAR, 1, radius=2).long_offsets)
    assert long[4, 5, 0].tolist() == [-2, -2]
    assert long[4, 5, 4].tolist() == [-0.5, -0.5]
    assert not long[small == 0].any()


def test_short_and_middle_range_offsets_are_those_of_the_disks(small):
    maps = perfect_maps(small, STAR, 1, radius=2)
    near = maps.heatmap_logits[..., 0] > 0
    assert near.sum() == 13
    assert not vectors(maps.short_offsets)[~near, 0].any()
    assert vectors(maps.short_offsets)[1, 2, 0].tolist() == [1, 1]  # to the top left corner (2, 3)
    assert vectors(maps.middle_offsets)[1, 2, 4].tolist() == [2.5, 2.5]  # edge 4: from there to the centre
    assert vectors(maps.middle_offsets)[3, 4, 3].tolist() == [2, 2]  # edge 3: centre to bottom right (5, 6)


@pytest.mark.parametrize(("grid", "stride", "num_cells"), [((101, 101), 1, 1961), ((26, 26), 4, 121)])
def test_a_disk_of_25_pixels_has_the_cells_it_should(grid, stride, num_cells):
    assert (owners_of(np.array([[48.0, 52]]), grid, stride, 25) == 0).sum() == num_cells


def test_the_nearest_keypoint_owns_a_cell_and_the_first_one_of_two_equally_near():
    owners = owners_of(np.array([[0.0, 3], [0, 9], [0, 5]]), (1, 12), 1, 3)
    # 4 is as far from 3 as from 5, 7 as far from 5 as from 9.
    assert "".join(map(str, owners[0])) == "000002211111"


def test_ellipses_keep_their_distance_and_their_size():
    panoptic_ids = ellipses((200, 240), 30, (8, 60), seed=0)
    ids, keypoints = true_keypoints(panoptic_ids, STAR)
    assert len(ids) == 30
    assert (np.ptp(keypoints, axis=1) <= 60).all()
    centers = keypoints[:, 4]
    apart = np.hypot(*(centers[:, np.newaxis] - centers).transpose(2, 0, 1)) + 1e3 * np.eye(30)
    assert apart.min() > 15  # a pixel less than was asked for, as pixels are whole
    for axis in range(2):
        one, other = (np.delete(panoptic_ids, end, axis) for end in (0, -1))
        touch = (one != other) & (one % LABEL_DIVISOR > 0) & (other % LABEL_DIVISOR > 0)
        assert not touch.any()


def test_ellipses_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match="50 ellipses do not fit into 60x60 pixels"):
        ellipses((60, 60), 50, (20, 30), seed=0)


def test_rectangles_are_as_many_and_as_large_as_asked():
    panoptic_ids = rectangles((100, 120), 4, 5, (9, 11))
    ids, areas = np.unique(panoptic_ids[panoptic_ids % LABEL_DIVISOR > 0], return_counts=True)
    assert sorted(ids) == sorted(thing_id(index) for index in range(20))
    assert set(areas) == {99}
