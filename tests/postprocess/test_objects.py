"""Objects: instances as they are, and connected components of the other classes, with scores."""

import numpy as np
import pytest

from tfseg.labels import DatasetInfo, default_colors
from tfseg.postprocess.fusion import Instance
from tfseg.postprocess.objects import find_objects, needs_confidence

INFO = DatasetInfo("toy", ("background", "lawn", "cat"), default_colors(3), thing_ids=frozenset({2}))
CLASS_IDS = np.array(
    [
        [1, 1, 0, 1, 0, 2],
        [1, 0, 0, 0, 1, 2],
        [0, 0, 255, 0, 0, 2],
    ],
    np.uint8,
)


def shown(objects):
    """(class, area, place, score) of each."""
    return [(one.class_id, one.area, (one.left, one.top), one.score) for one in objects]


def test_objects_are_connected_components_of_classes_other_than_the_background():
    objects, num_small = find_objects(CLASS_IDS, INFO)
    assert shown(objects) == [(1, 3, (0, 0), None), (2, 3, (5, 0), None), (1, 2, (3, 0), None)]
    assert num_small == 0
    np.testing.assert_array_equal(objects[2].mask, [[1, 0], [0, 1]])  # corners connect


def test_small_ones_are_counted_and_left_out():
    objects, num_small = find_objects(CLASS_IDS, INFO, min_area=3)
    assert [one.area for one in objects] == [3, 3]
    assert num_small == 1


def test_a_score_is_the_mean_probability_of_the_pixels():
    confidence = np.arange(18, dtype=np.float32).reshape(3, 6) / 100
    objects, _ = find_objects(CLASS_IDS, INFO, confidence)
    assert [one.score for one in objects] == pytest.approx([0.07 / 3, 0.11, 0.065])


def test_instances_stay_whole_and_have_their_own_score():
    panoptic_ids = CLASS_IDS.astype(np.int32) * 1000
    panoptic_ids[CLASS_IDS == 2] = [2001, 2002, 2001]
    keypoints = np.zeros([1, 2], np.float32)
    instances = [Instance(2001, 2, 0.9, 2, keypoints), Instance(2002, 2, 0.0, 1, None)]
    confidence = np.full(CLASS_IDS.shape, 0.5, np.float32)
    objects, num_small = find_objects(CLASS_IDS, INFO, confidence, panoptic_ids, instances)
    assert shown(objects) == [
        (1, 3, (0, 0), 0.5),
        (2, 2, (5, 0), 0.9),
        (1, 2, (3, 0), 0.5),
        (2, 1, (5, 1), 0.5),  # without keypoints it has no score of its own
    ]
    assert num_small == 0
    objects, num_small = find_objects(CLASS_IDS, INFO, confidence, panoptic_ids, instances, min_area=2)
    assert (len(objects), num_small) == (3, 1)


def test_probabilities_are_needed_unless_all_objects_are_instances_with_a_score():
    keypoints = np.zeros([1, 2], np.float32)
    cat, unsure = Instance(2001, 2, 0.9, 3, keypoints), Instance(2001, 2, 0.0, 3, None)
    only_cats = np.where(CLASS_IDS == 1, 0, CLASS_IDS)
    assert needs_confidence(CLASS_IDS, INFO, [cat])  # for the lawn
    assert needs_confidence(only_cats, INFO)
    assert needs_confidence(only_cats, INFO, [unsure])
    assert not needs_confidence(only_cats, INFO, [cat])
    assert not needs_confidence(np.zeros_like(CLASS_IDS), INFO)


def test_an_object_has_its_outline_in_the_image():
    objects, _ = find_objects(CLASS_IDS, INFO)
    [outline] = objects[1].outlines(0)
    assert sorted(map(tuple, outline.outer.tolist())) == [(5, 0), (5, 3), (6, 0), (6, 3)]
