"""Instance ids of augmented training examples: they are aligned with image and label, and only things have them."""

import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tfseg.config import DataConfig
from tfseg.data import pipeline
from tfseg.data.tfrecord import to_example
from tfseg.errors import InputError
from tfseg.formats.images import encode_panoptic, encode_png
from tfseg.labels import DatasetInfo, default_colors

HEIGHT, WIDTH = 20, 24
ALL_THINGS = DatasetInfo("toy", ("a", "b", "c"), default_colors(3), thing_ids=frozenset({0, 1, 2}))
STREET = DatasetInfo("street", ("sky", "road", "car"), default_colors(3), thing_ids=frozenset({2}))


Data = functools.partial(DataConfig, crop_size=(13, 17), min_scale=1.0, max_scale=1.0, flip=False, shuffle_buffer=1)


AUGMENTATIONS = {
    "crop": Data(),
    "padding": Data(crop_size=(30, 40)),
    "flip": Data(flip=True),
    "enlarging": Data(min_scale=1.3, max_scale=2.0),
    "shrinking": Data(min_scale=0.5, max_scale=0.8),
    "rotation": Data(rotation=40.0),
    "all": Data(min_scale=0.5, max_scale=2.0, flip=True, rotation=30.0),
}


def write(folder, *maps, image=None):
    """Writes a shard of examples (label, panoptic PNG or None), and returns its path in a list."""
    path = str(folder / "train-00000-of-00001.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        for index, (label, panoptic_png) in enumerate(maps):
            height, width = label.shape
            pixels = np.zeros([height, width, 3], np.uint8) if image is None else image
            sizes = {"height": height, "width": width, "filename": f"{index}.png", "image_format": "png"}
            example = to_example(encode_png(pixels), encode_png(label), panoptic_png=panoptic_png, **sizes)
            writer.write(example.SerializeToString())
    return [path]


def crops(files, info, data, count, **options):
    """Returns the first `count` training examples."""
    batches = pipeline.train_batches(
        files, info, data, batch_size=1, seed=3, num_examples=1, make_targets=lambda example: example, **options
    )
    return [
        {key: value[0] for key, value in batch.items()}
        for batch in itertools.islice(batches.as_numpy_iterator(), count)
    ]


@pytest.mark.parametrize("data", AUGMENTATIONS.values(), ids=AUGMENTATIONS.keys())
def test_image_label_and_instance_show_the_same_source_pixel(tmp_path, data):
    """Pixel (y, x) has the colour (10 x, 10 y), the instance 24 y + x + 1 and the class (24 y + x) % 3."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    index = WIDTH * y + x
    label = (index % 3).astype(np.uint8)
    image = np.stack([10 * x, 10 * y, 0 * x], -1).astype(np.uint8)
    files = write(tmp_path, (label, encode_panoptic(label, index + 1)), image=image)
    tolerance = 0.5 + (0.25 if data.min_scale < 1 else 0.02)  # nearest: up to half a pixel away
    for crop in crops(files, ALL_THINGS, data, 8, with_instances=True):
        assert crop["instance"].dtype == np.int32 and crop["instance"].shape == data.crop_size
        is_inside = crop["instance"] > 0
        np.testing.assert_array_equal(crop["label"] == 255, ~is_inside)
        np.testing.assert_array_equal(crop["label"][is_inside], (crop["instance"][is_inside] - 1) % 3)
        source_y, source_x = np.divmod(crop["instance"] - 1, WIDTH)
        is_interior = is_inside & (source_y > 2) & (source_y < HEIGHT - 3) & (source_x > 2) & (source_x < WIDTH - 3)
        assert is_interior.sum() > 20
        assert np.abs(crop["image"][..., 0] / 10 - source_x)[is_interior].max() <= tolerance
        assert np.abs(crop["image"][..., 1] / 10 - source_y)[is_interior].max() <= tolerance


def test_ids_above_255_and_crowds_survive_and_stuff_and_ignored_pixels_have_none(tmp_path):
    label = np.array([[0, 1, 2, 2], [2, 2, 255, 2]], np.uint8)
    in_map = np.array([[0, 5, 1, 1], [700, 0, 9, 700]])  # 5 is on the road, 9 on an ignored pixel, (1, 1) is a crowd
    files = write(tmp_path, (label, encode_panoptic(label, in_map)))
    [crop] = crops(files, STREET, Data(crop_size=(2, 4)), 1, with_instances=True)
    np.testing.assert_array_equal(crop["label"], label)
    np.testing.assert_array_equal(crop["instance"], [[0, 0, 1, 1], [700, 0, 0, 700]])


def test_semantic_training_is_the_same_with_and_without_them_and_reads_no_map(tmp_path):
    label = np.full([9, 9], 2, np.uint8)
    data = Data(crop_size=(6, 6), min_scale=0.5, max_scale=2.0, flip=True)
    files = write(tmp_path, (label, encode_panoptic(label, label)))
    for bare, full in zip(
        crops(files, STREET, data, 4), crops(files, STREET, data, 4, with_instances=True), strict=True
    ):
        assert set(full) - set(bare) == {"instance", "source_label", "source_instance", "geometry"}
        np.testing.assert_array_equal(bare["image"], full["image"])
        np.testing.assert_array_equal(bare["label"], full["label"])
    files = write(tmp_path, (label, b"damaged"))
    assert set(crops(files, STREET, data, 1)[0]) == {"image", "label", "filename"}


@pytest.mark.parametrize(
    "panoptic_png, reason",
    [
        (None, "there is no panoptic map to train on"),
        (b"damaged", "the panoptic map is not a PNG of the label's size and classes"),
    ],
)
def test_a_record_without_a_usable_map_stops_training_and_is_named(tmp_path, panoptic_png, reason):
    label = np.zeros([9, 9], np.uint8)
    files = write(tmp_path, (label, panoptic_png))
    assert pipeline.locate_unusable(files, needs_labels=True) is None
    with (
        pytest.raises(InputError, match=rf"record 0 \(0\.png\): {reason}; convert the data again"),
        pipeline.damage_named(files, needs_labels=True, with_instances=True),
    ):
        crops(files, STREET, Data(), 1, with_instances=True)
