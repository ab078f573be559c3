"""Instance ids of panoptic maps, as evaluation reads them."""

import dataclasses
import functools

import numpy as np
import pytest
import tensorflow as tf

from tfseg.config import DataConfig
from tfseg.data import pipeline, targets
from tfseg.data.scenes import listing, streets
from tfseg.data.tfrecord import to_example, write_split
from tfseg.errors import InputError
from tfseg.formats.images import encode_panoptic, encode_png
from tfseg.labels import DatasetInfo, default_colors

INFO = DatasetInfo("toy", ("sky", "road", "car"), default_colors(3), thing_ids=frozenset({2}))
LABEL = np.array([[0, 1, 1, 2], [2, 2, 255, 2]], np.uint8)
INSTANCES = np.array([[0, 0, 0, 1], [700, 700, 0, 1]], np.int32)


def write(folder, panoptic_pngs, label=LABEL):
    """Writes a shard with one example per map; all have the same label."""
    path = str(folder / "val-00000-of-00001.tfrecord")
    image = encode_png(np.zeros([*LABEL.shape, 3], np.uint8))
    with tf.io.TFRecordWriter(path) as writer:
        for index, panoptic_png in enumerate(panoptic_pngs):
            example = to_example(
                image,
                encode_png(label),
                height=2,
                width=4,
                filename=f"{index}.png",
                panoptic_png=panoptic_png,
                image_format="png",
            )
            writer.write(example.SerializeToString())
    return [path]


def read(files, **options):
    return list(pipeline.eval_examples(files, INFO, with_instances=True, **options).as_numpy_iterator())


def test_instances_come_with_their_image_when_asked_for(tmp_path):
    files = write(tmp_path, [encode_panoptic(LABEL, INSTANCES)])
    [example] = read(files)
    assert example["instance"].dtype == np.int32
    np.testing.assert_array_equal(example["instance"], INSTANCES[np.newaxis])
    np.testing.assert_array_equal(example["has_instances"], [True])
    [plain] = pipeline.eval_examples(files, INFO).as_numpy_iterator()
    assert set(plain) == {"image", "label", "filename"}


def test_an_example_without_a_map_says_so(tmp_path):
    files = write(tmp_path, [None, encode_panoptic(LABEL, 0 * INSTANCES)])
    assert [example["has_instances"].tolist() for example in read(files)] == [[False], [True]]
    [batch] = read(files, batch_size=2)
    np.testing.assert_array_equal(batch["has_instances"], [False, True])
    np.testing.assert_array_equal(batch["instance"], np.zeros([2, 2, 4]))


def test_what_a_map_says_of_ignored_pixels_and_of_stuff_does_not_matter(tmp_path):
    classes = np.array([[2, 0, 1, 2], [2, 2, 1, 2]], np.uint8)
    instances = np.array([[0, 0, 5, 1], [700, 700, 3, 1]])
    [example] = read(write(tmp_path, [encode_panoptic(classes, instances)]))
    np.testing.assert_array_equal(example["instance"][0], instances)


OTHER_CLASS = np.array([[0, 1, 1, 1], [2, 2, 255, 2]], np.uint8)
UNUSABLE = {
    "text": b"not a picture",
    "of another size": encode_panoptic(LABEL[:, :3], INSTANCES[:, :3]),
    "turned": encode_panoptic(LABEL.T, INSTANCES.T),
    "an instance of another class": encode_panoptic(OTHER_CLASS, INSTANCES),
}


@pytest.mark.parametrize("panoptic_png", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_unusable_map_stops_reading_and_is_located_but_hinders_nobody_who_does_not_ask(tmp_path, panoptic_png):
    files = write(tmp_path, [None, panoptic_png])
    with pytest.raises(tf.errors.InvalidArgumentError):
        read(files)
    found = pipeline.locate_unusable(files, needs_labels=False)
    assert found.endswith("record 1 (1.png): the panoptic map is not a PNG of the label's size and classes")
    assert pipeline.locate_unusable(files, needs_labels=True) is None
    assert len(list(pipeline.eval_examples(files, INFO))) == 2


def train(files):
    """Returns one training example with its instances."""
    data = DataConfig(crop_size=(2, 4), min_scale=1.0, max_scale=1.0, flip=False, shuffle_buffer=1)
    batches = pipeline.train_batches(
        files,
        INFO,
        data,
        batch_size=1,
        seed=0,
        num_examples=1,
        make_targets=targets.semantic,
        with_instances=True,
    )
    return next(batches.as_numpy_iterator())


@pytest.mark.parametrize("run, needs_labels", [(read, False), (train, True)])
def test_an_instance_id_that_does_not_fit_the_divisor_stops_reading_and_is_named(tmp_path, run, needs_labels):
    files = write(tmp_path, [encode_panoptic(LABEL, np.where(INSTANCES == 700, 999, INSTANCES))])
    run(files)
    files = write(tmp_path, [encode_panoptic(LABEL, np.where(INSTANCES == 700, 1000, INSTANCES))])
    reason = "the panoptic map has instance id 1000; ids must be below the label divisor 1000"
    with (
        pytest.raises(InputError) as caught,
        pipeline.damage_named(files, needs_labels, with_instances=needs_labels),
    ):
        run(files)
    assert str(caught.value) == f"{files[0]}: record 0 (0.png): {reason}; convert the data again"
    assert len(list(pipeline.eval_examples(files, INFO))) == 1


def test_the_divisor_is_that_of_the_data_set_and_ignored_pixels_may_have_any_id(tmp_path):
    files = write(tmp_path, [encode_panoptic(LABEL, INSTANCES + 2000 * (LABEL == 255))])
    assert read(files)[0]["instance"].max() == 2000
    narrow = dataclasses.replace(INFO, label_divisor=700)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"(?s)instance ids.*0\.png"):
        list(pipeline.eval_examples(files, narrow, with_instances=True))
    assert pipeline.locate_unusable(files, needs_labels=False) is None
    found = pipeline.locate_unusable(files, needs_labels=False, label_divisor=700)
    assert found.endswith("the panoptic map has instance id 700; ids must be below the label divisor 700")


ENCODE_SCENE = functools.partial(listing.encode_frame, streets.generate)


def test_generated_scenes_have_instances(tmp_path):
    written = write_split(tmp_path, "val", [("val", 3)], ENCODE_SCENE, num_workers=1)
    files = [str(tmp_path / shard.file) for shard in written.shards]
    [example] = pipeline.eval_examples(files, streets.INFO, with_instances=True).as_numpy_iterator()
    np.testing.assert_array_equal(example["instance"][0], streets.generate("val", 3).instance_ids)
    assert example["has_instances"].all() and example["instance"].max() > 1
    assert set(np.unique(example["label"][example["instance"] > 0])) <= streets.INFO.thing_ids
