"""Things of rare classes from one training crop are pasted into another."""

import numpy as np
import pytest
import tensorflow as tf

from tests.data.test_pipeline import INFO, Data, batches, example, write_shards
from tfseg.config import DataConfig
from tfseg.data.pasting import class_ids, pasted
from tfseg.errors import InputError

ROAD, CAR = 1, 2
SEED = tf.constant([0, 0], tf.int64)
PASTED = {"crop_size": (10, 12), "min_scale": 1.0, "max_scale": 1.0, "flip": False}


def crop(label, color):
    label = np.uint8(label)
    return {"image": np.full([*label.shape, 3], color, np.float32), "label": label, "filename": "a.jpg"}


def test_pixels_of_the_classes_come_with_their_labels_and_all_else_stays():
    own, donor = crop([[0, 0, 255], [1, 1, 1]], 10), crop([[2, 1, 2], [0, 255, 2]], 20)
    both = pasted(own, donor, (CAR,), 1.0, SEED)
    np.testing.assert_array_equal(both["label"], [[2, 0, 2], [1, 1, 2]])
    np.testing.assert_array_equal(both["image"][..., 0], [[20, 10, 20], [10, 10, 20]])
    assert both["filename"] == "a.jpg"


def test_the_rate_is_the_share_of_images_that_are_pasted_into():
    own, donor = crop([[0]], 10), crop([[2]], 20)
    seeds = [tf.constant([0, i], tf.int64) for i in range(400)]
    share = np.mean([pasted(own, donor, (CAR,), 0.25, seed)["label"][0, 0] == CAR for seed in seeds])
    assert 0.18 < share < 0.32


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Four images of sky alone, and four of car alone."""
    from tests.data.test_pipeline import HEIGHT, WIDTH, encode

    labels = [np.full([HEIGHT, WIDTH], value, np.uint8) for value in (0, CAR) * 4]
    return write_shards(
        tmp_path_factory.mktemp("halves"), [example(i, label=encode(label, "PNG")) for i, label in enumerate(labels)]
    )


def test_a_stream_shows_the_classes_more_often_and_in_the_same_order(halves):
    def seen(**fields):
        found = batches(halves, 8, num_examples=8, batch_size=4, data=Data(**PASTED | fields), seed=3)
        return np.stack([batch["label"] for batch in found])

    plain, more = seen(), seen(paste_rate=1.0, paste_classes=("car",))
    assert (plain == CAR).mean() == 0.5
    assert 0.6 < (more == CAR).mean() < 0.9
    assert (more[plain == CAR] == CAR).all()  # the images themselves are the same, in the same order
    np.testing.assert_array_equal(seen(paste_rate=1.0, paste_classes=("road",)), plain)  # no donor has it


def test_a_stream_from_step_k_pastes_what_the_unbroken_one_does(halves):
    data = Data(paste_rate=0.5, paste_classes=("car",), color_jitter=0.3)
    unbroken = batches(halves, 7, num_examples=8, data=data)
    for before, after in zip(unbroken[4:], batches(halves, 3, num_examples=8, data=data, start_step=4), strict=True):
        np.testing.assert_array_equal(before["image"], after["image"])
        np.testing.assert_array_equal(before["label"], after["label"])


def test_what_cannot_be_pasted_is_refused_in_one_line(halves):
    assert class_ids(("car", "road"), INFO) == (CAR, ROAD)
    with pytest.raises(InputError, match="toy has no class bus; one of sky, road, car"):
        batches(halves, 1, num_examples=8, data=Data(paste_rate=1.0, paste_classes=("bus",)))
    with pytest.raises(InputError, match="only single images without instances can be pasted into"):
        batches(halves, 1, num_examples=8, data=Data(paste_rate=1.0, paste_classes=("car",)), with_instances=True)
    with pytest.raises(InputError, match="paste_rate needs data.paste_classes"):
        DataConfig(paste_rate=0.5).check()
    with pytest.raises(InputError, match="paste_classes is .*, which does nothing without data.paste_rate"):
        DataConfig(paste_classes=("car",)).check()
