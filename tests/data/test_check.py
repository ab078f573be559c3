"""A folder of records is checked to the last pixel, and shown."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfseg.data import check, datasets, tfrecord
from tfseg.data.images import encode_jpeg, encode_png
from tfseg.data.manifest import Manifest, Shard, Split, file_sha256
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors


@pytest.fixture
def records(toy_folder):
    """(manifest, folder) of 2 training images and 1 for validation."""
    root = toy_folder()
    return datasets.prepare("folder", root, root.with_name("records")), root.with_name("records")


def written_by_others(folder, class_ids, counts, size=None):
    """A manifest with right checksums for one record of [2, 2] class ids that no converter of ours has seen."""
    image = encode_jpeg(np.zeros([*(size or (2, 2)), 3], np.uint8))
    example = tfrecord.to_example(image, encode_png(np.uint8(class_ids)), height=2, width=2, filename="x.png")
    path = folder / "train-00000-of-00001.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example.SerializeToString())
    shard = Shard(path.name, 1, path.stat().st_size, file_sha256(path))
    info = DatasetInfo("toy", ("sky", "road"), default_colors(2))
    return Manifest(info, {"train": Split(1, counts, 0, [1, 1], [shard])})


def test_whole_records_pass(records):
    check.check_records(*records)


def test_a_changed_byte_is_found(records):
    manifest, folder = records
    (shard,) = folder.glob("train-*")
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    with pytest.raises(InputError, match="sha256"):
        check.check_records(manifest, folder)


def test_a_class_id_out_of_range_in_a_record_is_named(tmp_path):
    manifest = written_by_others(tmp_path, [[0, 1], [1, 2]], [1, 3])
    with pytest.raises(InputError, match=r"x\.png: label value 2 \(1 pixels\)"):
        check.check_records(manifest, tmp_path)


def test_counts_that_are_not_the_manifests_are_refused(tmp_path):
    manifest = written_by_others(tmp_path, [[0, 1], [1, 1]], [2, 2])
    with pytest.raises(InputError, match="pixels of split 'train' are not those of its manifest"):
        check.check_records(manifest, tmp_path)


def test_an_image_of_another_size_than_its_label_is_named(tmp_path):
    manifest = written_by_others(tmp_path, [[0, 1], [1, 1]], [1, 3], size=(2, 3))
    with pytest.raises(InputError, match=r"x\.png: image and label differ in size"):
        check.check_records(manifest, tmp_path)


def test_the_table_has_a_line_per_class(records):
    manifest, _ = records
    assert check.class_table(manifest, "train") == [
        "train: 2 images",
        "  id  class            pixels %  images",
        "   0  sky                60.000       2",
        "   1  road               40.000       2",
        "      ignored, of all    16.667",
    ]


def test_four_overlays_are_spread_over_the_split(toy_folder):
    root = toy_folder([f"{index:02d}" for index in range(10)])
    manifest = datasets.prepare("folder", root, root.with_name("records"))
    seen = []

    def overlay(image, class_ids, info):
        seen.append((image.shape, class_ids.shape, info.name))
        return image

    total = manifest.splits["train"].num_examples
    paths = check.write_overlays(manifest, root.with_name("records"), "train", root.with_name("out"), overlay)
    assert paths == [str(root.with_name("out") / f"train_{total * k // 4:05d}.png") for k in range(4)]
    assert seen == [((4, 6, 3), (4, 6), "folder")] * 4
    assert Image.open(paths[0]).size == (6, 4)


def test_a_split_of_two_images_has_two_overlays(records, tmp_path):
    manifest, folder = records
    assert len(check.write_overlays(manifest, folder, "train", tmp_path / "out", lambda image, ids, info: image)) == 2
