"""DatasetInfo: what it refuses, how it is stored, and what its hash depends on."""

import dataclasses
import json

import numpy as np
import pytest

from tfseg.data.datasets import camvid, cityscapes, voc2012
from tfseg.data.scenes import streets
from tfseg.labels import BACKGROUND_COLOR, DatasetInfo, default_colors, voc_colors

INFO = DatasetInfo("toy", ("sky", "road", "car"), default_colors(3), thing_ids=frozenset({2}))
FULL = dataclasses.replace(INFO, categories=("nature", "flat", "flat"), average_instance_sizes={"car": 12.5})


@pytest.mark.parametrize("info", [INFO, FULL, streets.INFO, cityscapes.INFO])
def test_everything_is_stored(info):
    assert DatasetInfo.from_dict(json.loads(json.dumps(info.to_dict()))) == info


def test_what_was_stored_before_there_were_categories_still_loads():
    values = INFO.to_dict()
    del values["categories"], values["average_instance_sizes"]
    assert DatasetInfo.from_dict(values) == INFO


def test_categories_and_sizes_do_not_change_the_hash():
    assert FULL.label_hash() == INFO.label_hash()


@pytest.mark.parametrize(
    "module,expected",
    [
        (camvid, "2386c4eb23385a5e"),
        (cityscapes, "6b045b4a8a3c1592"),
        (streets, "2da01c7148469d8d"),
        (voc2012, "3216d70695eb8782"),
    ],
)
def test_hashes_are_those_of_the_records_and_models_that_exist(module, expected):
    assert module.INFO.label_hash() == expected


def test_categories_come_once_in_the_order_of_classes_and_those_of_things_are_known():
    info = DatasetInfo(
        "toy",
        ("bus", "road", "car", "bin"),
        default_colors(4),
        thing_ids=frozenset({0, 2, 3}),
        categories=("vehicle", "rest", "vehicle", "rest"),
    )
    assert info.category_names == ("vehicle", "rest")
    assert info.category_ids == (0, 1, 0, 1)
    assert info.thing_categories == ("vehicle",)
    assert INFO.category_names == INFO.category_ids == INFO.thing_categories == ()


@pytest.mark.parametrize(
    "field,value,message",
    [
        ("categories", ("nature", "flat"), "toy: 3 classes but categories of 2"),
        ("colors", ((0, 0, 0), (1, 2, 3)), "toy: 3 class names but 2 colours"),
        ("colors", ((0, 0, 0), (1,), (1, 2, 3)), r"toy: colour \(1,\) of class 'road' is not three whole numbers"),
        ("colors", ((0, 0, 0), (1, 2, 3), (1, 2, 3, 4)), r"toy: colour \(1, 2, 3, 4\) of class 'car' is not three"),
        ("colors", ((0, 0, 256), (1, 2, 3), (0, 0, 0)), "of class 'sky' is not three whole numbers from 0 to 255"),
        ("colors", ((0, -1, 0), (1, 2, 3), (0, 0, 0)), "of class 'sky' is not three whole numbers from 0 to 255"),
        ("colors", ((0, 0, 0), (1, 2, 3), (0.5, 0, 0)), "of class 'car' is not three whole numbers from 0 to 255"),
        ("colors", ((0, 0, 0), "red", (0, 0, 0)), "toy: colour 'red' of class 'road' is not three whole numbers"),
        ("colors", ((0, 0, 0), 7, (0, 0, 0)), "toy: colour 7 of class 'road' is not three whole numbers"),
        ("average_instance_sizes", {"road": 3.0}, r"toy: average instance sizes are not those of the things \['car'\]"),
    ],
)
def test_incomplete_facts_are_refused(field, value, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(INFO, **{field: value})


@pytest.mark.parametrize(
    "name", ["background", "_background_", "Background", "BG", "bg", "unlabeled", "Un-labelled", "void", "none"]
)
def test_a_background_is_known_by_its_name(name):
    info = DatasetInfo("toy", ("person", name), default_colors(2))
    assert info.background_ids == {1}


@pytest.mark.parametrize("name", ["person", "clutter/background", "bgr", "", "背景", "other", "background2"])
def test_other_classes_are_no_background(name):
    assert DatasetInfo("toy", (name,), default_colors(1)).background_ids == frozenset()


def test_classes_without_colours_get_bright_ones_and_the_background_grey():
    person, background, car = default_colors(3, ("person", "background", "car"))
    assert background == BACKGROUND_COLOR
    assert (person, car) == default_colors(2)
    assert min(max(color) for color in default_colors(255)) > 100


def test_the_colour_map_of_pascal_voc_is_the_published_one():
    assert voc_colors(256)[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert voc_colors(256)[255] == (224, 224, 192)
    assert voc2012.INFO.colors == voc_colors(21)


@pytest.mark.parametrize(
    "module,first",
    [
        (camvid, (128, 128, 128)),
        (cityscapes, (128, 64, 128)),
        (streets, (128, 64, 128)),
        (voc2012, (0, 0, 0)),
    ],
)
def test_colours_that_a_data_set_gives_stay(module, first):
    assert module.INFO.colors[0] == first
    assert len(set(module.INFO.colors)) == module.INFO.num_classes
    assert np.shape(module.INFO.colors) == (module.INFO.num_classes, 3)
