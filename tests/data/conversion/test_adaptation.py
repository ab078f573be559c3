"""Conversion options that work on the records of any data set."""

import dataclasses

import numpy as np
import pytest

from tfseg.data import opening
from tfseg.data.conversion import adaptation
from tfseg.data.conversion.adaptation import adapted, shrunk, without_crowds
from tfseg.data.conversion.examples import encode_arrays
from tfseg.data.conversion.raw import ConvertOptions, Listing
from tfseg.data.scenes import streets
from tfseg.errors import InputError
from tfseg.formats.images import read_image
from tfseg.labels import DatasetInfo, default_colors

INFO = DatasetInfo("toy", ("sky", "car"), default_colors(2), thing_ids=frozenset({1}))


def record(class_ids, instance_ids=None, image=None):
    class_ids = np.array(class_ids, np.uint8)
    image = np.zeros([*class_ids.shape, 3], np.uint8) if image is None else image
    panoptic = None if instance_ids is None else (class_ids, np.array(instance_ids, np.int32))
    return encode_arrays(image, class_ids, "a.jpg", panoptic)


def test_labels_of_a_smaller_record_are_those_nearest_to_its_pixels_centres(panoptic_of):
    # 6 columns to 3: the new centres lie at 1, 3 and 5, between two old pixels; the one to the right is taken.
    encoded = record([[0, 1, 0, 1, 0, 1], [1, 1, 1, 1, 255, 1]], [[0, 300, 0, 2, 0, 3], [4, 5, 6, 7, 0, 0]])
    small = shrunk(encoded, 3)
    assert (small.height, small.width) == (1, 3)
    label, classes, instances = panoptic_of(small)
    assert label == classes == [[1, 1, 1]] and instances == [[5, 7, 0]]
    assert small.class_counts[1] == 3 and small.class_counts.sum() == 3


def test_the_longest_side_is_exact_and_the_other_in_proportion(tmp_path):
    pixels = np.zeros([30, 40, 3], np.uint8)
    pixels[:, 20:] = 200
    small = shrunk(record(np.zeros([30, 40]), image=pixels), 12)
    (tmp_path / "a.jpg").write_bytes(small.image_jpeg)
    image = read_image(tmp_path / "a.jpg")
    assert image.shape == (9, 12, 3) and (small.height, small.width) == (9, 12) and small.panoptic_png is None
    assert image[:, :5].max() < 20 and image[:, 7:].min() > 180
    tall = shrunk(record(np.zeros([100, 1])), 10)
    assert (tall.height, tall.width) == (10, 1)


def test_smaller_images_keep_their_bytes():
    encoded = record(np.zeros([3, 4]))
    assert shrunk(encoded, 4) is encoded


def test_crowds_can_be_ignored(panoptic_of):
    encoded = without_crowds(record([[0, 1, 1, 255]], [[0, 0, 7, 0]]), INFO.thing_ids)
    label, classes, instances = panoptic_of(encoded)
    assert label == classes == [[0, 255, 1, 255]] and instances == [[0, 0, 7, 0]]
    assert encoded.class_counts[[0, 1, 255]].tolist() == [1, 1, 2]


def test_a_label_without_a_map_knows_no_crowds():
    encoded = record([[0, 1]])
    assert without_crowds(encoded, INFO.thing_ids) is encoded


def test_lack_of_memory_is_a_problem_of_one_record(monkeypatch):
    def fail(*_):
        raise MemoryError

    monkeypatch.setattr(adaptation, "encode_png", fail)
    with pytest.raises(InputError, match=r"^a\.jpg: needs more memory than there is"):
        shrunk(record(np.zeros([3, 4])), 2)
    with pytest.raises(InputError, match=r"^a\.jpg: needs more memory than there is"):
        without_crowds(record([[1]], [[0]]), INFO.thing_ids)


def test_options_change_the_records_of_a_listing_and_its_fingerprint_and_none_leaves_them(monkeypatch):
    monkeypatch.setattr(streets, "SPLIT_SIZES", {"val": 1})
    plain, manifest = opening.open_dataset("scenes", None)
    small, small_manifest = opening.open_dataset("scenes", None, ConvertOptions(longest_side=48))
    assert plain != small
    pixels = [
        sum(each.splits["val"].label_histogram) + each.splits["val"].ignored_pixels
        for each in (manifest, small_manifest)
    ]
    assert pixels == [128 * 192, 32 * 48]
    assert opening.open_dataset("scenes", None)[0] == plain


def test_both_options_together(panoptic_of):
    listing = Listing(INFO, lambda item: record([item], [[3, 0]]), {})
    encode = adapted(listing, ConvertOptions(longest_side=1, crowd_as_ignore=True)).encode
    assert panoptic_of(encode([1, 1])) == ([[255]], [[255]], [[0]])  # the second pixel, a crowd, is the nearest


def test_data_without_things_have_no_crowds_to_ignore():
    semantic = dataclasses.replace(INFO, thing_ids=frozenset())
    with pytest.raises(InputError, match="--crowd_as_ignore: this data set has no instances"):
        adapted(Listing(semantic, record, {}), ConvertOptions(crowd_as_ignore=True))
