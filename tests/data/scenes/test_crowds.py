"""Generated crowded streets have what panoptic models need."""

import numpy as np
import pytest

from tfseg.data.scenes import crowds, streets
from tfseg.labels import IGNORE_LABEL


@pytest.fixture(scope="module")
def samples():
    """{split: 16 frames}."""
    return {split: [crowds.generate(split, index) for index in range(16)] for split in crowds.SPLIT_SIZES}


def areas(scene):
    return np.unique(scene.instance_ids[scene.instance_ids > 0], return_counts=True)[1]


def test_a_frame_is_the_same_again_and_no_two_are_alike(samples):
    again = crowds.generate("test", 3)
    for name in ("image", "class_ids", "instance_ids"):
        np.testing.assert_array_equal(getattr(again, name), getattr(samples["test"][3], name))
    everything = [scene for split in samples.values() for scene in split]
    assert len({scene.class_ids.tobytes() for scene in everything}) == len(everything)


def test_shapes_types_and_classes(samples):
    for scene in samples["val"]:
        assert (scene.image.shape, scene.image.dtype) == ((193, 257, 3), np.uint8)
        assert (scene.class_ids.shape, scene.class_ids.dtype) == ((193, 257), np.uint8)
        assert (scene.instance_ids.shape, scene.instance_ids.dtype) == ((193, 257), np.int32)
    seen = np.unique([np.unique(scene.class_ids)[-1] for scene in samples["train"]])
    assert seen[-1] == IGNORE_LABEL
    counts = sum(np.bincount(scene.class_ids.ravel(), minlength=256) for scene in samples["train"])
    assert np.flatnonzero(counts).tolist() == [0, 1, 2, 3, 4, IGNORE_LABEL]


def test_things_have_instances_of_one_class_and_stuff_has_none(samples):
    for scene in samples["val"]:
        np.testing.assert_array_equal(scene.instance_ids > 0, np.isin(scene.class_ids, [2, 3, 4]))
        for instance in np.unique(scene.instance_ids)[1:]:
            assert len(np.unique(scene.class_ids[scene.instance_ids == instance])) == 1


def test_things_have_many_sizes_and_none_is_a_speck(samples):
    sizes = np.concatenate([areas(scene) for scene in samples["train"]])
    assert sizes.min() >= crowds.MIN_VISIBLE
    assert np.percentile(sizes, 90) > 10 * np.percentile(sizes, 10)
    assert 6 < len(sizes) / 16 < 16


def test_instances_of_a_class_touch_in_most_frames(samples):
    def is_touching(scene):
        classes, instances = scene.class_ids, scene.instance_ids
        is_border = (instances[:, 1:] != instances[:, :-1]) & (instances[:, 1:] > 0) & (instances[:, :-1] > 0)
        return (is_border & (classes[:, 1:] == classes[:, :-1])).any()

    assert np.mean([is_touching(scene) for split in samples.values() for scene in split]) > 0.8


def test_unknown_frames_are_refused():
    with pytest.raises(ValueError, match="no frame 100 in split val"):
        crowds.generate("val", 100)
    with pytest.raises(ValueError, match="no frame 0 in split clips"):
        crowds.generate("clips", 0)
    assert set(crowds.SPLIT_SEEDS.values()).isdisjoint(streets.SPLIT_SEEDS.values())
