"""Objects by a threshold and a watershed, beside a model."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.benchmarks import watershed
from tfseg.errors import InputError
from tfseg.labels import DatasetInfo, default_colors

INFO = DatasetInfo("disks", ("background", "disk"), default_colors(2), thing_ids=frozenset({1}))


def disks(*centers, size=(60, 60), radius=10):
    """[height, width] numbers of disks, counted from 1; later ones lie above."""
    y, x = np.mgrid[: size[0], : size[1]]
    numbers = np.zeros(size, np.int32)
    for number, (row, column) in enumerate(centers, 1):
        numbers[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = number
    return numbers


APART, TOUCHING = disks((15, 15), (40, 40)), disks((20, 15), (20, 36))


def image_of(numbers, inverted=False):
    grey = np.where((numbers > 0) != inverted, 200, 30).astype(np.uint8)
    return np.repeat(grey[..., np.newaxis], 3, axis=2)


def examples(*labels):
    for numbers in labels:
        yield {
            "image": tf.constant(image_of(numbers)[np.newaxis]),
            "label": tf.constant((numbers > 0).astype(np.int32)[np.newaxis]),
            "instance": tf.constant(numbers[np.newaxis]),
            "has_instances": tf.constant([True]),
            "filename": tf.constant(["a.png"]),
        }


@pytest.mark.parametrize("inverted", [False, True])
def test_the_smaller_part_of_an_image_is_foreground_bright_or_dark(inverted):
    np.testing.assert_array_equal(watershed.foreground(image_of(APART, inverted)), APART > 0)


def test_an_even_image_has_no_foreground():
    assert not watershed.foreground(np.full([8, 8, 3], 7, np.uint8)).any()


def test_areas_below_the_smallest_are_noise():
    is_foreground = APART > 0
    is_foreground[55, 2:6] = True  # 4 pixels
    assert len(np.unique(watershed.components(is_foreground, 4))) == 4
    assert len(np.unique(watershed.components(is_foreground, 5))) == 3


def test_the_watershed_parts_disks_that_touch_along_the_line_between_them():
    found = watershed.watershed(TOUCHING > 0, 20, 5, 1.0)
    assert set(np.unique(found)) == {0, 1, 2}
    is_wrong = (found[20, 15] == found) != (TOUCHING == 1)
    assert is_wrong[TOUCHING > 0].mean() < 0.1
    assert len(np.unique(watershed.components(TOUCHING > 0, 20))) == 2


def test_holes_of_an_object_are_filled():
    is_foreground = APART > 0
    is_foreground[14:16, 14:16] = False
    assert watershed.watershed(is_foreground, 20, 5, 1.0)[15, 15] > 0


def test_objects_touch_if_two_of_them_have_neighbouring_pixels():
    assert watershed.objects_touch(1000 * (TOUCHING > 0) + TOUCHING, INFO)
    assert not watershed.objects_touch(1000 * (APART > 0) + APART, INFO)
    corner = np.zeros([4, 4], int)
    corner[1, 1], corner[2, 2] = 1001, 1002
    assert watershed.objects_touch(corner, INFO)


def test_all_methods_see_the_same_images_and_touching_ones_are_counted_apart():
    methods = watershed.classical_methods(INFO, 20, 5, 1.0)
    truth = iter([APART, TOUCHING])
    methods = {watershed.MODEL_ROW: lambda image: 1000 * (image[..., 0] > 99) + next(truth)} | methods
    rows = watershed.compare(examples(APART, TOUCHING), 2, INFO, methods)
    assert list(rows) == ["model", "its class map by components", "Otsu, components", "Otsu, watershed"]
    quality = {name: row.everywhere.result()["things"]["pq"] for name, row in rows.items()}
    assert quality["model"] == 1
    # Two disks apart are found; the pair is one component, which has one half of its pixels in either disk: no match.
    assert quality["its class map by components"] == quality["Otsu, components"] == pytest.approx(2 / (2 + 0.5 + 1))
    assert quality["Otsu, watershed"] > 0.9
    assert {row.touching.num_images for row in rows.values()} == {1}
    table = watershed.as_markdown(rows, INFO)
    assert "disk: 2 images, in 1 of which labelled objects touch" in table
    assert [len(row.milliseconds) for row in rows.values()] == [2, 0, 2, 2]


def test_a_threshold_needs_one_class_of_things_beside_another_class():
    two = DatasetInfo("two", ("a", "b"), default_colors(2), thing_ids=frozenset({0, 1}))
    with pytest.raises(InputError, match="2 classes, of which 2 have objects"):
        watershed.classical_methods(two, 20, 5, 1.0)
