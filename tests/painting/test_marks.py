"""Instances in pictures: tints that differ, and tags that keep clear of each other."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from tfseg.painting import marks

PLAIN = np.full([120, 200, 3], 90, np.uint8)


@pytest.mark.parametrize("color", [(220, 20, 60), (0, 0, 160), (0, 0, 0), (128, 128, 128), (255, 255, 0)])
def test_neighbouring_instances_have_tints_that_differ_and_are_not_dark(color):
    lab = rgb2lab(marks.tints(color, 40) / 255)
    assert np.linalg.norm(np.diff(lab[1:], axis=0), axis=-1).min() > 20
    assert lab[1:, 0].min() > 35


def test_no_instance_has_the_colour_of_the_class():
    assert tuple(marks.tints((220, 20, 60), 3)[0]) == (220, 20, 60)


def changed(tags, text_size=12):
    """Where tags change a plain picture."""
    picture = PLAIN.copy()
    marks.draw_tags(picture, tags, text_size)
    return picture, (picture != PLAIN).any(axis=-1)


def test_a_tag_stands_above_its_instance_with_its_colour_as_ground():
    picture, is_tag = changed([("person 0.91", (200, 40, 40), (50, 60, 90, 110))])
    rows, columns = np.nonzero(is_tag)
    assert rows.max() == 59 and columns.min() == 50
    colors, counts = np.unique(picture[is_tag], axis=0, return_counts=True)
    assert tuple(colors[counts.argmax()]) == (200, 40, 40)


@pytest.mark.parametrize("color", [(255, 255, 0), (30, 30, 160), (190, 190, 190), (200, 40, 40)])
def test_letters_stand_out_from_their_ground(color):
    picture, is_tag = changed([("Bäume 0.5", color, (50, 60, 90, 110))])
    lightness = rgb2lab(picture / 255)[..., 0][is_tag]
    ground = rgb2lab(np.array(color) / 255)[0]
    assert np.abs(lightness - ground).max() > 40


def test_tags_of_a_crowd_keep_clear_of_each_other():
    size = changed([("person", (200, 40, 40), (50, 60, 60, 110))])[1].sum()
    crowd = [("person", (200, 40, 40), (50 + 5 * index, 50, 60 + 5 * index, 110)) for index in range(5)]
    assert changed(crowd)[1].sum() == 5 * size


@pytest.mark.parametrize("box", [(0, 0, 200, 120), (199, 119, 200, 120), (0, 0, 1, 1)])
def test_a_tag_is_always_within_the_picture(box):
    _, is_tag = changed([("a", (200, 40, 40), box)])
    assert is_tag.sum() == changed([("a", (200, 40, 40), (50, 60, 90, 110))])[1].sum()


def test_a_tag_larger_than_the_picture_is_cut():
    picture = np.zeros([5, 4, 3], np.uint8)
    marks.draw_tags(picture, [("a long name", (200, 40, 40), (0, 0, 4, 5))], 12)
    assert picture.any()
