"""Colours: CIELAB is another library's; those of classes are far apart, not dark, and always the same."""

import numpy as np
import pytest
from skimage.color import rgb2lab

from tfseg.painting import colors


def distances(lab):
    """All distances between two of [n, 3] colours."""
    pairs = np.linalg.norm(lab[:, np.newaxis] - lab, axis=-1)
    return pairs[np.triu_indices(len(lab), 1)]


def test_lab_is_that_of_scikit_image_and_leads_back():
    rgb = np.random.default_rng(0).integers(0, 256, [500, 3]).astype(np.uint8)
    np.testing.assert_allclose(colors.to_lab(rgb), rgb2lab(rgb / 255), atol=0.01)
    np.testing.assert_array_equal(colors.from_lab(colors.to_lab(rgb)), rgb)


@pytest.mark.parametrize("count,least", [(2, 100), (5, 65), (8, 50), (12, 40), (20, 35), (30, 27), (60, 18), (255, 10)])
def test_colours_of_classes_are_far_apart(count, least):
    lab = rgb2lab(np.array(colors.distinct_colors(count)) / 255)
    assert distances(lab).min() > least


def test_none_is_dark_pale_or_grey_or_like_a_colour_with_a_meaning_of_its_own():
    lab = rgb2lab(np.array(colors.distinct_colors(255)) / 255)
    assert lab[:, 0].min() > 44 and lab[:, 0].max() < 89
    assert np.hypot(lab[:, 1], lab[:, 2]).min() > 29
    taken = rgb2lab(np.array(colors.TAKEN) / 255)
    nearest = np.linalg.norm(lab[:, np.newaxis] - taken, axis=-1).min(axis=1)
    assert nearest[:30].min() > 27 and nearest.min() > 10


def test_more_classes_do_not_change_the_colours_of_the_first():
    assert colors.distinct_colors(255)[:30] == colors.distinct_colors(30)
    assert colors.distinct_colors(0) == ()


def test_colours_are_the_same_everywhere():
    assert colors.distinct_colors(5) == ((230, 60, 70), (150, 30, 255), (0, 255, 0), (255, 210, 0), (0, 135, 255))
