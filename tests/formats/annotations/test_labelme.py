"""labelme's JSON, written by hand in the form that labelme 5 saves."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats.annotations import labelme

SQUARE = [[1, 1], [4, 1], [4, 4], [1, 4]]
RECTANGLE = [[2, 2], [8, 2], [8, 5], [2, 5]]


def shape(label, points, kind="polygon", **others):
    return {"label": label, "points": points, "group_id": None, "shape_type": kind, "flags": {}} | others


@pytest.fixture
def write(tmp_path):
    """write(shapes, name, **other parts) writes a file for a picture of 6x8 pixels and returns its path."""

    def save(*shapes, name="a.json", **others):
        content = {"version": "5.4.1", "flags": {}, "shapes": shapes, "imagePath": "a.png", "imageData": None}
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content | {"imageHeight": 6, "imageWidth": 8} | others))
        return path

    return save


@pytest.fixture
def read(files_in):
    return lambda: labelme.read(files_in("*.json"))


@pytest.fixture
def rows(read, drawn):
    """rows() -> (class ids, instance ids) of the only photograph, as text."""

    def draw():
        found = read()
        assert found.problems == []
        return drawn(found.photographs[0])

    return draw


def test_later_shapes_lie_above_earlier_ones_and_each_is_an_instance(write, rows):
    write(shape("dog", SQUARE), shape("car", RECTANGLE), shape("dog", [[0, 5], [2, 5], [2, 6], [0, 6]]))
    classes, instances = rows()
    assert classes == ["........", ".222....", ".2111111", ".2111111", "..111111", "22......"]
    assert instances[5] == "22......" and instances[2] == ".1111111"


def test_shapes_of_one_group_and_label_are_one_object(write, rows):
    parts = [SQUARE, [[6, 1], [8, 1], [8, 2], [6, 2]]]
    write(*(shape("dog", part, group_id=1) for part in parts), shape("car", RECTANGLE, group_id=1))
    assert rows()[1][1] == ".111..11"
    write(*(shape("dog", part) for part in parts))
    assert rows()[1][1] == ".111..22"


def test_a_rectangle_is_given_by_two_corners_in_any_order(write, rows):
    for corners in ([[2, 1], [5, 4]], [[5, 4], [2, 1]], [[5, 1], [2, 4]]):
        write(shape("car", corners, "rectangle"))
        assert rows()[0] == ["........"] + ["..111..."] * 3 + ["........"] * 2


def test_an_oriented_rectangle_is_given_by_its_four_corners(write, rows):
    write(shape("car", SQUARE, "oriented_rectangle"))
    assert rows()[0] == ["........"] + [".111...."] * 3 + ["........"] * 2


def test_a_circle_is_given_by_its_centre_and_a_point_on_it(write, rows):
    write(shape("car", [[4, 3], [6, 3]], "circle"))
    assert rows()[0] == ["........", "...11...", "..1111..", "..1111..", "...11...", "........"]


def test_a_mask_is_a_picture_in_base64_that_lies_at_its_corner(write, rows):
    buffer = io.BytesIO()
    Image.fromarray(np.array([[1, 0, 1], [1, 1, 1]], np.uint8) * 255).save(buffer, "PNG")
    text = base64.b64encode(buffer.getvalue()).decode()
    write(shape("car", [[3, 2], [5, 3]], "mask", mask=text))
    assert rows()[0][2:4] == ["...1.1..", "...111.."]


def test_classes_are_sorted_so_that_another_file_does_not_reorder_them(write, read):
    write(shape("dog", SQUARE))
    write(shape("car", SQUARE), shape("__ignore__", SQUARE), name="b.json", imagePath="b.png")
    assert read().class_names == ["__ignore__", "car", "dog"]


@pytest.mark.parametrize("image_path", ["a.png", "..\\photos\\a.png", "C:\\Users\\me\\a.png", "renamed.png"])
def test_the_picture_beside_the_file_is_meant_by_name_or_by_the_files_own(write, read, picture, image_path):
    path = picture("day1/a.png")
    picture("day2/a.png")
    write(shape("car", SQUARE), name="day1/a.json", imagePath=image_path)
    assert read().photographs[0].picture == path


def test_a_file_apart_from_its_picture_leaves_the_search_to_others(write, read, picture):
    picture("images/a.png")
    write(shape("car", SQUARE), name="labels/a.json", imagePath="../images/a.png")
    (photograph,) = read().photographs
    assert photograph.picture is None and photograph.file_name == "../images/a.png"


def test_a_file_without_shapes_is_a_photograph_without_objects_and_its_size_may_be_missing(write, read):
    write(imageHeight=None)
    (photograph,) = read().photographs
    assert photograph.objects == () and photograph.size is None


@pytest.mark.parametrize(
    "wrong, reason",
    [
        (shape("car", [[1, 1], [4, 4]]), r"shapes\[1\] \(car\): a polygon has 2 points"),
        (shape("car", [[1, 1], [4, 4], [float("nan"), 1]]), r"shapes\[1\] \(car\): a coordinate is not a finite"),
        (shape("car", [[1, 1], [4, 4]], "line"), r"shapes\[1\] \(car\): a 'line' covers no pixels"),
        (shape("car", [[1, 1]], "point"), "covers no pixels"),
        (shape("car", SQUARE, "rectangle"), "a rectangle has 4 points in place of 2"),
        (shape("car", [[1, 1], [4, "4"]], "circle"), "not a list of pairs of numbers"),
        (shape("car", [[1, 1], [3, 3]], "mask", mask="???"), "a mask that is not base64"),
        (shape("car", [[1, 1], [3, 3]], "mask", mask="YWJj"), "the mask: is not an image"),
        (shape("", SQUARE), r"shapes\[1\]: the label is ''"),
        ("car", r"shapes\[1\] is 'car'"),
    ],
)
def test_a_bad_shape_makes_its_photograph_a_bad_file_and_no_other(write, read, wrong, reason):
    write(shape("dog", SQUARE), wrong)
    write(shape("dog", SQUARE), name="b.json", imagePath="b.png")
    found = read()
    with pytest.raises(InputError, match=rf"a\.json: .*{reason}"):
        raise InputError(*found.problems)
    assert [each.file_name for each in found.photographs] == ["b.png"]


@pytest.mark.parametrize("others", [{"imageHeight": "6"}, {"imagePath": None}, {"shapes": None}])
def test_a_bad_part_names_the_file(write, read, others):
    write(**others)
    (problem,) = read().problems
    assert "a.json: the " in problem


def test_a_file_that_is_cut_is_a_bad_file(write, read):
    path = write(shape("car", SQUARE))
    path.write_text(path.read_text()[:-5])
    assert labelme.is_one(path)
    (problem,) = read().problems
    assert "a.json: damaged JSON" in problem and "export the annotations again" in problem
