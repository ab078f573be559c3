"""Masks in the layout of PASCAL VOC with classes of one's own, written by hand."""

import numpy as np
import pytest
from PIL import Image

from tfseg.errors import InputError
from tfseg.formats.annotations import label_maps, voc_masks
from tfseg.labels import voc_colors

CLASSES = [[0, 1, 1, 2], [255, 1, 0, 2]]
OBJECTS = [[0, 4, 7, 3], [255, 4, 0, 3]]
COLORS = np.array(voc_colors(256), np.uint8)


@pytest.fixture
def voc(tmp_path, save, picture):
    """voc(stems, form) writes photographs, classes and objects; a form makes a picture of values."""

    def export(*stems, form=Image.fromarray, folders=("SegmentationClass", "SegmentationObject"), objects=OBJECTS):
        for stem in stems:
            picture(f"JPEGImages/{stem}.jpg", (2, 4))
            for folder, values in zip(folders, (CLASSES, objects), strict=False):
                save(tmp_path / folder / f"{stem}.png", form(np.array(values, np.uint8)))

    return export


@pytest.fixture
def read(files_in):
    """read() -> the AnnotationSet of all files that are recognised."""

    def read_all():
        files = files_in("*.png")
        files.paths[:] = [path for path in files.paths if voc_masks.is_one(path)]
        return voc_masks.read(files)

    return read_all


def with_palette(colors):
    def form(values):
        image = Image.fromarray(values, "P")
        image.putpalette(np.asarray(colors, np.uint8).ravel().tolist())
        return image

    return form


@pytest.mark.parametrize(
    "form",
    [Image.fromarray, with_palette(COLORS), with_palette(COLORS[::-1]), lambda values: Image.fromarray(COLORS[values])],
)
def test_values_are_classes_and_objects_whatever_the_palette_and_colours_are_those_of_pascal_voc(voc, read, form):
    voc("a", form=form)
    found = read()
    assert found.class_names == ["class_0", "class_1", "class_2"] and found.stuff == {"class_0"}
    class_ids = {name: class_id for class_id, name in enumerate(found.class_names)}
    classes, instances = label_maps.read_maps(found.photographs[0].maps, class_ids, {1, 2}, 100)
    assert classes.tolist() == CLASSES
    assert instances.tolist() == [[0, 1, 2, 1], [0, 1, 0, 1]]


@pytest.mark.parametrize("name", ["classes.txt", "labels.txt", "class_names.txt"])
def test_a_file_names_the_classes_from_0_on(voc, read, tmp_path, name):
    voc("a")
    (tmp_path / name).write_text("__ignore__\n_background_\ndog\ncar\ncow\n")
    assert read().class_names == ["_background_", "dog", "car", "cow"]


def test_without_maps_of_objects_no_class_has_instances(voc, read):
    voc("a", folders=["SegmentationClass"])
    found = read()
    assert found.stuff == set(found.class_names) and found.photographs[0].maps.objects_path is None


def test_pictures_of_labelme_s_scripts_are_no_photographs(voc, read, picture, tmp_path):
    voc("a", folders=("SegmentationClassPNG", "SegmentationObjectPNG"))
    picture("SegmentationClassVisualization/a.jpg")
    (photograph,) = read().photographs
    assert photograph.picture == tmp_path / "JPEGImages/a.jpg"
    assert photograph.maps.objects_path.endswith("SegmentationObjectPNG/a.png")


def test_lists_of_image_sets_are_splits(voc, read, tmp_path):
    voc("a", "b")
    (tmp_path / "ImageSets/Segmentation").mkdir(parents=True)
    for split, names in (("train", "a\n"), ("val", "b\n"), ("trainval", "a\nb\n")):
        (tmp_path / f"ImageSets/Segmentation/{split}.txt").write_text(names)
    assert [photograph.split for photograph in read().photographs] == ["train", "val"]


def test_a_value_without_a_name_and_a_colour_of_no_class_name_the_mask(voc, read, tmp_path):
    voc("a")
    (tmp_path / "classes.txt").write_text("background\ndog\n")
    with pytest.raises(InputError, match=r"SegmentationClass/a\.png: value 2, and the classes are background, dog"):
        label_maps.read_maps(read().photographs[0].maps, {"background": 0, "dog": 1}, {1}, 100)
    Image.fromarray(np.full([2, 4, 3], 7, np.uint8)).save(tmp_path / "SegmentationClass/a.png")
    with pytest.raises(InputError, match=r"SegmentationClass/a\.png: colour \(7, 7, 7\)"):
        label_maps.read_maps(read().photographs[0].maps, {"background": 0, "dog": 1}, {1}, 100)


def test_masks_beside_a_labelmap_are_left_to_it(voc, tmp_path):
    voc("a")
    mask = tmp_path / "SegmentationClass/a.png"
    assert voc_masks.is_one(mask) and not voc_masks.is_one(tmp_path / "SegmentationObject/a.png")
    (tmp_path / "labelmap.txt").write_text("background:0,0,0::\n")
    assert not voc_masks.is_one(mask)
