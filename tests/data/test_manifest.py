"""The manifest finds missing, cut, compressed and foreign records before a step is done."""

import gzip
import json
import os

import pytest
import tensorflow as tf

from tfseg.data.manifest import (
    Manifest,
    Shard,
    Split,
    check_split,
    read_manifest,
    split_files,
    write_manifest,
)
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors
from tfseg.system.files import file_sha256

INFO = DatasetInfo("toy", ("sky", "road"), default_colors(2))
FILE = "train-00000-of-00001.tfrecord"


@pytest.fixture
def records(tmp_path):
    """Folder of two records of 4 bytes, with its manifest."""
    with tf.io.TFRecordWriter(str(tmp_path / FILE)) as writer:
        writer.write(b"abcd")
        writer.write(b"efgh")
    shard = Shard(FILE, 2, (tmp_path / FILE).stat().st_size, file_sha256(tmp_path / FILE))
    write_manifest(tmp_path, Manifest(INFO, {"train": Split(2, [5, 3], 1, [2, 1], [shard])}, source="abc"))
    return tmp_path


def check(records, **options):
    check_split(read_manifest(records), records, "train", **options)


def test_reading_is_the_inverse_of_writing(records):
    manifest = read_manifest(records)
    assert manifest.info == INFO
    assert manifest.splits["train"].label_histogram == [5, 3]
    assert split_files(manifest, records, "train") == [str(records / FILE)]
    check(records, expected_info=INFO, verify=True)
    assert [path.name for path in records.iterdir() if path.name.startswith(".")] == []


def test_splits_add_up():
    first = Split(1, [1, 2], 3, [1, 1], [Shard("a.tfrecord", 1, 9, "")])
    second = Split(2, [10, 20], 30, [2, 0], [Shard("b.tfrecord", 2, 9, "")])
    both = first + second
    assert (both.num_examples, both.label_histogram, both.ignored_pixels) == (3, [11, 22], 33)
    assert both.images_per_class == [3, 1]
    assert [shard.file for shard in both.shards] == ["a.tfrecord", "b.tfrecord"]


def test_a_folder_without_manifest_names_the_command_that_makes_it(tmp_path):
    with pytest.raises(InputError, match=r"prepare_data\.py --dataset"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": 99}'])
def test_a_damaged_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match=r"manifest.json: damaged \(.+\); convert the data again"):
        read_manifest(tmp_path)


def edited(records, edit, has_checksum=False):
    """Changes the values of the manifest, which then has no checksum of its own, as those of earlier versions."""
    path = records / "manifest.json"
    values = json.loads(path.read_text())
    edit(values)
    if not has_checksum:
        del values["checksum"]
    path.write_text(json.dumps(values))


def test_a_manifest_of_an_earlier_version_has_no_checksum(records):
    edited(records, lambda values: None)
    check(records, expected_info=INFO, verify=True)


@pytest.mark.parametrize(
    "edit",
    [
        lambda train: train.update(label_histogram=[3, 5]),
        lambda train: train.update(ignored_pixels=2),
        lambda train: train.update(images_per_class=[1, 2]),
        lambda train: train["shards"][0].update(sha256="0" * 64),
    ],
)
def test_a_changed_digit_is_found_by_the_checksum(records, edit):
    edited(records, lambda values: edit(values["splits"]["train"]), has_checksum=True)
    message = r"manifest.json: damaged \(checksum is not that of the other fields: .+\); convert the data again"
    with pytest.raises(InputError, match=message):
        read_manifest(records)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda train: train.update(num_examples=3), "splits.train.num_examples is 3, its shards have 2"),
        (lambda train: train.update(num_examples="2"), "splits.train.num_examples takes int, not '2'"),
        (lambda train: train.update(num_examples=True), "splits.train.num_examples takes int, not True"),
        (lambda train: train.update(num_examples=2.0), "splits.train.num_examples takes int, not 2.0"),
        (lambda train: train.update(label_histogram=[8]), "splits.train.label_histogram has 1 counts for 2 classes"),
        (lambda train: train.update(label_histogram=[5, "3"]), r"splits.train.label_histogram\[1\] takes int, not '3'"),
        (lambda train: train.update(label_histogram=[5, -3]), r"splits.train.label_histogram\[1\] is -3"),
        (lambda train: train.update(label_histogram=[5, 10**40]), r"splits.train.label_histogram\[1\] is 1000"),
        (lambda train: train.update(label_histogram=[5, 0]), r"splits.train.label_histogram\[1\] is 0 pixels in 1 im"),
        (lambda train: train.update(label_histogram=None), "splits.train.label_histogram takes list, not None"),
        (lambda train: train.update(images_per_class=[3, 1]), r"splits.train.images_per_class\[0\] is 3 of 2 images"),
        (lambda train: train.update(images_per_class=[2, 1, 1]), "splits.train.images_per_class has 3 counts for 2"),
        (lambda train: train.pop("ignored_pixels"), "splits.train.ignored_pixels is missing"),
        (lambda train: train.update(ignored=1), "splits.train has no field 'ignored'; did you mean 'ignored_pixels'?"),
        (lambda train: train["shards"][0].update(num_bytes=None), r"splits.train.shards\[0\].num_bytes takes int"),
        (lambda train: train["shards"][0].update(sha256="12"), r"splits.train.shards\[0\].sha256 is '12', not 64"),
        (lambda train: train.update(shards={}), "splits.train.shards takes list, not {}"),
    ],
)
def test_a_value_that_cannot_be_is_named_by_its_field_even_without_checksum(records, edit, message):
    edited(records, lambda values: edit(values["splits"]["train"]))
    with pytest.raises(InputError, match=rf"manifest.json: damaged \({message}"):
        read_manifest(records)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda values: values.update(splits=[]), "splits takes dict"),
        (lambda values: values.update(format=2), "format is 2, this version reads 1"),
        (lambda values: values["info"].update(colors=[[0, 0, 0]]), "info toy: 2 class names but 1 colours"),
        (lambda values: values["info"].update(colors=[[0, 0, 0], [0, 0]]), r"info.colors\[1\] takes 3 values"),
        (lambda values: values["info"].update(label_divisor=0), "info toy: label divisor 0"),
        (lambda values: values["info"].update(split_sizes={"train": 1.5}), "info.split_sizes.train takes int"),
        (lambda values: values.pop("info"), "info is missing"),
    ],
)
def test_what_the_whole_manifest_says_is_checked_too(records, edit, message):
    edited(records, edit)
    with pytest.raises(InputError, match=rf"manifest.json: damaged \({message}"):
        read_manifest(records)


def test_a_pipe_is_no_manifest(tmp_path):
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(InputError, match=r"manifest.json: a pipe, socket or device"):
        read_manifest(tmp_path)


def test_class_names_edited_by_hand_are_refused(records):
    edited(records, lambda values: values["info"].update(class_names=["sky", "water"]))
    with pytest.raises(InputError, match="label_hash"):
        read_manifest(records)


def test_a_shard_outside_the_folder_is_refused(records):
    edited(records, lambda values: values["splits"]["train"]["shards"][0].update(file="../x.tfrecord"))
    with pytest.raises(InputError, match="not a file name"):
        read_manifest(records)


def test_a_missing_shard_is_named(records):
    (records / FILE).unlink()
    with pytest.raises(InputError, match=rf"{FILE}: No such file"):
        check(records)


@pytest.mark.parametrize("num_bytes", [0, 20])
def test_an_empty_shard_and_one_cut_between_two_records_are_named(records, num_bytes):
    content = (records / FILE).read_bytes()
    assert len(content) == 40  # two records: 8 length + 4 checksum + 4 content + 4 checksum
    (records / FILE).write_bytes(content[:num_bytes])
    with pytest.raises(InputError, match=rf"{FILE}: {num_bytes} bytes instead of 40"):
        check(records)


def test_a_changed_byte_is_found_by_verify(records):
    content = (records / FILE).read_bytes()
    (records / FILE).write_bytes(content[:-1] + b"x")
    check(records)
    with pytest.raises(InputError, match=rf"{FILE}: its sha256"):
        check(records, verify=True)


def test_a_shard_compressed_behind_our_back_is_named(records):
    (records / FILE).write_bytes(gzip.compress((records / FILE).read_bytes()))
    with pytest.raises(InputError, match=rf"{FILE}: is gzip-compressed"):
        check(records)


def test_a_declared_compression_is_refused(records):
    edited(records, lambda values: values.update(compression="GZIP"))
    with pytest.raises(InputError, match="compression 'GZIP' is not supported"):
        check(records)


def test_other_classes_than_the_model_was_made_for_are_refused(records):
    other = DatasetInfo("toy", ("sky", "road", "car"), default_colors(3))
    with pytest.raises(InputError, match=r"records of 2 classes \(sky, road\.\.\.\) but the config is for 3"):
        check(records, expected_info=other)


def test_a_split_that_is_not_there_or_empty_is_refused(records):
    with pytest.raises(InputError, match="no split 'val'; there are train"):
        check_split(read_manifest(records), records, "val")
    write_manifest(records, Manifest(INFO, {"train": Split(0, [0, 0], 0, [0, 0], [])}))
    with pytest.raises(InputError, match="split 'train' is empty"):
        check(records)
