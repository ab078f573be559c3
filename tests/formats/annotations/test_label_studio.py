"""Label Studio's JSON export, written by hand in the documented form, and brushes by an encoder of their code."""

import json

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.formats.annotations import label_studio

SQUARE = [[12.5, 100 / 6], [50, 100 / 6], [50, 400 / 6], [12.5, 400 / 6]]  # 1 to 4 of 8, 1 to 4 of 6
RECTANGLE = [[25, 200 / 6], [100, 200 / 6], [100, 500 / 6], [25, 500 / 6]]


def brush_code(mask, one_by_one=False):
    """The bytes of a [height, width] mask: every channel 255 or 0, as runs, or as values one by one."""
    values = np.repeat(mask.ravel().astype(int) * 255, 4).tolist()
    bits = f"{len(values):032b}{7:05b}" + "".join(f"{size - 1:04b}" for size in (3, 4, 8, 16))
    if one_by_one:
        bits += "0" + "11" + f"{len(values) - 1:016b}" + "".join(f"{value:08b}" for value in values)
    while values and not one_by_one:
        length = next((i for i, value in enumerate(values) if value != values[0]), len(values))
        which = 1 if length <= 16 else 2 if length <= 256 else 3
        bits += "1" + f"{which:02b}" + f"{length - 1:0{(3, 4, 8, 16)[which]}b}" + f"{values[0]:08b}"
        values = values[length:]
    bits += "0" * (-len(bits) % 8)
    return [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]


def result(kind, value, number="r1", **others):
    sides = {"original_width": 8, "original_height": 6, "image_rotation": 0}
    return {"id": number, "type": kind, "from_name": "label", "to_name": "image", "value": value} | sides | others


def polygon(label="dog", points=SQUARE, number="r1", **others):
    return result("polygonlabels", {"points": points, "closed": True, "polygonlabels": [label]}, number, **others)


def brush(mask, label="car", **options):
    return result("brushlabels", {"format": "rle", "rle": brush_code(mask, **options), "brushlabels": [label]}, "r2")


def task(*results, image="/data/upload/1/1a2b3c4d-a.png", **others):
    return {"id": 1, "data": {"image": image}, "annotations": [{"id": 1, "result": list(results)}]} | others


@pytest.fixture
def write(tmp_path):
    """write(tasks, ...) writes an export and returns its path."""

    def save(*tasks):
        path = tmp_path / "project-1.json"
        path.write_text(json.dumps(tasks))
        return path

    return save


@pytest.fixture
def read(files_in):
    return lambda: label_studio.read(files_in("*.json"))


def test_later_results_lie_above_earlier_ones_and_classes_are_sorted(write, read, drawn):
    write(task(polygon("dog"), polygon("car", RECTANGLE, "r2")))
    found = read()
    assert found.class_names == ["car", "dog"] and found.problems == []
    assert drawn(found.photographs[0])[0] == ["........", ".222....", ".2111111", ".2111111", "..111111", "........"]


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_brush_covers_what_its_code_says(write, read, drawn, one_by_one):
    mask = np.zeros([6, 8], bool)
    mask[1:3, 2:7], mask[4, 0] = True, True
    write(task(brush(mask, one_by_one=one_by_one)))
    assert drawn(read().photographs[0])[0] == ["........", "..11111.", "..11111.", "........", "1.......", "........"]


def test_shape_and_class_may_be_two_results_of_one_region(write, read, drawn):
    write(task(result("polygon", {"points": SQUARE}), result("labels", {"points": SQUARE, "labels": ["dog"]})))
    (photograph,) = read().photographs
    assert [each.class_name for each in photograph.objects] == ["dog"]


@pytest.mark.parametrize(
    "image, pictures, name",
    [
        ("/data/upload/1/1a2b3c4d-a.png", ["a.png"], "/data/upload/1/a.png"),
        ("/data/upload/1/1a2b3c4d-a.png", ["1a2b3c4d-a.png", "a.png"], "/data/upload/1/1a2b3c4d-a.png"),
        ("/data/local-files/?d=day%201/a.png", [], "day 1/a.png"),
        ("s3://bucket/day1/a%20b.png", [], "/day1/a b.png"),
        ("https://host/day1/a.png?token=x.y", [], "/day1/a.png"),
    ],
)
def test_the_picture_is_the_one_that_an_address_ends_in(write, read, picture, image, pictures, name):
    for each in pictures:
        picture(each)
    write(task(polygon(), image=image))
    assert read().photographs[0].file_name == name


def test_a_task_without_results_is_a_photograph_without_objects(write, read):
    write(task(), task(annotations=[]), task(result("choices", {"choices": ["sunny"]})))
    assert [each.objects for each in read().photographs] == [(), (), ()]


def test_of_several_annotations_the_ground_truth_holds_and_cancelled_ones_do_not(write, read):
    first, second = ({"result": [polygon(label)]} for label in ("dog", "car"))
    for annotations in ([first | {"was_cancelled": True}, second], [first, second | {"ground_truth": True}]):
        write(task(annotations=annotations))
        assert read().photographs[0].objects[0].class_name == "car"
    write(task(annotations=[first, second]))
    (problem,) = read().problems
    assert "2 annotations of one picture; mark one as ground truth" in problem
    write(task(annotations=[first, "x"]))
    assert "annotations[1] is 'x'; it must be an object" in read().problems[0]


@pytest.mark.parametrize(
    "wrong, reason",
    [
        (polygon(points=[[1, 1], [4, 4]]), r"region 'r1' \(dog\): a polygon has 2 points"),
        (polygon(points=[[1, 1], [4, 4], [float("nan"), 4]]), "a coordinate is not a finite number"),
        (polygon(points=[[1, 1], [4, 4], [900, 4]]), "must be shares of width and height"),
        (polygon(image_rotation=90), "drawn on a rotated picture"),
        (polygon(original_width="8"), "the original_width is '8'"),
        (result("polygonlabels", {"points": SQUARE, "polygonlabels": []}), "must be a list of one class"),
        (result("polygon", {"points": SQUARE}), "has no class"),
        (result("rectanglelabels", {"x": 1, "rectanglelabels": ["dog"]}), "a 'rectanglelabels' has no outline"),
        (brush(np.ones([6, 7], bool)), "a brush of another size than the picture, or damaged"),
        (result("brushlabels", {"rle": [1, 2], "brushlabels": ["dog"]}), "another size than the picture, or damaged"),
        (result("brushlabels", {"rle": "abc", "brushlabels": ["dog"]}), "another size than the picture, or damaged"),
        (
            result("brushlabels", {"rle": brush_code(np.ones([6, 8], bool))[:8], "brushlabels": ["dog"]}),
            "a brush that is cut",
        ),
        ("dog", r"result\[0\] is 'dog'"),
    ],
)
def test_a_bad_region_makes_its_picture_a_bad_file_and_no_other(write, read, wrong, reason):
    write(task(wrong), task(polygon(), image="b.png"))
    found = read()
    with pytest.raises(InputError, match=rf"project-1\.json: /data/upload/1/a\.png: .*{reason}"):
        raise InputError(*found.problems)
    assert [each.file_name for each in found.photographs] == ["b.png"]


def test_a_task_without_a_picture_is_named_by_its_place(write, read):
    write(task(polygon(), image="hello"), "x")
    assert ["task 0: its data name no picture" in found for found in read().problems] == [True, False]
    assert "task 1 is 'x'" in read().problems[1]


def test_an_export_that_is_cut_is_recognised_and_refused(write, read):
    path = write(task(polygon()))
    assert label_studio.is_one(path)
    path.write_text(path.read_text()[:-9])
    assert label_studio.is_one(path)
    with pytest.raises(InputError, match=r"project-1\.json: damaged JSON"):
        read()
    path.write_text('{"annotations": [], "result": 1, "data": 2}')
    assert not label_studio.is_one(path)
