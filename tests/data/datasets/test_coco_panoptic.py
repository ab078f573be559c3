"""COCO panoptic: JSON and PNGs become contiguous classes and instances."""

import json
import shutil

import numpy as np
import pytest

from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import coco_panoptic
from tfseg.errors import InputError

CATEGORIES = [(1, "person", 1), (3, "car", 1), (92, "banner", 0)]


@pytest.fixture
def coco(tmp_path, save, save_segments):
    """coco(segment ids, segments, split, categories) writes an image and its annotation, and returns the root."""

    def write(segment_ids, segments, split="val", categories=CATEGORIES):
        height, width = np.shape(segment_ids)
        save(tmp_path / "coco" / f"{split}2017" / "000000000139.jpg", np.zeros([height, width, 3], np.uint8))
        path = tmp_path / "coco" / "annotations" / f"panoptic_{split}2017.json"
        save_segments(path, categories, {"000000000139.png": (segment_ids, segments)})
        return tmp_path / "coco"

    return write


def listing(root):
    return coco_panoptic.list_examples(root, ConvertOptions())


def encoded(root, split="val"):
    found = listing(root)
    (example,) = found.splits[split]
    return found.encode(example)


# A banner, two persons, a crowd of cars, void, a single car.
SEGMENT_IDS = [[70000, 300, 5], [9, 0, 8]]
SEGMENTS = [(70000, 92, 0), (300, 1, 0), (5, 1, 0), (9, 3, 1), (8, 3, 0)]


def test_categories_become_contiguous_classes_and_things_are_numbered(coco, panoptic_of):
    label, classes, instances = panoptic_of(encoded(coco(SEGMENT_IDS, SEGMENTS)))
    assert label == classes == [[2, 0, 0], [1, 255, 1]]
    assert instances == [[0, 1, 2], [0, 0, 1]]


def test_names_and_things_come_from_the_json_file(coco):
    info = listing(coco(SEGMENT_IDS, SEGMENTS)).info
    assert (info.name, info.class_names, info.thing_ids) == ("coco_panoptic", ("person", "car", "banner"), {0, 1})
    assert info.colors[2] == (92, 92, 0) and info.label_divisor == 1000


def test_records_are_made_and_opened_again_by_name(coco, tmp_path):
    root = coco(SEGMENT_IDS, SEGMENTS)
    coco(SEGMENT_IDS, SEGMENTS, split="train")
    manifest = opening.prepare("coco_panoptic", root, tmp_path / "records")
    assert set(manifest.splits) == {"train", "val"}
    assert manifest.splits["val"].label_histogram == [2, 2, 1] and manifest.splits["val"].ignored_pixels == 1
    assert opening.open_dataset("coco_panoptic", str(tmp_path / "records")) == (str(tmp_path / "records"), manifest)


def test_a_changed_meaning_of_a_segment_makes_other_records(coco):
    first, _ = opening.open_dataset("coco_panoptic", str(coco([[5]], [(5, 1, 0)])))
    second, _ = opening.open_dataset("coco_panoptic", str(coco([[5]], [(5, 1, 1)])))
    assert first != second


@pytest.mark.parametrize(
    "segment_ids, segments, reason",
    [
        ([[5, 6]], [(5, 1, 0)], "segment id 6 not in the segments_info"),
        ([[5, 5]], [(5, 1, 0), (6, 1, 0)], "segment id 6 not in the PNG"),
    ],
)
def test_ids_that_are_in_one_file_only_are_a_bad_file(coco, segment_ids, segments, reason):
    with pytest.raises(InputError, match=rf"000000000139\.png: {reason}"):
        encoded(coco(segment_ids, segments))


def test_another_size_than_the_images_is_a_bad_file(coco, save):
    root = coco([[5, 5]], [(5, 1, 0)])
    save(root / "val2017" / "000000000139.jpg", np.zeros([1, 3, 3], np.uint8))
    with pytest.raises(InputError, match=r"000000000139\.png: label of 2x1 pixels for an image of 3x1"):
        encoded(root)


def test_a_thousandth_instance_of_a_class_is_a_bad_file(coco):
    ids = np.arange(1, 1001)
    assert encoded(coco([ids[:999]], [(int(i), 1, 0) for i in ids[:999]])).panoptic_png
    with pytest.raises(InputError, match=r"000000000139\.png: instance 1000 of person, segment 1000, does not fit"):
        encoded(coco([ids], [(int(i), 1, 0) for i in ids]))


def test_an_unknown_category_names_the_segment(coco):
    with pytest.raises(InputError, match=r"segment 5 of image '000000000139' has the unknown category_id 2$"):
        listing(coco([[5]], [(5, 2, 0)]))


def renamed(root, *names):
    """Gives the annotation of the val split these file names, an annotation each."""
    path = root / "annotations" / "panoptic_val2017.json"
    content = json.loads(path.read_text())
    (annotation,) = content["annotations"]
    content["annotations"] = [annotation | {"file_name": name, "image_id": i} for i, name in enumerate(names)]
    path.write_text(json.dumps(content))
    return root


@pytest.mark.parametrize(
    "name", ["../../000000000139.png", "/x/000000000139.png", "a\\000000000139.png", "a\0.png", ""]
)
def test_a_name_that_leads_out_of_the_folder_of_pngs_is_refused(coco, name):
    with pytest.raises(InputError, match=r"panoptic_val2017\.json: image 0: the file_name is .*; it must be the path"):
        listing(renamed(coco([[5]], [(5, 1, 0)]), name))


def test_a_link_that_leads_out_of_the_folder_of_pngs_is_a_bad_file(coco, tmp_path):
    root = coco([[5]], [(5, 1, 0)])
    png = root / "annotations" / "panoptic_val2017" / "000000000139.png"
    png.rename(tmp_path / "secret.png")
    png.symlink_to(tmp_path / "secret.png")
    with pytest.raises(InputError, match=r"image '000000000139': the file_name is '0+139\.png', a link that leads out"):
        encoded(root)


def test_two_annotations_of_one_image_are_refused(coco):
    root = renamed(coco([[5]], [(5, 1, 0)]), "000000000139.png", "a/000000000139.png")
    message = r"image 1: file_name 'a/0+139\.png', but '0+139\.png' of image 0 is also a label of '0+139'; delete one"
    with pytest.raises(InputError, match=message):
        listing(root)


def test_more_categories_than_a_label_map_has_room_for_are_refused(coco):
    root = coco([[5]], [(5, 1, 0)], categories=[(1 + i, f"x{i}", 0) for i in range(255)])
    path = root / "annotations" / "panoptic_val2017.json"
    content = json.loads(path.read_text())
    assert listing(root).info.num_classes == 255
    content["categories"].append({"id": 999, "name": "one more", "isthing": 0})
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"panoptic_val2017\.json: 256 categories; label maps have 255 at most"):
        listing(root)


def test_a_missing_image_is_a_problem(coco):
    root = coco([[5]], [(5, 1, 0)])
    (root / "val2017" / "000000000139.jpg").unlink()
    assert listing(root).problems == [f"{root}/val2017/000000000139.jpg: no such file"]


def test_pngs_that_are_still_packed_are_named(coco):
    root = coco([[5]], [(5, 1, 0)])
    shutil.rmtree(root / "annotations" / "panoptic_val2017")
    with pytest.raises(InputError, match=r"panoptic_val2017\.json: its PNGs are missing; unpack them into .*_val2017$"):
        listing(root)


def test_splits_of_other_categories_are_refused(coco):
    coco([[5]], [(5, 1, 0)])
    root = coco([[5]], [(5, 1, 0)], split="train", categories=[(1, "person", 1), (92, "banner", 0)])
    with pytest.raises(InputError, match=r"panoptic_train2017\.json and .*panoptic_val2017\.json: categories differ"):
        listing(root)


def test_another_folder_names_the_download_page(tmp_path):
    with pytest.raises(InputError, match=r"no COCO panoptic here .*cocodataset\.org"):
        listing(tmp_path)
