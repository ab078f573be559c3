"""Reading: what a JSON file and its PNGs must be, and what is made of them."""

import dataclasses
import json

import numpy as np
import pytest
from PIL import Image

from tfseg.coco_panoptic_format.annotations import panoptic_ids, read_annotations
from tfseg.coco_panoptic_format.segment_ids import decode_ids, encode_ids, read_ids
from tfseg.errors import InputError

CONTENT = {
    "categories": [
        {"id": 184, "name": "tree", "isthing": 0, "color": [0, 90, 0]},
        {"id": 1, "name": "person", "isthing": 1, "color": [220, 20, 60]},
    ],
    "annotations": [
        {
            "image_id": 139,
            "file_name": "139.png",
            "segments_info": [
                {"id": 300, "category_id": 1, "iscrowd": 0},
                {"id": 70000, "category_id": 184, "iscrowd": 0},
                {"id": 5, "category_id": 1, "iscrowd": 0},
                {"id": 6, "category_id": 1, "iscrowd": 1},
            ],
        }
    ],
}
IDS = np.array([[0, 300, 300, 70000], [5, 5, 6, 70000]])


def write(folder, content=CONTENT, segment_ids=IDS):
    folder.mkdir(exist_ok=True)
    (folder / "val.json").write_text(json.dumps(content))
    Image.fromarray(encode_ids(segment_ids)).save(folder / "139.png")
    return folder / "val.json"


def changed(**segment):
    """The content with another first segment."""
    content = json.loads(json.dumps(CONTENT))
    content["annotations"][0]["segments_info"][0] |= segment
    return content


def test_colours_are_ids_of_24_bits_and_back():
    ids = np.array([[1, 256, 65536], [0, 3 + 2 * 256 + 65536, 256**3 - 1]])
    colors = encode_ids(ids)
    assert colors[1, 1].tolist() == [3, 2, 1] and colors[0].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert colors.dtype == np.uint8 and decode_ids(colors).dtype == np.int32
    np.testing.assert_array_equal(decode_ids(colors), ids)


def test_categories_become_classes_in_their_order(tmp_path):
    annotations = read_annotations(write(tmp_path))
    assert annotations.info.class_names == ("tree", "person") and annotations.info.thing_ids == {1}
    assert annotations.info.colors == ((0, 90, 0), (220, 20, 60)) and annotations.category_ids == (184, 1)
    assert [segment.class_id for segment in annotations.images[139].segments] == [1, 0, 1, 1]
    np.testing.assert_array_equal(read_ids(annotations.images[139].path), IDS)


def test_pngs_are_in_the_folder_of_the_same_name_or_else_beside_the_file(tmp_path):
    path = write(tmp_path)
    assert read_annotations(path).images[139].path == str(tmp_path / "139.png")
    (tmp_path / "val").mkdir()
    assert read_annotations(tmp_path).images[139].path == str(tmp_path / "val" / "139.png")


def test_predictions_need_no_categories_of_their_own(tmp_path):
    labels = read_annotations(write(tmp_path / "label"))
    content = {"annotations": CONTENT["annotations"]}
    predictions = read_annotations(write(tmp_path / "prediction", content), labels)
    assert predictions.info is labels.info and predictions.images[139].segments == labels.images[139].segments


def test_panoptic_ids_number_the_things_of_a_class_in_the_order_of_the_file(tmp_path):
    annotations = read_annotations(write(tmp_path))
    expected = [[255_000, 1001, 1001, 0], [1002, 1002, 1000, 0]]
    found = panoptic_ids(annotations.images[139], annotations.info)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.int32
    ignored = panoptic_ids(annotations.images[139], annotations.info, is_crowd_ignored=True)
    np.testing.assert_array_equal(ignored, np.where(IDS == 6, 255_000, expected))


def test_more_instances_than_the_divisor_has_room_for_are_refused(tmp_path):
    annotations = read_annotations(write(tmp_path))
    narrow = dataclasses.replace(annotations.info, label_divisor=3)
    assert panoptic_ids(annotations.images[139], narrow).max() == 255 * 3
    narrow = dataclasses.replace(annotations.info, label_divisor=2)
    with pytest.raises(InputError, match=r"139\.png: instance 2 of person, segment 5, does not fit"):
        panoptic_ids(annotations.images[139], narrow)


def test_panoptic_ids_of_a_png_that_does_not_fit_are_refused(tmp_path):
    annotations = read_annotations(write(tmp_path, segment_ids=np.where(IDS == 5, 9, IDS)))
    with pytest.raises(InputError, match=r"139\.png: segment id 9 not in the segments_info of image 139"):
        panoptic_ids(annotations.images[139], annotations.info)


def damaged(text):
    return lambda folder: (folder / "val.json").write_text(text)


def rewritten(content):
    return damaged(json.dumps(content))


def twice(key):
    return rewritten(CONTENT | {key: CONTENT[key] * 2})


BAD_FILES = {
    "no file": (lambda folder: (folder / "val.json").rename(folder / "x"), r"val\.json: no such file or folder"),
    "cut off": (damaged('{"annotations": ['), r"val\.json: damaged JSON \(Expecting value: line 1"),
    "not text": (lambda folder: (folder / "val.json").write_bytes(b"\xff\x00"), r"val\.json: damaged JSON"),
    "a list": (damaged("[]"), "a JSON list, not an object"),
    "no annotations": (rewritten(CONTENT | {"annotations": []}), r"val\.json: no annotations"),
    "no categories": (rewritten({"annotations": [1]}), r"val\.json: no categories"),
    "half a category": (rewritten(CONTENT | {"categories": [{"id": 1}]}), "categories need id, name and isthing"),
    "no file name": (
        rewritten(CONTENT | {"annotations": [{"image_id": 1}]}),
        r"annotation 0 is not in COCO's panoptic format \(no 'file_name'\)",
    ),
    "text for an annotation": (rewritten(CONTENT | {"annotations": ["a"]}), "annotation 0 is not in COCO's"),
    "an image twice": (twice("annotations"), "two annotations of image 139"),
    "a category twice": (twice("categories"), "two categories have the id 184"),
    "unknown category": (rewritten(changed(category_id=2)), "segment 300 of image 139 has the unknown category_id 2"),
    "id 0": (rewritten(changed(id=0)), "segment id 0 of image 139; ids are whole numbers from 1 to 16777215"),
    "an id of 25 bits": (rewritten(changed(id=2**24)), "segment id 16777216 of image 139"),
    "an id twice": (rewritten(changed(id=5)), "segment id 5 of image 139"),
}


@pytest.mark.parametrize("spoil, message", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, spoil, message):
    path = write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        read_annotations(path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_a_folder_without_or_with_several_json_files_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no \.json file in this folder"):
        read_annotations(tmp_path)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"2 \.json files in this folder"):
        read_annotations(tmp_path)


def test_a_png_that_is_missing_cut_off_or_not_rgb_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file, but an annotation names it"):
        read_ids(tmp_path / "a.png")
    Image.new("L", (4, 4)).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"grey\.png: PNG file of mode L; segment ids are in an RGB PNG"):
        read_ids(tmp_path / "grey.png")
    Image.fromarray(encode_ids(np.random.default_rng(0).integers(0, 2**24, [50, 50]))).save(tmp_path / "whole.png")
    content = (tmp_path / "whole.png").read_bytes()
    for num_bytes in (0, 20, len(content) // 2):
        (tmp_path / "cut.png").write_bytes(content[:num_bytes])
        with pytest.raises(InputError, match=r"cut\.png: cannot be read .*; is the file whole\?"):
            read_ids(tmp_path / "cut.png")
