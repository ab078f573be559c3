"""Text files of YOLO's segmentation, written by hand in the documented form."""

import dataclasses

import pytest

from tfseg.errors import InputError
from tfseg.formats.annotations import yolo

SQUARE = "0.125 0.166667 0.5 0.166667 0.5 0.666667 0.125 0.666667"  # 1 to 4 of 8, 1 to 4 of 6
RECTANGLE = "0.25 0.333333 1 0.333333 1 0.833333 0.25 0.833333"


@pytest.fixture
def write(tmp_path):
    """write(path, text) writes a file."""

    def save(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return save


@pytest.fixture
def read(files_in, tmp_path):
    """read() -> the AnnotationSet of all files that are recognised."""

    def read_all():
        files = files_in("*.txt", "*.yaml")
        files.paths[:] = [path for path in files.paths if yolo.is_one(path)]
        return yolo.read(files)

    return read_all


def classes_of(found):
    return {
        photograph.picture.name: [each.class_name for each in photograph.objects] for photograph in found.photographs
    }


def test_lines_are_objects_and_later_ones_lie_above(write, read, picture, drawn):
    picture("images/a.png")
    write("data.yaml", "names: [dog, car]\n")
    write("labels/a.txt", f"0 {SQUARE}\n1 {RECTANGLE}\n")
    found = read()
    assert found.class_names == ["dog", "car"]
    assert drawn(found.photographs[0], (6, 8))[0] == [
        "........",
        ".222....",
        ".2111111",
        ".2111111",
        "..111111",
        "........",
    ]


@pytest.mark.parametrize(
    "names",
    ["names: [dog, car]", "names:\n  0: dog\n  1: car", "nc: 2\nnames:\n- dog\n- car", "names: {1: car, 0: dog}"],
)
def test_names_are_a_list_or_numbers_with_names(write, read, picture, names):
    picture("images/a.png")
    write("data.yaml", names)
    write("labels/a.txt", f"1 {SQUARE}\n")
    found = read()
    assert found.class_names == ["dog", "car"] and classes_of(found) == {"a.png": ["car"]}


def test_numbers_may_have_gaps(write, read, picture):
    picture("images/a.png")
    write("data.yaml", "names: {7: car, 2: dog}")
    write("labels/a.txt", f"7 {SQUARE}\n")
    assert read().class_names == ["dog", "car"] and classes_of(read()) == {"a.png": ["car"]}


def test_without_data_yaml_a_text_file_names_the_classes(write, read, picture):
    picture("images/a.png")
    write("labels/a.txt", f"1 {SQUARE}\n")
    with pytest.raises(InputError, match=r"without names of their classes; add data\.yaml or classes\.txt"):
        read()
    write("classes.txt", "dog\ncar\n")
    assert classes_of(read()) == {"a.png": ["car"]}


def test_two_exports_may_number_their_classes_differently(write, read, picture):
    for split, names, number in (("train", "dog\ncar\n", 1), ("val", "car\ncat\n", 0)):
        picture(f"{split}/images/{split}.png")
        write(f"{split}/labels/{split}.txt", f"{number} {SQUARE}\n")
        write(f"{split}/classes.txt", names)
    found = read()
    assert found.class_names == ["dog", "car", "cat"]
    assert classes_of(found) == {"train.png": ["car"], "val.png": ["car"]}


def test_names_may_lie_among_the_text_files(write, read, picture):
    picture("images/a.png")
    write("labels/a.txt", f"1 {SQUARE}\n")
    write("labels/classes.txt", "dog\ncar\n")
    assert classes_of(read()) == {"a.png": ["car"]}


@pytest.mark.parametrize(
    "image, label",
    [
        ("images/train/a.png", "labels/train/a.txt"),
        ("train/images/a.png", "train/labels/a.txt"),
        ("obj_train_data/a.png", "obj_train_data/a.txt"),
        ("images/images/a.b.png", "images/labels/a.b.txt"),
        ("images/a.png", "images/a.txt"),
    ],
)
def test_a_text_file_belongs_to_the_picture_of_its_name(write, read, picture, image, label):
    path = picture(image)
    write("data.yaml", "names: [dog]\n")
    write(label, f"0 {SQUARE}\n")
    (photograph,) = read().photographs
    assert photograph.picture == path and len(photograph.objects) == 1


def test_without_a_text_file_or_with_an_empty_one_there_is_no_object(write, read, picture):
    picture("images/a.png")
    picture("images/b.png")
    picture("images/c.png")
    picture("other/d.png")
    write("data.yaml", "names: [dog]\n")
    write("labels/a.txt", f"0 {SQUARE}\n")
    write("labels/b.txt", "\n")
    assert classes_of(read()) == {"a.png": ["dog"], "b.png": [], "c.png": []}


@pytest.mark.parametrize(
    "entries",
    [
        "train: one/images\nval: two/images",
        "path: /home/me/set\ntrain: ../one/images\nval: [../two/images]",
        "train: /home/me/set/one/images\nval: C:\\set\\two\\images",
        "train: train.txt\nval: val.txt",
    ],
)
def test_data_yaml_may_say_which_folder_is_which_split(write, read, picture, entries):
    for name, folder in (("a", "one"), ("b", "two")):
        picture(f"{folder}/images/{name}.png")
        write(f"{folder}/labels/{name}.txt", f"0 {SQUARE}\n")
    write("train.txt", "./one/images/a.png\n")
    write("val.txt", "./two/images/b.png\n")
    write("data.yaml", f"names: [dog]\n{entries}\n")
    assert {each.picture.name: each.split for each in read().photographs} == {"a.png": "train", "b.png": "val"}


def test_one_folder_for_two_splits_is_not_followed_and_said(write, read, picture):
    picture("images/a.png")
    write("labels/a.txt", f"0 {SQUARE}\n")
    write("data.yaml", "names: [dog]\ntrain: images\nval: images\n")
    found = read()
    assert found.photographs[0].split is None
    assert found.notes == ["note: data.yaml: train and val share pictures; not followed"]


@pytest.mark.parametrize(
    "line, reason",
    [
        ("0 0.1 0.1 0.5 0.5", "a box, not an outline"),
        ("0 0.1 0.1", "a polygon has 1 points"),
        ("0", "a polygon has 0 points"),
        ("0 0.1 0.1 0.5 0.1 0.5 0.5 0.3", "7 coordinates, an odd number"),
        (f"2 {SQUARE}", "class 2, and the classes are 0, 1"),
        (f"-1 {SQUARE}", "begins with -1"),
        (f"dog {SQUARE}", "begins with dog"),
        (f"0 {SQUARE} x y", "are not all numbers"),
        (f"0 {SQUARE} nan 0.5", "a coordinate is not a finite number"),
        ("0 10 10 200 10 200 150", "must be shares of width and height, 0 to 1, and one is 200"),
    ],
)
def test_a_bad_line_makes_its_picture_a_bad_file_and_no_other(write, read, picture, line, reason):
    picture("images/a.png")
    picture("images/b.png")
    write("data.yaml", "names: [dog, car]\n")
    write("labels/a.txt", f"0 {SQUARE}\n{line}\n")
    write("labels/b.txt", f"0 {SQUARE}\n")
    found = read()
    with pytest.raises(InputError, match=rf"labels/a\.txt, line 2: {reason}|labels/a\.txt, line 2: .* {reason}"):
        raise InputError(*found.problems)
    assert classes_of(found) == {"b.png": ["dog"]}


def test_a_text_file_without_a_picture_is_a_bad_file(write, read, picture):
    picture("images/a.png")
    write("data.yaml", "names: [dog]\n")
    write("labels/gone.txt", f"0 {SQUARE}\n")
    (problem,) = read().problems
    assert problem.endswith("labels/gone.txt: no picture of this name; delete the file")


@pytest.mark.parametrize(
    "text, reason",
    [
        ("names: [dog", "damaged YAML"),
        ("names: []", "names must be a list of classes"),
        ("names: dog", "names must be a list of classes"),
        ("names: {a: dog}", "names must be a list of classes"),
        ("names: [dog, dog]", "two classes have the name dog"),
        ("names: !!python/object/apply:os.system [id]", "damaged YAML"),
    ],
)
def test_a_bad_list_of_classes_is_one_line_that_names_the_file(write, read, picture, text, reason):
    picture("images/a.png")
    write("labels/a.txt", f"0 {SQUARE}\n")
    write("data.yaml", text)
    with pytest.raises(InputError, match=rf"data\.yaml: {reason}") as caught:
        read()
    assert "\n" not in str(caught.value)


def test_other_text_and_yaml_is_not_taken_for_labels(write):
    assert not yolo.is_one(write("readme.txt", "Photographs of 2024\n"))
    assert not yolo.is_one(write("train.txt", "images/a.png\n"))
    assert not yolo.is_one(write("empty.txt", ""))
    assert not yolo.is_one(write("docker.yaml", "services:\n  names: 1\n"))
    assert yolo.is_one(write("a.txt", f"0 {SQUARE}"))
    assert yolo.is_one(write("b.txt", "0 0.5 0.5 0.2 0.2\n"))  # boxes: recognised, to be refused by name


def test_a_folder_of_pictures_above_the_export_is_not_its_own(write, picture, files_in, tmp_path):
    paths = [picture("images/export/a.png"), picture("images/export/b.png")]
    write("images/export/data.yaml", "names: [dog]\n")
    write("images/export/a.txt", f"0 {SQUARE}\n")
    files = dataclasses.replace(files_in("a.txt", "*.yaml"), root=tmp_path / "images" / "export")
    assert [each.picture for each in yolo.read(files).photographs] == paths
