"""Records: round trip, shards, and damage, which is found and named."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from tfseg.data import tfrecord
from tfseg.data.conversion.examples import encode_arrays, encode_pair
from tfseg.data.conversion.raw import RawExample
from tfseg.errors import InputError, RunError
from tfseg.formats.label_file import LabelRule


def encode(class_id, bad=()):
    if class_id in bad:
        raise InputError(f"{class_id}.png: bad")
    return encode_arrays(np.zeros([2, 3, 3], np.uint8), np.full([2, 3], class_id, np.uint8), f"{class_id}.png")


def read(path):
    return [tfrecord.parse_example(record) for record in tf.data.TFRecordDataset(str(path))]


def test_parse_example_is_the_inverse_of_to_example():
    example = tfrecord.to_example(
        b"jpeg",
        b"png",
        height=2,
        width=3,
        filename="Straße 1.jpg",
        panoptic_png=b"panoptic",
        sequence_id="0016E5",
        frame_id=7959,
        previous_jpeg=b"before",
    )
    parsed = tfrecord.parse_example(tf.constant(example.SerializeToString()))
    assert parsed.keys() == tfrecord.FEATURES.keys()
    assert {key: value.numpy() for key, value in parsed.items()} == {
        "image/encoded": b"jpeg",
        "image/format": b"jpeg",
        "image/height": 2,
        "image/width": 3,
        "image/filename": "Straße 1.jpg".encode(),
        "image/segmentation/class/encoded": b"png",
        "image/segmentation/class/format": b"png",
        "image/panoptic/encoded": b"panoptic",
        "video/sequence_id": b"0016E5",
        "video/frame_id": 7959,
        "video/previous/encoded": b"before",
    }


def test_what_is_absent_is_empty_or_minus_one():
    example = tfrecord.to_example(b"png", None, height=2, width=3, filename="a.png", image_format="png")
    parsed = tfrecord.parse_example(tf.constant(example.SerializeToString()))
    assert parsed["image/segmentation/class/encoded"] == parsed["image/panoptic/encoded"] == ""
    assert parsed["video/sequence_id"] == "" and parsed["video/frame_id"] == -1
    assert parsed["image/format"] == "png"


def test_a_file_name_that_is_not_unicode_is_kept():
    example = tfrecord.to_example(b"", b"", height=1, width=1, filename=b"\xff.png".decode(errors="surrogateescape"))
    assert tfrecord.parse_example(example.SerializeToString())["image/filename"] == b"\xff.png"


def test_items_go_to_shards_in_order(tmp_path):
    written = tfrecord.write_split(tmp_path, "train", [0, 1, 2, 3, 4], encode, num_shards=2)
    assert [shard.file for shard in written.shards] == [
        "train-00000-of-00002.tfrecord",
        "train-00001-of-00002.tfrecord",
    ]
    assert [shard.num_examples for shard in written.shards] == [2, 3]
    names = [example["image/filename"] for shard in written.shards for example in read(tmp_path / shard.file)]
    assert names == [b"0.png", b"1.png", b"2.png", b"3.png", b"4.png"]


def test_one_shard_holds_128_images(tmp_path):
    written = tfrecord.write_split(tmp_path, "train", [0] * 129, encode, num_workers=1)
    assert [shard.num_examples for shard in written.shards] == [64, 65]


def test_pixels_and_images_are_counted_per_class(tmp_path):
    split = tfrecord.write_split(tmp_path, "train", [0, 1, 1, 255], encode).split(num_classes=3)
    assert split.num_examples == 4
    assert split.label_histogram == [6, 12, 0]
    assert split.images_per_class == [1, 2, 0]
    assert split.ignored_pixels == 6


def test_bad_items_are_collected_and_the_others_written(tmp_path):
    written = tfrecord.write_split(tmp_path, "train", [0, 1, 2], functools.partial(encode, bad=(0, 2)))
    assert written.problems == ["0.png: bad", "2.png: bad"]
    assert written.num_examples == 1


def test_worker_processes_write_the_same_bytes(tmp_path, save, photo, label):
    paths = str(save(tmp_path / "i.png", photo)), str(save(tmp_path / "l.png", label))
    items = [RawExample(*paths, filename=str(index)) for index in range(40)]
    encode_file = functools.partial(encode_pair, rule=LabelRule(2))
    shards = [tfrecord.write_split(tmp_path, "train", items, encode_file, num_workers=n).shards for n in (1, 2)]
    assert shards[0] == shards[1]


def test_what_many_label_files_tell_of_their_storage_is_kept_once(tmp_path, save, photo):
    image, items = save(tmp_path / "i.png", photo), []
    for index in range(3):
        label = save(tmp_path / f"{index}.png", np.full([4, 6], index // 2, np.uint8))
        items.append(RawExample(str(image), str(label), filename="i.png"))
    encode_file = functools.partial(encode_pair, rule=LabelRule(2))
    label_values = tfrecord.write_split(tmp_path, "train", items, encode_file).label_values
    assert [values.name for values in label_values.values()] == [items[0].label_path, items[2].label_path]


def test_a_folder_that_cannot_be_written_is_a_failed_run(tmp_path):
    with pytest.raises(RunError, match=r"missing/train-00000-of-00001.tfrecord: records cannot be written \("):
        tfrecord.write_split(tmp_path / "missing", "train", [0], encode)


@pytest.fixture
def shard(tmp_path):
    tfrecord.write_split(tmp_path, "train", [0, 1, 2], encode)
    return tmp_path / "train-00000-of-00001.tfrecord"


def test_whole_shards_have_no_damage(shard):
    assert tfrecord.locate_damage([str(shard)]) is None


def test_a_cut_record_is_located(shard):
    shard.write_bytes(shard.read_bytes()[:-10])
    assert tfrecord.locate_damage([str(shard)]) == (str(shard), 2, "cut short")


def test_a_flipped_byte_is_located(shard):
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1  # in the second of three equal records
    shard.write_bytes(content)
    assert tfrecord.locate_damage([str(shard)]) == (str(shard), 1, "its checksum is wrong")


def test_a_picture_that_cannot_be_decoded_is_located(tmp_path):
    path = str(tmp_path / "bad.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(tfrecord.to_example(b"garbage", None, height=1, width=1, filename="x").SerializeToString())
    assert tfrecord.locate_damage([path])[:2] == (path, 0)


def test_a_record_that_is_no_example_is_located(tmp_path):
    path = str(tmp_path / "bad.tfrecord")
    with tf.io.TFRecordWriter(path) as writer:
        writer.write(b"\xff\xfe garbage")
    assert tfrecord.locate_damage([path])[:2] == (path, 0)
