"""Writing: what is in the files, and that reading them gives back what was written."""

import dataclasses
import json

import numpy as np
import pytest

from tfseg.errors import InputError, RunError
from tfseg.formats.coco_panoptic.annotations import panoptic_ids, read_annotations
from tfseg.formats.coco_panoptic.segment_ids import read_ids
from tfseg.formats.coco_panoptic.writer import PanopticWriter, segment_geometry
from tfseg.labels import DatasetInfo

INFO = DatasetInfo("toy", ("wall", "cat"), ((0, 0, 0), (128, 0, 0)), thing_ids=frozenset({1}))
MAP = np.array([[0, 1001, 1001, 255_000], [0, 1002, 1001, 1000], [1002, 1002, 0, 1000]], np.int32)


def write(path, maps, **options):
    with PanopticWriter(path, INFO, **options) as writer:
        for name, panoptic_map in maps.items():
            writer.add(name, name, panoptic_map)
    return json.loads(path.read_text())


def test_every_segment_has_its_id_category_area_and_box(tmp_path):
    content = write(tmp_path / "val.json", {"a": MAP}, category_ids=[90, 17], has_crowds=True)
    [annotation] = content["annotations"]
    assert annotation["segments_info"] == [
        {"id": 1000, "category_id": 90, "iscrowd": 0, "area": 3, "bbox": [0, 0, 3, 3]},
        {"id": 2000, "category_id": 17, "iscrowd": 1, "area": 2, "bbox": [3, 1, 1, 2]},
        {"id": 2001, "category_id": 17, "iscrowd": 0, "area": 3, "bbox": [1, 0, 2, 2]},
        {"id": 2002, "category_id": 17, "iscrowd": 0, "area": 3, "bbox": [0, 1, 2, 2]},
    ]
    np.testing.assert_array_equal(read_ids(tmp_path / "val" / "a.png"), np.where(MAP == 255_000, 0, MAP + 1000))
    assert content["images"] == [{"id": "a", "file_name": "a.png", "height": 3, "width": 4}]
    assert content["categories"] == [
        {"id": 90, "name": "wall", "isthing": 0, "color": [0, 0, 0]},
        {"id": 17, "name": "cat", "isthing": 1, "color": [128, 0, 0]},
    ]


def test_in_predictions_instance_0_of_a_thing_is_a_segment_like_any_other(tmp_path):
    [annotation] = write(tmp_path / "val.json", {"a": MAP})["annotations"]
    assert [segment["iscrowd"] for segment in annotation["segments_info"]] == [0, 0, 0, 0]


def test_what_is_written_is_read_back(tmp_path):
    generator = np.random.default_rng(0)
    maps = {f"city/{seed}": generator.choice(np.unique(MAP), [20, 30]) for seed in range(3)}
    write(tmp_path / "val.json", maps, category_ids=[90, 17], has_crowds=True)
    annotations = read_annotations(tmp_path)
    for name, panoptic_map in maps.items():
        np.testing.assert_array_equal(panoptic_ids(annotations.images[name], annotations.info), panoptic_map)


def test_boxes_and_areas_are_those_of_a_search_segment_by_segment():
    segment_ids = np.kron(np.random.default_rng(1).integers(0, 9, [7, 6]), np.ones([3, 2], int))
    expected = []
    for segment_id in range(1, 9):
        rows, columns = np.nonzero(segment_ids == segment_id)
        box = [columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1]
        expected.append((segment_id, len(rows), [int(side) for side in box]))
    assert segment_geometry(segment_ids) == expected


def test_void_alone_makes_an_image_without_segments(tmp_path):
    [annotation] = write(tmp_path / "val.json", {"a": np.full([2, 2], 255_000)})["annotations"]
    assert annotation["segments_info"] == [] and not read_ids(tmp_path / "val" / "a.png").any()


def test_image_ids_of_numpy_become_whole_numbers(tmp_path):
    with PanopticWriter(tmp_path / "val.json", INFO) as writer:
        writer.add(np.int64(7), "a", MAP)
        with pytest.raises(InputError, match="image 7 is added twice"):
            writer.add(7, "b", MAP)
    assert json.loads((tmp_path / "val.json").read_text())["annotations"][0]["image_id"] == 7


@pytest.mark.parametrize("wrong", [2000, -1])
def test_an_id_of_no_class_is_refused_and_nothing_is_written(tmp_path, wrong):
    with pytest.raises(InputError, match=f"frame: the panoptic id {wrong} belongs to none of the 2 classes; is an"):
        write(tmp_path / "val.json", {"frame": MAP * 0 + wrong})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "wrong, message",
    [
        (MAP + 0.7, "frame: a map of float64; panoptic ids are integers"),
        (MAP > 0, "frame: a map of bool; panoptic ids are integers"),
        (np.zeros([0, 3], int), r"frame: a map of shape \[0, 3\]; it must be \[height, width\] and have pixels"),
        ([], r"frame: a map of shape \[0\]"),
        (MAP[..., None], r"frame: a map of shape \[3, 4, 1\]"),
    ],
)
def test_maps_of_other_numbers_or_without_pixels_are_refused_and_nothing_is_written(tmp_path, wrong, message):
    with pytest.raises(InputError, match=message):
        write(tmp_path / "val.json", {"frame": wrong})
    assert list(tmp_path.iterdir()) == []


def test_maps_of_any_integers_are_written_alike(tmp_path):
    write(tmp_path / "val.json", {str(kind): MAP.astype(kind) for kind in ("uint32", "uint64", "int64")})
    for path in (tmp_path / "val").iterdir():
        np.testing.assert_array_equal(read_ids(path), np.where(MAP == 255_000, 0, MAP + 1000))


def test_a_second_image_of_a_name_is_refused_and_the_first_stays(tmp_path):
    with PanopticWriter(tmp_path / "val.json", INFO) as writer:
        writer.add(1, "a", MAP)
        with pytest.raises(
            InputError, match=r"val\.json: image 2 has the name 'a' of another image; give every PNG its own"
        ):
            writer.add(2, "a", MAP * 0)
        writer.add(2, "b", MAP * 0)
    images = read_annotations(tmp_path / "val.json").images
    assert {image_id: len(image.segments) for image_id, image in images.items()} == {1: 4, 2: 1}
    np.testing.assert_array_equal(read_ids(images[1].path), np.where(MAP == 255_000, 0, MAP + 1000))


@pytest.mark.parametrize("name", ["{folder}/a", "../a", "b/../../a", "..", "", ".", "b//a", "./a", "b/", "a\0b"])
def test_names_outside_the_folder_or_not_in_their_shortest_form_are_refused(tmp_path, name):
    writer = PanopticWriter(tmp_path / "deep" / "val.json", INFO)
    with pytest.raises(InputError, match="image 1 has the name .*; give a relative path in its shortest form"):
        writer.add(1, name.format(folder=tmp_path), MAP)
    assert list(tmp_path.iterdir()) == []


def test_category_ids_may_be_an_array_and_each_stands_once(tmp_path):
    content = write(tmp_path / "val.json", {"a": MAP}, category_ids=np.array([90, 17]))
    assert [category["id"] for category in content["categories"]] == [90, 17]
    for wrong, message in (([7, 7], "two classes have the category id 7"), ([], "0 category ids for 2 classes")):
        with pytest.raises(ValueError, match=message):
            PanopticWriter(tmp_path / "val.json", INFO, category_ids=wrong)


def test_after_an_error_there_is_no_json_file(tmp_path):
    with pytest.raises(KeyError), PanopticWriter(tmp_path / "val.json", INFO) as writer:
        writer.add(1, "a", MAP)
        raise KeyError
    assert [path.name for path in tmp_path.rglob("*")] == ["val", "a.png"]


def test_ids_that_24_bits_do_not_hold_are_refused_at_the_start(tmp_path):
    assert PanopticWriter(tmp_path / "val.json", dataclasses.replace(INFO, label_divisor=2**24 // 3))
    with pytest.raises(InputError, match="take a smaller divisor"):
        PanopticWriter(tmp_path / "val.json", dataclasses.replace(INFO, label_divisor=2**24 // 3 + 1))


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"the name must end in \.json"):
        PanopticWriter(tmp_path / "val", INFO)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "val").write_text("a file where the folder should be")
    with pytest.raises(RunError, match=r"val/a\.png: cannot be written"):
        write(tmp_path / "val.json", {"a": MAP})
    assert [path.name for path in tmp_path.iterdir()] == ["val"]
