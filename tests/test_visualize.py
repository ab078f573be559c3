"""Pictures: the right colours in the right places, legible at any size."""

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


def test_charts_are_drawn_without_a_display_and_without_latencies():
    points = [{"iteration": 1, "gflops": 2.0, "milliseconds": None, "miou": 0.5}]
    picture = visualize.curve({"one": points, "other": [points[0] | {"milliseconds": 3.0}]})
    assert picture.dtype == np.uint8
    assert picture.std() > 1
    picture = visualize.confusion([[3, 1, 0], [0, 0, 0], [1, 1, 1]], INFO)
    assert picture.shape[2] == 3


def test_a_shelf_has_its_levels_below_each_other_and_an_arrow_for_each_edge():
    def without(*edges):
        graph = {"A0": frozenset(), "B0": {"A0"}, "A1": {"A0", "B1"}, "B1": {"B0"}}
        return {
            node: frozenset(source for source in sources if (source, node) not in edges)
            for node, sources in graph.items()
        }

    ways = {"A0": 1, "B0": 1, "A1": 2, "B1": 1}
    whole, cut = (visualize.shelf(graph, ways).astype(int) for graph in (without(), without(("A0", "A1"))))
    assert whole.shape == cut.shape and whole.shape[2] == 3
    changed = np.argwhere((whole != cut).any(-1))
    # The arrow from A0 to A1 lies in the upper half, between the columns.
    assert changed[:, 0].max() < whole.shape[0] / 2
    assert whole.shape[1] / 4 < changed[:, 1].min() < changed[:, 1].max() < 3 * whole.shape[1] / 4
