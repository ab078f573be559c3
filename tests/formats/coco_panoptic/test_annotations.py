"""Reading: what a JSON file and its PNGs must contain, and what they become."""

import contextlib
import dataclasses
import gc
import json

import numpy as np
import pytest
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.annotations import panoptic_ids, read_annotations
from tfseg.formats.coco_panoptic.segment_ids import decode_ids, encode_ids, read_ids
from tfseg.labels import default_colors

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
    """Returns the content with another first segment."""
    content = json.loads(json.dumps(CONTENT))
    content["annotations"][0]["segments_info"][0] |= segment
    return content


def changed_annotation(**values):
    return CONTENT | {"annotations": [CONTENT["annotations"][0] | values]}


def changed_category(**values):
    """Returns the content with another second category."""
    return CONTENT | {"categories": [CONTENT["categories"][0], CONTENT["categories"][1] | values]}


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
    with pytest.raises(InputError, match=r"139\.png: segment id 9 not in .* of image 139 in .*val\.json; add what"):
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
    "nested too deeply": (damaged("[" * 200_000), r"val\.json: damaged JSON \(nested too deeply\); write"),
    "half a category": (
        rewritten(CONTENT | {"categories": [{"id": 1}]}),
        r"val\.json: categories\[0\]: no name; it must be text on one line",
    ),
    "no file name": (
        rewritten(CONTENT | {"annotations": [{"image_id": 1}]}),
        r"val\.json: image 1: no file_name; it must be the path of a PNG inside the folder of PNGs",
    ),
    "text for an annotation": (
        rewritten(CONTENT | {"annotations": ["a"]}),
        r"annotations\[0\] is 'a'; it must be an object",
    ),
    "an image twice": (twice("annotations"), "two annotations of image 139"),
    "a category twice": (twice("categories"), "2 categories have the id 184; rename or delete one"),
    "unknown category": (
        rewritten(changed(category_id=2)),
        r"val\.json: the category ids are 184, 1; '139\.png': segment 300 of image 139 has the unknown category_id 2",
    ),
    "true for a category": (rewritten(changed(category_id=True)), "segment 300: the category_id is True; it must be a"),
    "a list for a category": (rewritten(changed(category_id=[1])), r"the category_id is \[1\]; it must be a whole"),
    "id 0": (
        rewritten(changed(id=0)),
        r"val\.json: image 139: segments_info\[0\]: the id is 0; it must be a whole number from 1 to 16777215",
    ),
    "true for an id": (rewritten(changed(id=True)), r"segments_info\[0\]: the id is True; it must"),
    "text for a crowd": (
        rewritten(changed(iscrowd="0")),
        r"val\.json: image 139: segment 300: the iscrowd is '0'; it must be 0, 1, true or false",
    ),
    "two for a crowd": (rewritten(changed(iscrowd=2)), "segment 300: the iscrowd is 2; it"),
    "null for a crowd": (rewritten(changed(iscrowd=None)), "segment 300: the iscrowd is None; it"),
    "text for a thing": (
        rewritten(changed_category(isthing="0")),
        r"val\.json: categories\[1\]: the isthing is '0'; it must be 0, 1, true or false",
    ),
    "1.0 for a thing": (rewritten(changed_category(isthing=1.0)), r"categories\[1\]: the isthing is 1\.0; it must"),
    "an infinite category": (rewritten(changed_category(id=float("inf"))), "the id is inf; it must be a whole number"),
    "true for a category's id": (rewritten(changed_category(id=True)), "the id is True; it must be a whole number"),
    "text for a category's id": (rewritten(changed_category(id="1")), "the id is '1'; it must be a whole number"),
    "a colour of four": (
        rewritten(changed_category(color=[1, 2, 3, 4])),
        r"the color is \[1, 2, 3, 4\]; it must be three",
    ),
    "a colour of fractions": (rewritten(changed_category(color=[0.5, 0, 0])), r"the color is \[0\.5, 0, 0\]"),
    "a colour of 9 bits": (rewritten(changed_category(color=[256, 0, 0])), r"the color is \[256, 0, 0\]"),
    "null for a colour": (rewritten(changed_category(color=None)), "the color is None"),
    "a zero byte in a name": (
        rewritten(changed_annotation(file_name="a\0b")),
        r"val\.json: image 139: the file_name is 'a\\x00b'; it must be the path of a PNG inside the folder",
    ),
    "no text for a name": (rewritten(changed_annotation(file_name="")), "image 139: the file_name is ''"),
    "true for an image": (
        rewritten(changed_annotation(image_id=True)),
        r"annotations\[0\]: the image_id is True; it must be a whole number or text on one line",
    ),
    "an object of segments": (
        rewritten(changed_annotation(segments_info={})),
        r"image 139: the segments_info is \{\}; it must be a list",
    ),
    "an id of 25 bits": (rewritten(changed(id=2**24)), r"segments_info\[0\]: the id is 16777216; it"),
    "a huge id": (rewritten(changed(id=10**400)), r"segments_info\[0\]: the id is 1000000000.*; it must be a whole"),
    "a negative id": (rewritten(changed(id=-1)), r"segments_info\[0\]: the id is -1; it must"),
    "a fraction for an id": (rewritten(changed(id=300.0)), r"segments_info\[0\]: the id is 300\.0; it must"),
    "a huge category": (rewritten(changed(category_id=10**400)), r"the unknown category_id 10000.*\.\.\..*0000$"),
    "text for an area": (rewritten(changed(area="3")), "segment 300: the area is '3'; it must be a number of pixels"),
    "true for an area": (rewritten(changed(area=True)), "segment 300: the area is True; it must"),
    "a negative area": (rewritten(changed(area=-1)), "segment 300: the area is -1; it must"),
    "an infinite area": (rewritten(changed(area=float("inf"))), "segment 300: the area is inf; it must"),
    "no number for an area": (rewritten(changed(area=float("nan"))), "segment 300: the area is nan; it must"),
    "a huge area": (rewritten(changed(area=10**400)), r"segment 300: the area is 1000.*; it must"),
    "text for a segment": (
        rewritten(changed_annotation(segments_info=["a"])),
        r"val\.json: image 139: segments_info\[0\] is 'a'; it must be an object",
    ),
    "null for segments": (rewritten(changed_annotation(segments_info=None)), "the segments_info is None; it must"),
    "null for an image": (rewritten(changed_annotation(image_id=None)), "the image_id is None; it must"),
    "a fraction for an image": (rewritten(changed_annotation(image_id=1.5)), r"the image_id is 1\.5; it must"),
    "two lines for an image": (rewritten(changed_annotation(image_id="a\nb")), r"the image_id is 'a\\nb'; it must"),
    "a text of annotations": (rewritten(CONTENT | {"annotations": "abc"}), "no annotations; it must have a list"),
    "text for a category": (rewritten(CONTENT | {"categories": ["a"]}), r"categories\[0\] is 'a'; it must be an obj"),
    "digits without end": (damaged('{"annotations": ' + "1" * 10_000 + "}"), r"val\.json: damaged JSON \(Exceeds"),
    "an id twice": (rewritten(changed(id=5)), r"image 139: segments_info\[2\]: the id is 5, as in an entry before it"),
}


@pytest.mark.parametrize("spoil, message", BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_named_with_what_is_wrong(tmp_path, spoil, message):
    path = write(tmp_path)
    spoil(tmp_path)
    with pytest.raises(InputError, match=message) as error:
        read_annotations(path)
    assert str(tmp_path) in str(error.value) and "\n" not in str(error.value) and len(str(error.value)) < 300


@pytest.mark.parametrize("opening, closing", [("[", "]"), ('{"a":', "}"), ('[{"a":[', "]}]")])
def test_a_large_file_that_is_nested_deep_is_refused_whole_or_cut_off(tmp_path, opening, closing):
    path, depth = write(tmp_path), 2_000_000
    for text in (opening * depth, opening * depth + "1" + closing * depth, '{"annotations": ' + opening * depth):
        path.write_text(text)
        with pytest.raises(InputError, match=r"val\.json: damaged JSON \(nested too deeply\); write the file again"):
            read_annotations(path)


@pytest.mark.parametrize("text", [json.dumps(CONTENT), "[" * 200_000, "{"])
def test_reading_leaves_the_garbage_collector_as_it_was(tmp_path, text):
    path = write(tmp_path)
    path.write_text(text)
    for switch in (gc.disable, gc.enable):
        switch()
        with contextlib.suppress(InputError):
            read_annotations(path)
        assert gc.isenabled() == (switch is gc.enable)


def test_a_deeply_nested_value_is_shown_short(tmp_path):
    value = "[" * 900 + "]" * 900
    path = write(tmp_path)
    path.write_text(json.dumps(changed(id=0)).replace('"id": 0', f'"id": {value}'))
    with pytest.raises(InputError, match=r"segments_info\[0\]: the id is \[+\.\.\.\]+; it must be") as error:
        read_annotations(path)
    assert len(str(error.value)) < 300


def test_many_known_categories_are_shortened(tmp_path):
    kinds = [{"id": 2 * index, "name": str(index), "isthing": 0} for index in range(1, 81)]
    with pytest.raises(InputError, match=r"category ids are 2, 4, 6, 8, 10 and 75 more; '139\.png"):
        read_annotations(write(tmp_path, CONTENT | {"categories": kinds}))


def test_truth_values_of_json_are_as_good_as_0_and_1(tmp_path):
    content = changed_category(isthing=True)
    content["annotations"] = changed(iscrowd=False)["annotations"]
    annotations = read_annotations(write(tmp_path, content))
    assert annotations.info.thing_ids == {1}
    assert [segment.is_crowd for segment in annotations.images[139].segments] == [False, False, False, True]


def test_where_one_category_has_no_colour_all_have_the_usual_ones(tmp_path):
    kinds = [CONTENT["categories"][0], {"id": 1, "name": "person", "isthing": 1}]
    assert read_annotations(write(tmp_path, CONTENT | {"categories": kinds})).info.colors == default_colors(2)


def test_a_folder_without_or_with_several_json_files_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no \.json file in this folder"):
        read_annotations(tmp_path)
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text("{}")
    with pytest.raises(InputError, match=r"2 \.json files in this folder"):
        read_annotations(tmp_path)
