"""COCO's JSON of instances: what the COCO API reads of the same file, and one line for what it should not read."""

import json

import numpy as np
import pytest
from pycocotools import mask as coco_masks
from pycocotools.coco import COCO

from tfseg.errors import InputError
from tfseg.formats.annotations import coco_instances, documents
from tfseg.formats.annotations.rasterization import draw

SQUARE = [[1, 1, 4, 1, 4, 4, 1, 4]]
RECTANGLE = [[2, 2, 8, 2, 8, 5, 2, 5]]


def annotation(segmentation=SQUARE, category_id=3, number=17, **others):
    return {"id": number, "image_id": 5, "category_id": category_id, "segmentation": segmentation} | others


@pytest.fixture
def write(tmp_path):
    """write(annotations, name, **other parts) writes a file with an image of 6x8 pixels and returns its path."""

    def save(annotations, name="instances.json", **others):
        content = {
            "images": [{"id": 5, "file_name": "a.png", "height": 6, "width": 8}],
            "categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "dog"}],
            "annotations": annotations,
        }
        (tmp_path / name).write_text(json.dumps(content | others))
        return tmp_path / name

    return save


@pytest.fixture
def read(files_in):
    def read_all():
        return coco_instances.read(files_in("*.json"))

    return read_all


def test_objects_lie_in_the_order_of_the_file_and_ids_are_only_ids(write, read, drawn):
    write([annotation(SQUARE, 3), annotation(RECTANGLE, 1, number=2)])
    found = read()
    (photograph,) = found.photographs
    assert found.class_names == ["car", "dog"] and found.problems == []
    assert drawn(photograph)[0] == [
        "........",
        ".111....",
        ".1222222",
        ".1222222",
        "..222222",
        "........",
    ]
    write([annotation(RECTANGLE, 1), annotation(SQUARE, 3)])
    assert drawn(read().photographs[0])[0][2] == ".1112222"


def test_every_kind_of_segmentation_covers_what_the_coco_api_says(write, read, capsys):
    generator = np.random.default_rng(0)
    mask = np.asfortranarray(generator.random([30, 40]) < 0.5).astype(np.uint8)
    packed = coco_masks.encode(mask)
    packed["counts"] = packed["counts"].decode()
    long = [0, 7, *[1] * 40]
    segmentations = [
        np.round(generator.uniform(-5, 45, [2, 14]), 1).tolist(),
        [[0.5, 0.5, 20.5, 3.5, 10, 29.5]],
        packed,
        {"size": [30, 40], "counts": [*long, 1200 - sum(long)]},
    ]
    images = [{"id": 5, "file_name": "a.png", "height": 30, "width": 40}]
    path = write([annotation(each, number=n) for n, each in enumerate(segmentations, 1)], images=images)
    reference = COCO(path)
    capsys.readouterr()
    (photograph,) = read().photographs
    for number, each in enumerate(photograph.objects, 1):
        alone = type(photograph)("a.png", "a.json", (30, 40), (each,))
        expected = reference.annToMask(reference.anns[number])
        np.testing.assert_array_equal(draw(alone, (30, 40), {"car": 1}, set(), 0)[0], expected)


def test_two_files_that_number_categories_differently_are_joined_by_name(write, read):
    write([annotation(category_id=3)], "train.json")
    categories = [{"id": 3, "name": "dog"}, {"id": 8, "name": "cat"}, {"id": 9, "name": "car"}]
    write([annotation(category_id=9), annotation(category_id=3)], "val.json", categories=categories)
    found = read()
    assert found.class_names == ["car", "dog", "cat"]
    objects = [[each.class_name for each in photograph.objects] for photograph in found.photographs]
    assert objects == [["car"], ["car", "dog"]]


def test_images_without_objects_are_photographs_without_objects(write, read):
    images = [{"id": 5, "file_name": "a.png", "height": 6, "width": 8}, {"id": "x", "file_name": "b.png"}]
    write([annotation()], images=images)
    assert [(each.file_name, each.size, len(each.objects)) for each in read().photographs] == [
        ("a.png", (6, 8), 1),
        ("b.png", None, 0),
    ]


def test_a_crowd_is_a_crowd(write, read):
    write([annotation(iscrowd=1), annotation(iscrowd=0), annotation()])
    assert [each.is_crowd for each in read().photographs[0].objects] == [True, False, False]


def test_masks_of_a_file_whose_writer_marks_all_of_them_as_crowds_are_objects(write, read):
    mask = {"size": [6, 8], "counts": [0, 48]}
    of_cvat = {"licenses": [{"name": "", "id": 0, "url": ""}]}
    write([annotation(), annotation(mask, iscrowd=1)], **of_cvat)
    found = read()
    assert [each.is_crowd for each in found.photographs[0].objects] == [False, False]
    assert found.notes == [
        "note: instances.json: 1 masks are marked as crowds, as CVAT and Datumaro mark all: read as objects"
    ]
    write([annotation(), annotation(mask, iscrowd=1)], licenses=[{"name": "CC BY 4.0", "id": 1, "url": ""}])
    assert [each.is_crowd for each in read().photographs[0].objects] == [False, True]


def test_an_object_without_outline_is_empty_if_its_box_or_area_says_so(write, read):
    empty = [annotation([], bbox=[0, 0, 0, 0]), annotation([], area=0)]
    write([*empty, annotation({"size": [6, 8], "counts": [48]})])
    assert [len(each.shapes) for each in read().photographs[0].objects] == [0, 0, 1]


def test_a_category_that_names_a_group_and_has_no_object_is_no_class(write, read):
    categories = [
        {"id": 0, "name": "traffic", "supercategory": "none"},
        {"id": 3, "name": "car", "supercategory": "traffic"},
        {"id": 1, "name": "dog", "supercategory": "traffic"},
    ]
    write([annotation()], categories=categories)
    found = read()
    assert found.class_names == ["car", "dog"] and "traffic" in found.notes[0]
    write([annotation(), annotation(category_id=0)], categories=categories)
    assert read().class_names == ["traffic", "car", "dog"]


def test_categories_may_say_that_they_have_no_instances(write, read):
    write([annotation()], categories=[{"id": 3, "name": "sky", "isthing": 0}, {"id": 1, "name": "dog", "isthing": 1}])
    assert read().stuff == {"sky"}


@pytest.mark.parametrize(
    "wrong, reason",
    [
        ({"segmentation": [[1, 1, 4, 4]]}, "a polygon has 2 points, and 3 are the fewest"),
        ({"segmentation": [[]]}, "a polygon has 0 points"),
        ({"segmentation": [[1, 1, 4, 1, 4]]}, "not a list of pairs of numbers"),
        ({"segmentation": [[1, 1, 4, 1, "4", 4]]}, "not a list of pairs of numbers"),
        ({"segmentation": [[1, 1, 4, 1, True, 4]] * 2 + [[None] * 6]}, "not a list of pairs of numbers"),
        ({"segmentation": [[1, 1, 4, 1, float("nan"), 4]]}, "a coordinate is not a finite number"),
        ({"segmentation": [[1, 1, 4, 1, float("inf"), 4]]}, "a coordinate is not a finite number"),
        ({"segmentation": [[1, 1, 4, 1, True, 4]]}, "not a list of pairs of numbers"),
        ({"segmentation": "1 1 4 1 4 4"}, "must be polygons or an RLE"),
        ({"segmentation": [], "bbox": [1, 1, 3, 3]}, "has a box but no outline"),
        ({"segmentation": []}, "has no outline"),
        ({"segmentation": None, "bbox": "1 1 3 3"}, "has no outline"),
        ({"segmentation": {"size": [8, 6], "counts": [48]}}, r"an RLE of size \[8, 6\] in an image of \[6, 8\]"),
        ({"segmentation": {"size": [6, 8], "counts": [47]}}, "an RLE of 47 pixels"),
        ({"iscrowd": 2}, "the iscrowd is 2; it must be 0, 1, true or false"),
    ],
)
def test_a_bad_object_makes_its_image_a_bad_file_and_no_other(write, read, wrong, reason):
    images = [{"id": i, "file_name": f"{i}.png", "height": 6, "width": 8} for i in (5, 6)]
    write([annotation(**wrong), annotation(image_id=6)], images=images)
    found = read()
    (problem,) = found.problems
    assert problem.count("\n") == 0 and "instances.json: 5.png: annotation 17 (car): " in problem
    with pytest.raises(InputError, match=reason):
        raise InputError(problem)
    assert [each.file_name for each in found.photographs] == ["6.png"]


def test_an_unknown_category_and_an_unknown_image_name_the_object(write, read):
    write([annotation(category_id=4), annotation(image_id=77)])
    unknown_image, unknown_category = read().problems
    assert "annotation 17: category_id 4 is the id of no category" in unknown_category
    assert "annotations[1]: image_id 77 is the id of no image" in unknown_image


@pytest.mark.parametrize(
    "others, reason",
    [
        ({"categories": [{"id": 3, "name": "car"}, {"id": 3, "name": "dog"}]}, "two categories have the id 3"),
        ({"categories": [{"id": 3, "name": "car"}, {"id": 1, "name": "car"}]}, "two categories have the name 'car'"),
        ({"categories": []}, "no categories"),
        ({"categories": [{"id": 3}]}, r"categories\[0\]: no name"),
        ({"categories": None}, "no list of categories"),
        ({"images": [{"id": 5, "file_name": "a.png"}] * 2}, "two images have the id 5"),
        ({"images": [{"id": 5}]}, r"images\[0\]: no file_name"),
        ({"images": ["a.png"]}, r"images\[0\] is 'a.png'; it must be an object"),
    ],
)
def test_a_bad_file_is_one_line_that_names_it(write, read, others, reason):
    write([annotation()], **others)
    with pytest.raises(InputError, match=rf"instances\.json: {reason}"):
        read()


def test_a_file_that_is_cut_is_recognised_and_refused_at_any_place(write, read):
    path = write([annotation()])
    text = path.read_text()
    for length in range(text.index("segmentation") + 13, len(text), 7):
        path.write_text(text[:length])
        assert coco_instances.is_one(path)
        with pytest.raises(InputError, match=r"instances\.json: damaged JSON .*export the annotations again"):
            read()


def test_a_file_that_is_too_large_is_refused_before_it_is_read(write, monkeypatch):
    path = write([annotation()])
    with path.open("r+b") as file:
        file.truncate(2 << 30)  # a file with a hole: it takes no place on the disk
    monkeypatch.setattr(documents.json, "loads", None)
    with pytest.raises(InputError, match=r"instances\.json: 2\.1 GB, and annotations are read up to 1\.1 GB"):
        coco_instances.is_one(path)


def test_other_json_of_coco_is_not_taken_for_instances(write):
    assert coco_instances.is_one(write([annotation()]))
    assert coco_instances.is_one(write([]))
    assert not coco_instances.is_one(write([{"id": 1, "image_id": 5, "segments_info": []}]))
    assert not coco_instances.is_one(write([annotation(keypoints=[0, 0, 0])]))
    path = write([])
    path.write_text('{"images": [], "annotations": [{"id": 1, "image_id": 5, "caption": "a car"}]}')
    assert not coco_instances.is_one(path)


def test_a_field_that_is_there_twice_is_refused(write, read):
    path = write([annotation()])
    path.write_text(path.read_text().replace('"category_id": 3', '"category_id": 3, "category_id": 1'))
    with pytest.raises(InputError, match=r"instances\.json: damaged \(the field 'category_id' is there twice"):
        read()
