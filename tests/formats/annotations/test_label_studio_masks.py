"""Label Studio's brushes as PNGs, named as its converter names them, and the JSON that says whose they are."""

import json

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.formats.annotations import label_studio_masks

LEFT, RIGHT = np.zeros([2, 6, 8], np.uint8)
LEFT[:, :3], RIGHT[:, 2:] = 255, 128  # they overlap in a column; a soft brush is less than 255


@pytest.fixture
def mask(tmp_path, save):
    """mask("tag-car-0", pixels) writes a mask of task 40."""

    def write(region, pixels=LEFT, annotation=70):
        return save(tmp_path / f"task-40-annotation-{annotation}-by-me@host.org-{region}.png", pixels)

    return write


@pytest.fixture
def tasks(tmp_path):
    """tasks([(tag, classes), ...], more tasks) writes JSON; tasks.min(...) JSON-MIN."""

    def write(*regions, more=()):
        results = [{"from_name": tag, "type": "brushlabels", "value": {"brushlabels": names}} for tag, names in regions]
        task = {"id": 40, "data": {"image": "/data/upload/1/1a2b3c4d-a.jpg"}, "annotations": [{"result": results}]}
        (tmp_path / "project.json").write_text(json.dumps([task, *more]))

    def write_min(*regions):
        task = {"id": 40, "image": "/data/upload/1/1a2b3c4d-a.jpg", "annotator": 1, "annotation_id": 70}
        for tag, names in regions:
            task.setdefault(tag, []).append({"brushlabels": names})
        (tmp_path / "result.json").write_text(json.dumps([task]))

    write.min = write_min
    return write


@pytest.fixture
def read(files_in):
    """read() -> the AnnotationSet of all masks, beside a.jpg."""
    return lambda: label_studio_masks.read(files_in("task-*.png"))


@pytest.mark.parametrize("form", ["JSON", "JSON-MIN"])
def test_a_name_tells_task_and_class_and_the_json_photograph_and_order(mask, tasks, read, drawn, form):
    mask("tag-car-0", LEFT)
    mask("tag-dog-0", RIGHT)
    write = tasks if form == "JSON" else tasks.min
    write(("tag", ["car"]), ("tag", ["dog"]))
    (photograph,) = read().photographs
    assert (photograph.file_name, photograph.size) == ("/data/upload/1/a.jpg", (6, 8))
    assert drawn(photograph)[0] == ["11222222"] * 6
    write(("tag", ["dog"]), ("tag", ["car"]))
    assert drawn(read().photographs[0])[0] == ["11122222"] * 6


def test_tags_and_classes_may_have_hyphens_and_slashes(mask, tasks, read):
    mask("my-tag-T-Rex-old-0")
    tasks(("my-tag", ["T-Rex/old"]))
    assert read().class_names == ["T-Rex/old"]


def test_without_results_in_the_json_the_class_follows_the_tag(mask, tasks, read):
    mask("tag-fire-truck-0")
    tasks()
    assert read().class_names == ["fire-truck"]


def test_regions_of_one_class_are_instances(mask, tasks, read, drawn):
    mask("tag-car-0", LEFT)
    mask("tag-car-1", RIGHT)
    tasks(("tag", ["car"]), ("tag", ["car"]))
    assert drawn(read().photographs[0])[1] == ["11222222"] * 6


def test_a_task_without_masks_is_a_photograph_without_objects(mask, tasks, read):
    mask("tag-car-0")
    tasks(("tag", ["car"]), more=[{"id": 41, "data": {"image": "b.jpg"}, "annotations": []}])
    assert [len(each.objects) for each in read().photographs] == [1, 0]


def test_masks_alone_are_one_line_that_says_what_to_do(mask, read):
    mask("tag-car-0")
    with pytest.raises(InputError, match="do not say which photograph they are of; export the project as JSON, too"):
        read()


def test_other_shapes_in_the_json_are_a_warning(mask, tasks, read):
    mask("tag-car-0")
    tasks(("tag", ["car"]), more=[{"id": 41, "image": "b.jpg", "label": [{"polygonlabels": ["car"]}]}])
    assert read().notes == ["warning: project.json has shapes that are in no mask; export JSON to read them"]


def test_bad_masks_make_their_photograph_a_bad_file(mask, tasks, read, tmp_path, save):
    mask("tag-car-0")
    mask("tag-dog-0", annotation=71)
    tasks(("tag", ["car"]))
    assert "2 annotations of one task, 70, 71; delete the masks of all but one" in read().problems[0]
    (tmp_path / "task-40-annotation-71-by-me@host.org-tag-dog-0.png").unlink()
    mask("tag-dog-0", LEFT[:3])
    assert "masks of one photograph in several sizes" in read().problems[0]
    mask("tag-dog-0", np.zeros([6, 8, 3], np.uint8))
    assert "tag-dog-0.png: a mask with colours" in read().problems[0]
    mask("tag-dog-0")
    tasks(("tag", ["car", "dog"]))
    mask("tag-car-dog-0")
    assert "a region with the classes car, dog; give it one" in read().problems[0]
    save(tmp_path / "task-9-annotation-1-by-1-tag-car-0.png", LEFT)
    assert any("project.json has no task 9; export both again" in problem for problem in read().problems)


@pytest.mark.parametrize("content", ["[1, 2]", "{}", '[{"id": 40}]', '[{"id": 40, "annotations": 3, "tag": [1]}]'])
def test_json_of_another_form_is_refused(mask, read, tmp_path, content):
    mask("tag-car-0")
    (tmp_path / "project.json").write_text(content)
    try:
        problems = read().problems
    except InputError as error:
        problems = [str(error)]
    assert len(problems) == 1
