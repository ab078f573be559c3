"""Bounding boxes of the segments of a map."""

import numpy as np
import pytest

from tfseg.postprocess import places


@pytest.mark.parametrize("band_pixels", [1, 8, 1000])
def test_places_are_found_in_bands_of_any_height(monkeypatch, band_pixels):
    monkeypatch.setattr(places, "BAND_PIXELS", band_pixels)
    ids = np.array([[7, 7, 0, 9], [7, 0, 0, 9], [0, 7, 5, 0]])
    assert places.boxes(ids, [9, 7, 8]) == {7: (0, 0, 2, 3), 9: (3, 0, 4, 2)}
    assert places.boxes(ids, []) == {}
    assert places.boxes(np.zeros([0, 3], int), [7]) == places.boxes(np.zeros([3, 0], int), [7]) == {}
