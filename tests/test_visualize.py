"""Pictures: the right colours in the right places, legible at any size."""

import dataclasses
import io
import tracemalloc

import numpy as np
import pytest
from PIL import Image

from tfseg import visualize
from tfseg.labels import DatasetInfo

INFO = DatasetInfo("toy", ("sky", "road", "car"), ((0, 0, 250), (100, 100, 100), (250, 0, 0)))


def test_class_ids_get_their_colours_and_ignored_pixels_their_own():
    picture = visualize.colorize([[0, 2], [255, 3]], INFO)
    expected = [[(0, 0, 250), (250, 0, 0)], [visualize.IGNORE_COLOR] * 2]
    np.testing.assert_array_equal(picture, expected)
    assert picture.dtype == np.uint8


def test_a_palette_png_holds_class_ids_and_shows_colours():
    class_ids = np.array([[0, 1, 2], [2, 255, 0]], np.uint8)
    picture = Image.open(io.BytesIO(visualize.palette_png(class_ids, INFO)))
    np.testing.assert_array_equal(np.asarray(picture), class_ids)
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB")), visualize.colorize(class_ids, INFO))


def test_an_overlay_mixes_image_and_colour_and_leaves_ignored_pixels_alone():
    image = np.full([2, 2, 3], 100, np.uint8)
    picture = visualize.overlay(image, np.full([2, 2], 2), INFO, alpha=0.5, legend=False)
    np.testing.assert_array_equal(picture, np.broadcast_to([175, 50, 50], [2, 2, 3]))
    picture = visualize.overlay(image, np.full([2, 2], 255), INFO, legend=False)
    np.testing.assert_array_equal(picture, image)


def test_an_overlay_draws_a_line_between_classes():
    class_ids = np.repeat([[0, 1]], 4, axis=1).reshape(1, 8)
    picture = visualize.overlay(np.zeros([1, 8, 3], np.uint8), class_ids, INFO, legend=False)
    assert [tuple(pixel) == (255, 255, 255) for pixel in picture[0]] == [False, False, False, True] + [False] * 4


def test_a_background_is_left_clear_in_an_overlay_and_has_an_empty_box_in_the_legend():
    info = DatasetInfo("own", ("person", "background"), ((250, 0, 0), (0, 0, 250)))
    image = np.full([60, 300, 3], 100, np.uint8)
    class_ids = np.repeat([[1, 0]], 150, axis=1).repeat(60, axis=0)
    picture = visualize.overlay(image, class_ids, info)
    np.testing.assert_array_equal(picture[:60, :149], image[:, :149])
    assert (picture[:60, 150:] == np.rint([182.5, 45, 45])).all()
    colors = {tuple(pixel) for pixel in picture[60:].reshape(-1, 3)}
    assert (250, 0, 0) in colors and (0, 0, 250) not in colors
    assert np.any(visualize.colorize(class_ids, info) == (0, 0, 250))  # a class map shows it


def test_every_instance_has_a_tint_and_an_outline_of_its_own():
    ids = np.full([90, 90], 0)
    for number, left in enumerate((10, 30, 50), 1):
        ids[20:70, left : left + 20] = 2000 + number
    image = np.full([90, 90, 3], 100, np.uint8)
    picture = visualize.overlay(image, ids // 1000, INFO, legend=False, panoptic_ids=ids)
    inside = [tuple(picture[45, left + 10]) for left in (10, 30, 50)]
    outline = [tuple(picture[45, left]) for left in (10, 30, 50)]
    assert len({*inside, *outline}) == 6
    for tint, line in zip(inside, outline, strict=True):  # the outline is the tint at full strength
        np.testing.assert_allclose(tint, 0.45 * 100 + 0.55 * np.array(line), atol=0.51)
    assert tuple(picture[45, 9]) == tuple(picture[45, 70]) == visualize.PAPER  # around them all is a white line


def test_the_same_instance_has_the_same_tint_in_any_picture():
    ids = np.full([9, 9], 2001)
    one = visualize.overlay(np.zeros([9, 9, 3], np.uint8), ids // 1000, INFO, 1, False, ids)
    ids[0, 0] = 2077
    other = visualize.overlay(np.zeros([9, 9, 3], np.uint8), ids // 1000, INFO, 1, False, ids)
    np.testing.assert_array_equal(one[5, 5], other[5, 5])


@dataclasses.dataclass
class Found:
    class_ids: np.ndarray
    panoptic_ids: np.ndarray
    instances: list


@dataclasses.dataclass
class Thing:
    panoptic_id: int
    class_id: int
    score: float


def test_instances_are_named_in_pictures_that_are_enlarged_until_the_names_can_be_read():
    ids = np.zeros([100, 80], np.int32)
    ids[50:90, 20:60] = 2003
    found = Found(ids // 1000, ids, [Thing(2003, 2, 0.5), Thing(2009, 2, 0.4)])  # the second has no pixel
    image = np.full([100, 80, 3], 100, np.uint8)
    picture = visualize.instance_overlay(image, found, INFO, legend=False)
    assert picture.shape == (600, 480, 3)
    bare = visualize.overlay(image, ids // 1000, INFO, visualize.INSTANCE_ALPHA, False, ids)
    np.testing.assert_array_equal(picture[3::6, 3::6][60:85, 25:55], bare[60:85, 25:55])  # no tag there
    above = picture[200:300, 120:360]
    assert (above == above[5, 5]).all(axis=-1).mean() < 0.99  # the tag
    large = Found(ids.repeat(10, 0).repeat(10, 1) // 1000, ids.repeat(10, 0).repeat(10, 1), found.instances)
    picture = visualize.instance_overlay(np.zeros([1000, 800, 3], np.uint8), large, INFO)
    assert picture.shape[1] == 800 and picture.shape[0] > 1000


@pytest.mark.parametrize(
    "size,drawn",
    [
        ((1, 1), (480, 480)),
        ((1, 900), (2, 1800)),
        ((2000, 3), (2000, 3)),
        ((480, 640), (480, 640)),
        ((300, 400), (600, 800)),
    ],
)
def test_only_small_pictures_are_enlarged_and_never_without_bounds(size, drawn):
    ids = np.full(size, 2003, np.int32)
    found = Found(ids // 1000, ids, [Thing(2003, 2, 0.5)])
    picture = visualize.instance_overlay(np.zeros([*size, 3], np.uint8), found, INFO, legend=False)
    assert picture.shape == (*drawn, 3)


def test_classes_without_a_pixel_are_not_in_the_legend():
    wide = DatasetInfo("toy", ("sky", "a class with a very long name"), ((0, 0, 250), (250, 0, 0)))
    image, class_ids = np.zeros([60, 60, 3], np.uint8), np.zeros([60, 60], int)
    alone = visualize.overlay(image, class_ids, DatasetInfo("toy", ("sky",), ((0, 0, 250),)))
    np.testing.assert_array_equal(visualize.overlay(image, class_ids, wide), alone)


@pytest.mark.parametrize("has_instances", [False, True])
@pytest.mark.parametrize("band_pixels", [1, 50, 130])
def test_an_overlay_is_the_same_in_one_piece_and_in_bands(monkeypatch, band_pixels, has_instances):
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, [23, 31, 3], np.uint8)
    class_ids = generator.choice(np.array([0, 1, 2, 255], np.uint8), [23, 31])
    instances = class_ids.astype(np.int32) * INFO.label_divisor + generator.integers(0, 3, [23, 31])
    options = {"panoptic_ids": instances if has_instances else None}
    whole = visualize.overlay(image, class_ids, INFO, **options)
    monkeypatch.setattr(visualize, "BAND_PIXELS", band_pixels)
    np.testing.assert_array_equal(visualize.overlay(image, class_ids, INFO, **options), whole)


def test_an_overlay_takes_little_more_memory_than_its_picture(monkeypatch):
    monkeypatch.setattr(visualize, "BAND_PIXELS", 1 << 14)
    image, class_ids = np.zeros([1000, 1000, 3], np.uint8), np.ones([1000, 1000], np.uint8)
    tracemalloc.start()
    visualize.overlay(image, class_ids, INFO)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 3 * image.nbytes  # in floats one copy of the image takes eight times as much


@pytest.mark.parametrize("size", [(1, 1), (40, 30), (200, 900)])
def test_a_legend_is_added_below_and_shows_only_classes_that_occur(size):
    image, class_ids = np.zeros([*size, 3], np.uint8), np.full(size, 2)
    picture = visualize.overlay(image, class_ids, INFO)
    bare = visualize.overlay(image, class_ids, INFO, legend=False)
    np.testing.assert_array_equal(picture[: size[0], : size[1]], bare)
    colors = {tuple(pixel) for pixel in picture[size[0] :].reshape(-1, 3)}
    assert INFO.colors[2] in colors
    assert INFO.colors[0] not in colors


def test_many_classes_wrap_into_several_rows_within_the_width():
    names = tuple(f"class with a long name {index}" for index in range(30))
    info = DatasetInfo("toy", names, tuple((index, 0, 0) for index in range(30)))
    picture = visualize.overlay(np.zeros([60, 600, 3], np.uint8), np.arange(30).repeat(1200).reshape(60, 600), info)
    assert picture.shape[1] == 600
    assert picture.shape[0] > 60 + 10 * 13


def test_a_strip_shows_image_maps_and_label_from_left_to_right():
    image = np.full([64, 64, 3], 77, np.uint8)
    maps = [np.full([64, 64], class_id) for class_id in (0, 1)]
    picture = visualize.strip(image, maps, np.full([64, 64], 2), INFO)
    columns = [column * (visualize.CELL_WIDTH + visualize.GAP) + 100 for column in range(4)]
    np.testing.assert_array_equal(picture[200, columns], [(77, 77, 77), *INFO.colors])
    assert picture.shape[1] == 4 * visualize.CELL_WIDTH + 3 * visualize.GAP


def test_strips_take_images_of_any_shape_and_no_label():
    rows = [
        (np.zeros([*size, 3], np.uint8), [np.zeros(size, np.uint8)] * 3, None) for size in ((5, 9), (300, 20), (1, 1))
    ]
    picture = visualize.strips(rows, INFO)
    assert picture.shape[1] == 4 * visualize.CELL_WIDTH + 3 * visualize.GAP
