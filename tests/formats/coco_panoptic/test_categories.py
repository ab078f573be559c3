"""Categories: those of predictions mean what the labels' mean; there may be more than a label map has room for."""

import json

import numpy as np
import pytest
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats.coco_panoptic.annotations import panoptic_ids, read_annotations
from tfseg.formats.coco_panoptic.segment_ids import encode_ids
from tfseg.metrics.panoptic_folders import score_folders

TREE, PERSON = {"id": 184, "name": "tree", "isthing": 0}, {"id": 1, "name": "person", "isthing": 1}
IDS = np.repeat([[7, 7, 9]], 4, axis=0)


def write(path, **content):
    path.parent.mkdir(exist_ok=True)
    segments = [{"id": 7, "category_id": 1}, {"id": 9, "category_id": 184}]
    annotation = {"image_id": 1, "file_name": "a.png", "segments_info": segments}
    path.write_text(json.dumps({"annotations": [annotation]} | content))
    Image.fromarray(encode_ids(IDS)).save(path.parent / "a.png")
    return path


@pytest.fixture
def labels(tmp_path):
    return read_annotations(write(tmp_path / "label" / "gt.json", categories=[TREE, PERSON]))


def predicted(tmp_path, labels, *categories):
    return read_annotations(write(tmp_path / "prediction" / "pred.json", categories=list(categories)), labels)


AGREEING = {
    "the same": [TREE, PERSON],
    "another order": [PERSON, TREE],
    "some of them": [PERSON],
    "none": [],
    "true for 1": [PERSON | {"isthing": True}],
    "names only": [{"id": 1, "name": "person"}],
    "things only": [{"id": 1, "isthing": 1}],
    "other colours and fields": [PERSON | {"color": [1, 2, 3], "supercategory": "x"}],
    "one more": [TREE, PERSON, {"id": 2, "name": "sky", "isthing": 0}],
}


@pytest.mark.parametrize("categories", AGREEING.values(), ids=AGREEING)
def test_categories_that_say_what_the_labels_say_are_accepted(tmp_path, labels, categories):
    assert predicted(tmp_path, labels, *categories).info is labels.info


CONTRADICTIONS = {
    "another name": ([TREE, PERSON | {"name": "car"}], "category 1 is 'car', but 'person' in "),
    "swapped": ([PERSON | {"id": 184}, TREE | {"id": 1}], "category 184 is 'person', but 'tree' in "),
    "another case": ([PERSON | {"name": "Person"}], "category 1 is 'Person', but 'person' in "),
    "stuff for a thing": ([TREE, PERSON | {"isthing": 0}], "category 1, 'person', has isthing 0, but 1 in "),
    "a thing for stuff": ([TREE | {"isthing": True}], "category 184, 'tree', has isthing 1, but 0 in "),
    "other ids": ([TREE | {"id": 0}, PERSON | {"id": 5}], "category 0 is 'tree', which has the id 184 in "),
    "the first of two": ([TREE, PERSON | {"name": "b"}, PERSON | {"name": "c"}], "category 1 is 'b', but 'person' in "),
}


@pytest.mark.parametrize("categories, message", CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_the_first_contradiction_is_an_error_that_names_both_files(tmp_path, labels, categories, message):
    with pytest.raises(InputError) as error:
        predicted(tmp_path, labels, *categories)
    assert str(error.value).startswith(f"{tmp_path}/prediction/pred.json: {message}{tmp_path}/label/gt.json; write the")


WRONG = {
    "an object": ({}, r"the categories is \{\}; it must be a list"),
    "null": (None, "the categories is None; it must be a list"),
    "text": ([TREE, "person"], r"categories\[1\] is 'person'; it must be an object"),
    "no id": ([{"name": "tree"}], r"categories\[0\]: no id; it must be a whole number"),
    "a fraction for an id": ([TREE | {"id": 184.0}], r"categories\[0\]: the id is 184\.0; it must be"),
    "a number for a name": ([TREE | {"name": 5}], r"categories\[0\]: the name is 5; it must be text on one line"),
    "two for a thing": ([TREE | {"isthing": 2}], r"categories\[0\]: the isthing is 2; it must be 0, 1"),
}


@pytest.mark.parametrize("categories, message", WRONG.values(), ids=WRONG)
def test_values_of_another_type_are_named(tmp_path, labels, categories, message):
    path = write(tmp_path / "prediction" / "pred.json", categories=categories)
    with pytest.raises(InputError, match=rf"pred\.json: {message}"):
        read_annotations(path, labels)


@pytest.mark.parametrize("name", ["a\nb", "\x1b[2J", "a\u2028b", "\ud800", ""])
def test_a_name_that_is_no_text_on_one_line_is_refused(tmp_path, name):
    path = write(tmp_path / "gt.json", categories=[TREE | {"name": name}, PERSON])
    with pytest.raises(InputError, match=r"categories\[0\]: the name is .*; it must be text on one line") as error:
        read_annotations(path)
    assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["traffic light", "道路　右", "naïve|a", "x" * 5000])
def test_names_in_any_script_are_accepted(tmp_path, name):
    path = write(tmp_path / "gt.json", categories=[TREE | {"name": name}, PERSON])
    assert read_annotations(path).info.class_names[0] == name


def numbered(count):
    return [PERSON, TREE] + [{"id": 1000 + i, "name": f"x{i}", "isthing": i % 2} for i in range(count - 2)]


@pytest.mark.parametrize("count", [256, 302, 1200])
def test_more_classes_than_a_label_map_has_room_for_are_scored(tmp_path, count):
    labels = read_annotations(write(tmp_path / "label" / "gt.json", categories=numbered(count)))
    assert labels.info.num_classes == count
    predictions = predicted(tmp_path, labels, *numbered(count))
    quality = score_folders(labels, predictions, num_workers=1)["panoptic_quality"]
    assert quality["all"] == {"pq": 1, "sq": 1, "rq": 1, "num_classes": 2}
    assert quality["classes"]["x253"]["pq"] is None


def test_more_classes_than_a_label_map_has_room_for_are_not_made_into_one(tmp_path):
    labels = read_annotations(write(tmp_path / "gt.json", categories=numbered(256)))
    with pytest.raises(InputError, match=r"gt\.json: 256 categories; label maps have 255 at most"):
        panoptic_ids(labels.images[1], labels.info)


@pytest.mark.slow
def test_very_many_categories_are_read(tmp_path):
    # Comparing each with each would take many minutes.
    path = write(tmp_path / "gt.json", categories=numbered(100_000))
    assert read_annotations(path).info.num_classes == 100_000
