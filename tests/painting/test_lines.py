"""Lines between segments: on one side or both, of any width, the same in one piece and in bands."""

import cv2
import numpy as np
import pytest

from tfseg.painting import lines

IDS = np.random.default_rng(0).integers(0, 4, [6, 5]).repeat(5, 0).repeat(4, 1)


def test_a_line_lies_on_one_side_of_a_border_or_on_both():
    ids = np.repeat([[0, 1]], 3, axis=1)
    np.testing.assert_array_equal(lines.between(ids), [[0, 0, 1, 0, 0, 0]])
    np.testing.assert_array_equal(lines.around(ids), [[0, 0, 1, 1, 0, 0]])
    np.testing.assert_array_equal(lines.between(ids.T), [[0], [0], [1], [0], [0], [0]])
    np.testing.assert_array_equal(lines.around(ids.T), [[0], [0], [1], [1], [0], [0]])


@pytest.mark.parametrize("find", [lines.between, lines.around])
@pytest.mark.parametrize("width", [1, 2, 3, 6])
@pytest.mark.parametrize("step", [1, 4, 7])
def test_bands_together_are_the_whole(find, width, step):
    whole = find(IDS).astype(np.uint8)
    if width > 1:
        whole = cv2.dilate(whole, np.ones([width, width], np.uint8))
    bands = [slice(top, min(top + step, len(IDS))) for top in range(0, len(IDS), step)]
    found = np.concatenate([lines.in_rows(find, IDS, rows, width) for rows in bands])
    np.testing.assert_array_equal(found, whole)


def test_larger_pictures_have_wider_lines():
    assert [lines.width_for(size) for size in ((1, 1), (193, 257), (500, 4000), (1000, 1000), (3000, 4000))] == [
        1,
        1,
        1,
        3,
        9,
    ]
