"""Which mask belongs to which image, by their names alone."""

import unicodedata
from pathlib import Path

import pytest

from tfseg.data.datasets.pairing import paired


def pair(images, labels):
    return paired([Path("i", name) for name in images], [Path("m", name) for name in labels])


def names(found):
    return {image.name: label.name for image, label in found.pairs}


@pytest.mark.parametrize(
    "images,labels",
    [
        (["a.jpg", "b.png"], ["a.png", "b.png"]),
        (["a.jpg", "b.jpg"], ["a_mask.png", "b_label.png"]),
        (["a.jpg", "b.png"], ["a.jpg.png", "b.png.png"]),
        (["x_1.png", "x_2.png"], ["x_1_gtFine_labelIds.png", "x_2_gtFine_labelIds.png"]),
        (["S0_leftImg8bit.png", "S1_leftImg8bit.png"], ["S0_gtFine_labelIds.png", "S1_gtFine_labelIds.png"]),
        (["img1.png", "img2.png"], ["img1GT.png", "img2GT.png"]),
        (["a-rgb.png", "b-rgb.png"], ["a.png", "b.png"]),
        (["a (1).jpg", "b (2).jpg"], ["a (1) seg.png", "b (2) seg.png"]),
        (["A.png", "b.png"], ["a.png", "b.png"]),
        (["IMG_1.JPG", "IMG_2.JPG"], ["img_1_Seg.png", "img_2_Seg.png"]),
        ([unicodedata.normalize("NFD", "città.png")], [unicodedata.normalize("NFC", "città.png")]),
        ([unicodedata.normalize("NFC", "é_1.png")], [unicodedata.normalize("NFD", "é_1_mask.png")]),
        (["photo.png"], ["photo_anything.png"]),
    ],
)
def test_names_that_belong_together(images, labels):
    found = pair(images, labels)
    assert names(found) == dict(zip(images, labels, strict=True))
    assert (found.images, found.labels, found.clashes) == ([], [], [])


@pytest.mark.parametrize(
    "images,labels",
    [
        (["a1.png"], ["a2.png"]),
        (["a_1.png"], ["a_2.png"]),
        (["photo.png"], ["pseg.png"]),
        (["frame_001.png", "frame_002.png"], ["frame_003.png", "frame_004.png"]),
        (["cat.png", "dog.png"], ["bus.png", "van.png"]),
    ],
)
def test_names_that_do_not_belong_together_stay_alone(images, labels):
    found = pair(images, labels)
    assert (found.pairs, len(found.images), len(found.labels)) == ([], len(images), len(labels))


@pytest.mark.parametrize(
    "images,labels,note",
    [
        (["a.png"], ["a_gt.png"], "all masks end in _gt, e.g. a.png, a_gt.png"),
        (["a_left.png"], ["a_gt.png"], "all masks end in _gt in place of _left, e.g. a_left.png, a_gt.png"),
        (["A.png"], ["a.png"], "1 masks differ from their images in upper and lower case, e.g. A.png, a.png"),
        (["a.jpg"], ["a.jpg.png"], "masks are named after whole file names: a.jpg, a.jpg.png"),
    ],
)
def test_what_was_taken_for_the_same_is_said(images, labels, note):
    assert pair(images, labels).notes == [f"note: {note}"]
    assert pair(["a.png"], ["a.png"]).notes == []


def test_two_images_of_one_name_clash():
    assert [
        [path.name for path in clash] for clash in pair(["a.jpg", "a.png", "b.png"], ["a.png", "b.png"]).clashes
    ] == [["a.jpg", "a.png"]]
    both = [unicodedata.normalize(form, "é.png") for form in ("NFC", "NFD")]
    assert len(pair(both, both[:1]).clashes) == 1
    assert len(pair(["a_left.png", "a_left.jpg"], ["a_gt.png"]).clashes) == 1


def test_files_that_differ_in_case_alone_stay_two_where_both_have_a_mask():
    assert names(pair(["A.png", "a.png"], ["A.png", "a.png"])) == {"A.png": "A.png", "a.png": "a.png"}


def test_what_is_left_over_is_told():
    found = pair(["a.png", "b.png", "c.png"], ["a.png", "b.png", "d.png"])
    assert ([path.name for path in found.images], [path.name for path in found.labels]) == (["c.png"], ["d.png"])
