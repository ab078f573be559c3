"""Instances take the class of most of their pixels and are numbered within that class."""

import numpy as np

from tfseg.postprocess.merging import merge

CLASS_IDS = np.array([[0, 2, 2, 3], [1, 3, 3, 2], [2, 2, 2, 3]], np.uint8)


def merged(ranks, label_divisor=10):
    ranks = np.array(ranks)
    return merge(CLASS_IDS, np.flatnonzero(ranks >= 0), ranks[ranks >= 0], label_divisor)


def test_most_pixels_decide_and_numbers_run_from_one_in_each_class():
    # Instance 0: three 2s against a 3; 1: two 3s; 2: a 2 and a 3, so the lower one; 3: two 2s.
    result = merged([[-1, 0, 0, 0], [-1, 1, 1, 2], [0, 3, 3, 2]])
    assert result.class_ids.tolist() == [2, 3, 2, 2]
    assert result.instance_ids.tolist() == [21, 31, 22, 23]
    assert result.areas.tolist() == [4, 2, 2, 2]
    assert result.panoptic_ids.tolist() == [[0, 21, 21, 21], [10, 31, 31, 22], [21, 23, 23, 22]]
    assert result.panoptic_ids.dtype == np.int32


def test_an_instance_without_pixels_takes_no_number():
    result = merged([[-1, 4, 4, 4], [-1, 1, 1, 4], [4, 4, 4, 4]])
    assert result.ranks.tolist() == [1, 4]
    assert result.instance_ids.tolist() == [31, 21]


def test_stuff_keeps_its_class_and_has_no_instance():
    result = merged(np.full([3, 4], -1))
    assert (result.panoptic_ids == 10 * CLASS_IDS.astype(int)).all()
    assert len(result.ranks) == 0
