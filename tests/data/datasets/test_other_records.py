"""TFRecords of DeepLab, DeepLab2 and Model Garden become our records."""

import json

import numpy as np
import pytest
import tensorflow as tf

from tfseg.data import opening, pipeline
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import cityscapes, coco_panoptic, other_records
from tfseg.data.tfrecord import split_files
from tfseg.errors import InputError
from tfseg.formats.images import encode_jpeg, encode_png

# Road, car 1, car 300, a crowd of cars, void.
CLASSES = np.array([[0, 13, 13, 13, 255]])
NUMBERS = np.array([[0, 1, 300, 0, 0]])
IMAGE = encode_jpeg(np.full([1, 5, 3], 90, np.uint8))


def example(image=IMAGE, **label):
    """Makes a tf.train.Example; "__" in a name stands for "/"."""
    values = {"image/encoded": image, "image/filename": b"a.jpg"}
    values |= {name.replace("__", "/"): value for name, value in label.items()}
    feature = {key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value])) for key, value in values.items()}
    feature["image/height"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[1]))
    return tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString()


def write(folder, *examples, name="train_fine-00000-of-00001.tfrecord"):
    folder.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / name)) as writer:
        for content in examples:
            writer.write(content)
    return folder


def raw(panoptic_ids):
    return {
        "image__segmentation__class__encoded": np.asarray(panoptic_ids, "<i4").tobytes(),
        "image__segmentation__class__format": b"raw",
    }


def png(values):
    return {
        "image__segmentation__class__encoded": encode_png(np.asarray(values, np.uint8)),
        "image__segmentation__class__format": b"png",
    }


def masks(categories, instances):
    return {
        "image__panoptic__category_mask": encode_png(np.asarray(categories, np.uint8)),
        "image__panoptic__instance_mask": encode_png(np.asarray(instances, np.uint8)),
    }


def encoded(folder, meaning):
    listing = other_records.list_examples(folder, ConvertOptions(), meaning)
    ((place,),) = listing.splits.values()
    return listing.encode(place)


CITYSCAPES = other_records.RecordMeaning.same(cityscapes.INFO)
LABELS = {
    "raw": raw(CLASSES * 1000 + NUMBERS),
    "png": png(np.stack([CLASSES, NUMBERS // 256, NUMBERS % 256], -1)),
}


@pytest.mark.parametrize("label", LABELS.values(), ids=LABELS.keys())
def test_both_panoptic_formats_of_deeplab2_are_read(tmp_path, panoptic_of, label):
    label_ids, classes, instances = panoptic_of(encoded(write(tmp_path / "records", example(**label)), CITYSCAPES))
    assert label_ids == classes == CLASSES.tolist()
    assert instances == NUMBERS.tolist()


def test_records_of_class_ids_have_no_panoptic_map_and_keep_their_image(tmp_path):
    record = encoded(write(tmp_path / "records", example(**png(CLASSES))), CITYSCAPES)
    assert record.panoptic_png is None and record.image_jpeg == IMAGE
    assert record.class_counts[[0, 13, 255]].tolist() == [1, 3, 1]


@pytest.fixture
def coco_meaning(tmp_path):
    """COCO with the categories 1 person, 3 car and 92 banner."""
    folder = tmp_path / "records"
    folder.mkdir()
    kinds = [
        {"id": i, "name": name, "isthing": thing}
        for i, name, thing in ((1, "person", 1), (3, "car", 1), (92, "banner", 0))
    ]
    annotations = [{"image_id": 1, "file_name": "1.png", "segments_info": []}]
    (folder / "panoptic_val2017.json").write_text(json.dumps({"categories": kinds, "annotations": annotations}))
    return coco_panoptic.record_meaning(folder)


def test_the_pair_of_masks_of_model_garden_holds_categories(tmp_path, coco_meaning, panoptic_of):
    # In these records, instance numbers count through the whole image, and stuff has number 0.
    folder = write(tmp_path / "records", example(**masks([[1, 1, 3, 92, 0]], [[1, 2, 3, 0, 0]])))
    label, classes, instances = panoptic_of(encoded(folder, coco_meaning))
    assert label == classes == [[0, 0, 1, 2, 255]]
    assert instances == [[1, 2, 3, 0, 0]]


def test_raw_coco_records_count_classes_from_one_with_the_divisor_256(tmp_path, coco_meaning, panoptic_of):
    folder = write(tmp_path / "records", example(**raw([[257, 258, 2 * 256 + 255, 3 * 256, 0]])))
    label, classes, instances = panoptic_of(encoded(folder, coco_meaning))
    assert label == classes == [[0, 0, 1, 2, 255]]
    assert instances == [[1, 2, 255, 0, 0]]


def test_they_are_converted_like_any_raw_data_and_read_for_training(tmp_path):
    folder = write(
        tmp_path / "records",
        example(**LABELS["raw"]),
        example(image=encode_png(np.zeros([1, 5, 3], np.uint8)), **LABELS["png"]),
    )
    write(folder, example(**LABELS["raw"]), name="val_fine-00000-of-00001.tfrecord")
    path, manifest = opening.open_dataset("cityscapes", str(folder))
    assert {split: records.num_examples for split, records in manifest.splits.items()} == {"train": 2, "val": 1}
    files = split_files(manifest, path, "train")
    for seen in pipeline.eval_examples(files, manifest.info, with_instances=True).as_numpy_iterator():
        np.testing.assert_array_equal(seen["label"][0], CLASSES)
        np.testing.assert_array_equal(seen["instance"][0], NUMBERS)
    assert opening.open_dataset("cityscapes", str(folder))[0] == path
    write(folder, example(**LABELS["png"]))
    assert opening.open_dataset("cityscapes", str(folder))[0] != path


BAD = {
    "a class too many": (raw([[19000] * 5]), r"its label has the class 19, which the data set does not have"),
    "too few bytes": (raw([[0] * 4]), r"16 bytes of panoptic ids for 5x1 pixels, 4 each"),
    "another size": (png([[0] * 4]), r"label of 4x1 pixels for an image of 5x1"),
    "a number too many": (png(np.full([1, 5, 3], (13, 3, 232))), r"instance 1000 does not fit the label divisor 1000"),
    "no label": ({}, r"label is missing"),
    "no label of the raw format": ({"image__segmentation__class__format": b"raw"}, r"label is missing"),
    "an empty label of the raw format": (raw([]), r"label is missing"),
    "no picture": ({"image__segmentation__class__encoded": b"x"}, r"label: is not an image of a known format"),
    "half a pair": (
        {"image__panoptic__category_mask": masks([[0] * 5], [[0]])["image__panoptic__category_mask"]},
        r"image/panoptic/instance_mask is missing",
    ),
}


@pytest.mark.parametrize("label, reason", BAD.values(), ids=BAD.keys())
def test_a_bad_label_names_the_record(tmp_path, label, reason):
    folder = write(tmp_path / "records", example(**label))
    with pytest.raises(InputError, match=rf"train_fine-00000-of-00001\.tfrecord: record 0 \(a\.jpg\): {reason}"):
        encoded(folder, CITYSCAPES)


def test_a_bad_image_and_a_bad_record_are_named(tmp_path):
    with pytest.raises(InputError, match=r"record 0 \(a\.jpg\): image: is not an image"):
        encoded(write(tmp_path / "records", example(image=b"x", **LABELS["raw"])), CITYSCAPES)
    with pytest.raises(InputError, match=r"record 0 is damaged"):
        encoded(write(tmp_path / "records", b"\xff\xff"), CITYSCAPES)


def test_a_file_that_is_cut_short_is_named(tmp_path):
    folder = write(tmp_path / "records", example(**LABELS["raw"]), example(**LABELS["raw"]))
    (path,) = folder.iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"tfrecord: record 1 is cut short, or this is not a plain TFRecord file"):
        other_records.record_places(path)


def test_records_of_ours_are_not_converted_again(tmp_path):
    folder = write(tmp_path / "records", example(**LABELS["raw"]))
    opening.prepare("cityscapes", folder, tmp_path / "ours")
    with pytest.raises(InputError, match=r"ours: these are records already; give them as --data_dir"):
        opening.prepare("cityscapes", tmp_path / "ours", tmp_path / "again")


def test_data_sets_whose_ids_are_not_known_are_refused(tmp_path):
    folder = write(tmp_path / "records", example(**LABELS["raw"]))
    with pytest.raises(InputError, match=r"--dataset=mapillary does not know what their ids mean"):
        opening.open_dataset("mapillary", str(folder))
    with pytest.raises(InputError, match=r"no panoptic_val2017\.json that names their classes"):
        opening.open_dataset("coco_panoptic", str(folder))
