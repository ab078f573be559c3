"""One list of classes for all annotation files of a set."""

import numpy as np
import pytest

from tfseg.data.datasets.annotated_classes import united_classes
from tfseg.errors import InputError
from tfseg.formats.annotations.photograph import (
    AnnotatedObject,
    AnnotatedPhotograph,
    AnnotationSet,
    LabelMaps,
    Polygons,
)


def photograph(*names):
    shape = Polygons((np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0]]),))
    return AnnotatedPhotograph(
        "a.png", "a.json", (6, 8), tuple(AnnotatedObject(name, (shape,), name) for name in names)
    )


def united(declared, used=(), names=None, is_ignored=False, **options):
    content = AnnotationSet(class_names=list(declared), **options)
    return united_classes(content, [photograph(*used)], names, is_ignored)


def test_the_background_is_class_0_and_the_others_keep_their_order():
    classes = united(["dog", "car"], ["car"])
    assert classes.info.class_names == ("background", "dog", "car") and classes.info.thing_ids == {1, 2}
    assert classes.drawn.class_ids == {"background": 0, "dog": 1, "car": 2} and classes.drawn.uncovered == 0


def test_classes_that_only_objects_name_come_last_by_the_alphabet():
    assert united(["dog"], ["cow", "car"]).info.class_names == ("background", "dog", "car", "cow")


@pytest.mark.parametrize("name", ["background", "_background_", "Background"])
def test_a_declared_background_is_the_background_wherever_it_is_declared(name):
    classes = united(["dog", name], ["dog", name])
    assert classes.info.class_names == (name, "dog") and classes.info.thing_ids == {1}
    assert classes.drawn.class_ids[name] == classes.drawn.uncovered == 0


def test_two_names_of_the_background_are_one_class():
    classes = united(["_background_", "dog", "background"], ["background", "_background_"])
    assert classes.info.class_names == ("_background_", "dog")
    assert classes.drawn.class_ids == {"_background_": 0, "background": 0, "dog": 1}


def test_ignored_pixels_need_no_background_unless_an_object_is_one():
    assert united(["dog", "background"], ["dog"], is_ignored=True).info.class_names == ("dog",)
    classes = united(["dog", "background"], ["dog", "background"], is_ignored=True)
    assert classes.info.class_names == ("background", "dog")
    assert (classes.drawn.uncovered, classes.drawn.class_ids["background"]) == (255, 0)


@pytest.mark.parametrize("name", ["__ignore__", "void", "Ignore", "unlabeled"])
def test_objects_of_classes_that_mean_nothing_are_ignored(name):
    classes = united(["dog", name], [name])
    assert classes.info.class_names == ("background", "dog") and classes.drawn.class_ids[name] == 255
    assert f"note: objects of {name} are ignored" in classes.notes


def test_masks_have_no_background_that_they_do_not_name():
    def of_masks(*names, is_ignored=False):
        maps = LabelMaps("a.png", {(value,) * 3: name for value, name in enumerate(names)}, None)
        masked = [AnnotatedPhotograph("a.jpg", "a.png", None, (), maps=maps)]
        return united_classes(AnnotationSet(class_names=list(names)), masked, None, is_ignored)

    assert of_masks("sky", "road").info.class_names == ("sky", "road")
    assert not any("no object covers" in note for note in of_masks("sky", "road").notes)
    assert of_masks("sky", "background").info.class_names == ("background", "sky")
    classes = of_masks("sky", "background", is_ignored=True)
    assert classes.info.class_names == ("sky",) and classes.drawn.class_ids["background"] == 255


def test_declared_stuff_has_no_instances():
    assert united(["sky", "dog"], stuff={"sky"}).info.thing_ids == {2}


def test_a_list_of_names_sets_the_order_and_the_background():
    classes = united(["dog", "car"], names=("car", "background", "dog"))
    assert classes.info.class_names == ("car", "background", "dog")
    assert classes.drawn.uncovered == 1 and classes.info.thing_ids == {0, 2}


def test_a_class_beside_the_list_of_names_is_refused():
    with pytest.raises(InputError, match="have the class dog, which is not in the file of names; add it there, or"):
        united(["dog", "car"], names=("car",))


def test_too_many_classes_and_none_are_refused():
    with pytest.raises(InputError, match="the annotations have 256 classes; 1 to 255 are possible"):
        united([f"c{index}" for index in range(255)])
    with pytest.raises(InputError, match="the annotations have 0 classes"):
        united([], is_ignored=True)


def test_what_is_odd_about_the_classes_is_said():
    notes = united(["Car", "car", "dog"], ["car", "Car"]).notes
    assert "warning: classes that differ only in upper and lower case are different ones: Car, car" in notes
    assert "warning: classes of which there is no object: dog" in notes
    assert any("in the order of the annotations; a classes.txt sets another: background, Car" in note for note in notes)
    assert any("are class 0, background (--uncovered=ignored changes that)" in note for note in notes)


def test_the_label_divisor_leaves_room_for_all_objects_of_a_class():
    assert united(["dog"], ["dog"] * 999).info.label_divisor == 1000
    assert united(["dog"], ["dog"] * 1000).info.label_divisor == 10_000
    assert united(["dog"], ["dog"] * 10_000).info.label_divisor == 65_536
    with pytest.raises(InputError, match="65536 objects of a class on a photograph; 65535 at most"):
        united(["dog"], ["dog"] * 65_536)
