"""Exports of masks: CVAT's with labelmap.txt, Roboflow's with _classes.csv, both written by hand in their layout."""

import numpy as np
import pytest
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats.annotations import label_maps, mask_exports
from tfseg.formats.annotations.photograph import LabelMaps

LABELMAP = "# label:color_rgb:parts:actions\nbackground:0,0,0::\ndog:128,0,0::\ncar:0,128,0:wheel,door:\n"
COLORS = np.array([[0, 0, 0], [128, 0, 0], [0, 128, 0], [224, 224, 192]], np.uint8)
CLASSES = [[0, 1, 1, 2], [3, 1, 0, 2]]
OBJECTS = [[0, 1, 2, 1], [3, 1, 0, 1]]  # two dogs, and a car in the colour of a dog


@pytest.fixture
def write(tmp_path):
    def save(name, text):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)

    return save


@pytest.fixture
def cvat(tmp_path, write, save, picture):
    """cvat(stems, labelmap) writes an export with masks of 2x4 pixels."""

    def export(*stems, labelmap=LABELMAP, with_objects=True):
        write("labelmap.txt", labelmap)
        for stem in stems:
            picture(f"JPEGImages/{stem}.jpg", (2, 4))
            save(tmp_path / "SegmentationClass" / f"{stem}.png", COLORS[CLASSES])
            if with_objects:
                save(tmp_path / "SegmentationObject" / f"{stem}.png", COLORS[OBJECTS])

    return export


@pytest.fixture
def read(files_in):
    return lambda: mask_exports.read_labelmaps(files_in("labelmap.txt"))


@pytest.fixture
def read_values(files_in):
    return lambda: mask_exports.read_value_tables(files_in("_classes.csv"))


IDS = {"background": 0, "dog": 1, "car": 2}


def test_colours_are_classes_and_objects_are_numbered_in_every_class(cvat, read, tmp_path):
    cvat("a")
    found = read()
    assert found.class_names == ["background", "dog", "car"] and found.stuff == set()
    (photograph,) = found.photographs
    assert photograph.picture == tmp_path / "JPEGImages" / "a.jpg" and not photograph.is_empty
    classes, instances = label_maps.read_maps(photograph.maps, IDS, {1, 2}, 100)
    assert classes.tolist() == [[0, 1, 1, 2], [255, 1, 0, 2]]
    assert instances.tolist() == [[0, 2, 1, 1], [0, 2, 0, 1]]  # in the order of the colours


def test_masks_with_a_palette_are_read_by_their_colours(cvat, read, tmp_path):
    cvat("a")
    mask = Image.fromarray(np.array([[5, 9, 9, 7], [5, 9, 5, 7]], np.uint8), "P")
    palette = np.zeros([256, 3], np.uint8)
    palette[[9, 7]] = COLORS[1], COLORS[2]
    mask.putpalette(palette.ravel().tolist())
    mask.save(tmp_path / "SegmentationClass" / "a.png")
    classes, _ = label_maps.read_maps(read().photographs[0].maps, IDS, {1, 2}, 100)
    assert classes.tolist() == [[0, 1, 1, 2], [0, 1, 0, 2]]


def test_classes_without_colours_have_those_of_pascal_voc(cvat, read):
    cvat("a", labelmap="# label:color_rgb:parts:actions\nbackground:::\ndog:::\ncar::wheel:\n")
    assert read().photographs[0].maps.names == {(0, 0, 0): "background", (128, 0, 0): "dog", (0, 128, 0): "car"}


def test_without_objects_no_class_has_instances(cvat, read):
    cvat("a", with_objects=False)
    found = read()
    assert found.stuff == {"background", "dog", "car"} and found.photographs[0].maps.objects_path is None


def test_a_mask_without_its_objects_among_others_with_them_is_a_bad_file(cvat, read, tmp_path):
    cvat("a", "b")
    (tmp_path / "SegmentationObject" / "b.png").unlink()
    found = read()
    (problem,) = found.problems
    assert "SegmentationObject/b.png: no such file" in problem and len(found.photographs) == 1


def test_lists_of_image_sets_are_splits(cvat, read, write):
    cvat("a", "b", "c")
    write("ImageSets/Segmentation/train.txt", "a\n")
    write("ImageSets/Segmentation/Validation.txt", "b\n")
    write("ImageSets/Segmentation/default.txt", "a\nb\nc\n")
    assert [photograph.split for photograph in read().photographs] == ["train", "Validation", None]


def test_a_mask_without_its_photograph_or_with_two_is_a_bad_file(cvat, read, picture, tmp_path):
    cvat("a", "b", "c")
    (tmp_path / "JPEGImages" / "a.jpg").unlink()
    picture("more/b.jpg")
    found = read()
    assert "SegmentationClass/a.png: no photograph of this name" in found.problems[0]
    assert "SegmentationClass/b.png: may belong to" in found.problems[1]
    assert [photograph.file_name for photograph in found.photographs] == ["c.jpg"]


@pytest.mark.parametrize(
    "labelmap, reason",
    [
        ("dog:128,0,0::\ncar:128,0,0::\n", r"line 2: colour \(128, 0, 0\) occurs twice"),
        ("dog:128,0,0::\ndog:0,128,0::\n", "two classes have the name dog"),
        ("dog:128,0\n", "line 1: 'dog:128,0' is not name:red,green,blue:parts:actions"),
        ("dog:128,0,0::\ncar:::\n", "line 2: .* is not name:red,green,blue:parts:actions"),
        ("dog:300,0,0::\n", "line 1: .* is not name:red,green,blue:parts:actions"),
        ("# nothing\n", "no classes"),
    ],
)
def test_a_bad_labelmap_is_one_line_that_names_it(cvat, read, labelmap, reason):
    cvat("a", labelmap=labelmap)
    with pytest.raises(InputError, match=rf"labelmap\.txt(: |, ){reason}"):
        read()


def test_a_colour_without_a_class_and_objects_of_another_size_name_the_mask(cvat, read, save, tmp_path):
    cvat("a", labelmap="background:0,0,0::\ndog:128,0,0::\n")
    maps = read().photographs[0].maps
    with pytest.raises(InputError, match=r"SegmentationClass/a\.png: colour \(0, 128, 0\) \(2 pixels\) is not in"):
        label_maps.read_maps(maps, IDS, {1}, 100)
    save(tmp_path / "SegmentationObject" / "a.png", COLORS[[[0, 1]]])
    with pytest.raises(InputError, match=r"SegmentationObject/a\.png: objects of 2x1 pixels for classes of 4x2"):
        label_maps.read_maps(LabelMaps(maps.path, maps.names | {(0, 128, 0): "car"}, maps.objects_path), IDS, {1}, 100)


def test_values_of_each_folder_are_classes_by_name(tmp_path, write, read_values, save, picture):
    for split, table in (("train", "0, background\n1, dog\n2, car"), ("valid", "0, background\n1, car")):
        write(f"{split}/_classes.csv", f"Pixel Value, Class\n{table}\n")
        picture(f"{split}/a_jpg.rf.1a2b.jpg", (1, 2))
        save(tmp_path / split / "a_jpg.rf.1a2b_mask.png", np.array([[0, 1]], np.uint8))
    found = read_values()
    assert found.class_names == ["background", "dog", "car"] and found.stuff == set(found.class_names)
    maps = [label_maps.read_maps(photograph.maps, IDS, set(), 100) for photograph in found.photographs]
    assert [classes.tolist() for classes, _ in maps] == [[[0, 1]], [[0, 2]]]


def test_a_photograph_without_its_mask_and_a_mask_alone_are_bad_files(tmp_path, write, read_values, save, picture):
    write("_classes.csv", "Pixel Value, Class\n0, background\n1, dog\n")
    picture("a.jpg")
    save(tmp_path / "b_mask.png", np.zeros([1, 2], np.uint8))
    missing, alone = read_values().problems
    assert "a.jpg: no mask a_mask.png" in missing and "b_mask.png: a mask without its photograph" in alone


@pytest.mark.parametrize(
    "table, reason",
    [
        ("0, background\n0, dog\n", "line 3: value 0 occurs twice"),
        ("0, dog\n1, dog\n", "two classes have the name dog"),
        ("red, dog\n", "line 2: 'red, dog' is not: pixel value, class"),
        ("", "no classes"),
    ],
)
def test_a_bad_table_of_values_is_one_line_that_names_it(write, read_values, table, reason):
    write("_classes.csv", f"Pixel Value, Class\n{table}")
    with pytest.raises(InputError, match=rf"_classes\.csv(: |, ){reason}"):
        read_values()


def test_tables_of_other_exports_are_not_taken_for_masks(tmp_path, write):
    write("_classes.csv", "filename, dog, car\na.jpg, 1, 0\n")
    write("labelmap.txt", LABELMAP)
    assert not mask_exports.is_value_table(tmp_path / "_classes.csv")
    assert not mask_exports.is_labelmap(tmp_path / "labelmap.txt")
