"""A folder of records is checked to the last pixel, and shown as pictures."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfseg.data import check, opening, tfrecord
from tfseg.data.manifest import Manifest, Shard, Split
from tfseg.errors import InputError
from tfseg.formats.images import encode_jpeg, encode_panoptic, encode_png
from tfseg.labels import DatasetInfo, default_colors
from tfseg.system.files import file_sha256


@pytest.fixture
def records(toy_folder):
    """(manifest, folder) of 2 training images and 1 validation image."""
    root = toy_folder()
    return opening.prepare("folder", root, root.with_name("records")), root.with_name("records")


def written_by_others(folder, class_ids, counts, size=None, panoptic_pngs=(None,)):
    """Writes records that no converter of ours has seen, and a manifest with the right checksums.

    There is one record per panoptic map; all have the same [2, 2] class ids.
    """
    image = encode_jpeg(np.zeros([*(size or (2, 2)), 3], np.uint8))
    label = encode_png(np.uint8(class_ids))
    path, number = folder / "train-00000-of-00001.tfrecord", len(panoptic_pngs)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for panoptic_png in panoptic_pngs:
            example = tfrecord.to_example(image, label, height=2, width=2, filename="x.png", panoptic_png=panoptic_png)
            writer.write(example.SerializeToString())
    shard = Shard(path.name, number, path.stat().st_size, file_sha256(path))
    info = DatasetInfo("toy", ("sky", "road"), default_colors(2))
    return Manifest(info, {"train": Split(number, counts, 0, [number, number], [shard])})


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


IDS = np.array([[0, 1], [1, 1]])
UNLIKE_THE_LABEL = "the panoptic map is not a PNG of the label's size and classes"
BAD_MAPS = {
    "text": (b"no picture", UNLIKE_THE_LABEL),
    "of another size": (encode_panoptic(IDS[:1], IDS[:1]), UNLIKE_THE_LABEL),
    "of other classes": (encode_panoptic(1 - IDS, IDS), UNLIKE_THE_LABEL),
    "an id too large": (
        encode_panoptic(IDS, 1000 * IDS),
        "the panoptic map has instance id 1000; ids must be below the label divisor 1000",
    ),
}


@pytest.mark.parametrize("panoptic_png, reason", BAD_MAPS.values(), ids=BAD_MAPS.keys())
def test_a_panoptic_map_that_cannot_be_used_is_named(tmp_path, panoptic_png, reason):
    sound = encode_panoptic(IDS, 999 * IDS)
    manifest = written_by_others(tmp_path, IDS, [2, 6], panoptic_pngs=[sound, panoptic_png])
    with pytest.raises(InputError) as caught:
        check.check_records(manifest, tmp_path)
    shard = tmp_path / "train-00000-of-00001.tfrecord"
    assert str(caught.value) == f"{shard}: record 1 (x.png): {reason}; convert the data again"


def test_sound_panoptic_maps_and_records_without_one_pass(tmp_path):
    sound = encode_panoptic(IDS, 999 * IDS)
    check.check_records(written_by_others(tmp_path, IDS, [2, 6], panoptic_pngs=[sound, None]), tmp_path)


def test_pictures_are_of_train_if_it_is_there_else_of_the_first_split(records):
    manifest, folder = records
    assert check.split_of_pictures(manifest, folder) == "train"
    assert check.split_of_pictures(manifest, folder, "val") == "val"
    others = {"test": manifest.splits["val"], "val": manifest.splits["val"]}
    assert check.split_of_pictures(dataclasses.replace(manifest, splits=others), folder) == "test"


def test_a_split_that_is_not_there_is_refused_with_a_list_of_those_that_are(records, tmp_path):
    manifest, folder = records
    with pytest.raises(InputError, match=r"records: no split 'tset'; there are train, val$"):
        check.split_of_pictures(manifest, folder, "tset")
    with pytest.raises(InputError, match=r"records: no split 'tset'; there are train, val$"):
        check.write_overlays(manifest, folder, "tset", tmp_path / "out", lambda image, ids, info: image)
    assert not (tmp_path / "out").exists()


def test_the_table_has_a_line_per_class(records):
    manifest, _ = records
    assert check.class_table(manifest, "train").splitlines() == [
        "train: 2 images",
        "",
        "| class           | id | pixels, % | images |",
        "|-----------------|---:|----------:|-------:|",
        "| sky             |  0 |    60.000 |      2 |",
        "| road            |  1 |    40.000 |      2 |",
        "| ignored, of all |    |    16.667 |        |",
    ]


def test_four_overlays_are_spread_over_the_split(toy_folder):
    root = toy_folder([f"{index:02d}" for index in range(10)])
    manifest = opening.prepare("folder", root, root.with_name("records"))
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
