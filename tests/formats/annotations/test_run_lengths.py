"""Runs of pixels are those of the COCO API."""

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from tfseg.errors import InputError
from tfseg.formats.annotations.run_lengths import from_coco, of_mask, run_lengths, to_mask


@pytest.fixture(params=range(8))
def mask(request):
    generator = np.random.default_rng(request.param)
    height, width = generator.integers(1, 200, 2)
    return generator.random([height, width]) < generator.random()


def test_compressed_and_uncompressed_runs_are_read_as_the_coco_api_does(mask):
    packed = coco_masks.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = {"size": list(mask.shape), "counts": packed["counts"].decode()}
    runs = from_coco(text, "a.json")
    np.testing.assert_array_equal(to_mask(runs), mask)
    np.testing.assert_array_equal(to_mask(from_coco(text | {"counts": runs.counts.tolist()}, "a.json")), mask)


def test_runs_of_a_mask_give_the_mask_again(mask):
    np.testing.assert_array_equal(to_mask(of_mask(mask)), mask)


def test_runs_go_down_columns_by_hand():
    runs = from_coco({"size": [2, 3], "counts": [1, 3, 2]}, "a.json")
    assert to_mask(runs).astype(int).tolist() == [[0, 1, 0], [1, 1, 0]]
    along_rows = run_lengths([1, 3, 2], (2, 3), "a.json", is_row_major=True)
    assert to_mask(along_rows).astype(int).tolist() == [[0, 1, 1], [1, 0, 0]]


@pytest.mark.parametrize(
    "segmentation, reason",
    [
        ({"size": [2, 3], "counts": [1, 3]}, r"of 4 pixels for 3x2 \(width x height\), which are 6"),
        ({"size": [2, 3], "counts": []}, "of 0 pixels"),
        ({"size": [2, 3], "counts": [7, -1]}, "counts are not whole numbers from 0 on"),
        ({"size": [2, 3], "counts": [1.0, 5.0]}, "counts are not whole numbers"),
        ({"size": [2, 3], "counts": [[1], [2, 3]]}, "counts are not whole numbers"),
        ({"size": [2, 3], "counts": [2**70]}, "counts are not whole numbers"),
        ({"size": [2, 3]}, "counts are not whole numbers"),
        ({"size": [2], "counts": [6]}, r"size is not \[height, width\]"),
        ({"size": [2, 0], "counts": [0]}, r"size is not \[height, width\]"),
        ({"counts": [6]}, r"size is not \[height, width\]"),
        ({"size": [2, 3], "counts": "6\x00"}, "text is damaged"),
        ({"size": [2, 3], "counts": "o" * 20}, "text is damaged"),
        ({"size": [2, 3], "counts": "1o"}, "text is cut"),
    ],
)
def test_damaged_runs_are_one_line_that_names_the_object(segmentation, reason):
    with pytest.raises(InputError, match=rf"^a\.json: annotation 1: an RLE .*{reason}"):
        from_coco(segmentation, "a.json: annotation 1")
