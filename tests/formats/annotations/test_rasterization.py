"""Objects become pixels: those of the COCO API, in the order of drawing."""

import numpy as np
import pytest
from pycocotools import mask as coco_masks

from tfseg.errors import InputError
from tfseg.formats.annotations.photograph import AnnotatedObject, AnnotatedPhotograph, Polygons
from tfseg.formats.annotations.rasterization import draw, most_instances
from tfseg.formats.annotations.run_lengths import of_mask, run_lengths

SIZE = (6, 8)


def polygon(*points, **options):
    return Polygons((np.array(points, float),), **options)


def box(left, top, right, bottom):
    return polygon((left, top), (right, top), (right, bottom), (left, bottom))


def photograph(*objects):
    """A photograph of (class, shape) or (class, shape, is crowd)."""
    objects = [AnnotatedObject(name, (shape,), f"object {name}", *crowd) for name, shape, *crowd in objects]
    return AnnotatedPhotograph("a.png", "a.json", SIZE, tuple(objects))


def test_a_later_object_lies_above_an_earlier_one_and_each_has_a_number(drawn):
    classes, instances = drawn(photograph(("a", box(0, 0, 4, 4)), ("b", box(2, 2, 6, 5)), ("a", box(3, 1, 8, 3))))
    assert classes == [
        "1111....",
        "11111111",
        "11211111",
        "112222..",
        "..2222..",
        "........",
    ]
    assert instances == [
        "1111....",
        "11122222",
        "11122222",
        "111111..",
        "..1111..",
        "........",
    ]


def test_crowds_lie_below_everything_and_have_no_instance(drawn):
    classes, instances = drawn(photograph(("a", box(0, 0, 3, 6)), ("a", box(0, 0, 8, 2), True)))
    assert classes[0] == classes[1] == "11111111" and classes[2] == "111....."
    assert instances[0] == instances[5] == "111....."


def test_pixels_of_ignored_classes_have_no_instance():
    objects = photograph(("a", box(0, 0, 8, 3)), ("b", box(0, 1, 8, 2)))
    classes, instances = draw(objects, SIZE, {"a": 1, "b": 255}, {1}, 0)
    assert classes[:, 0].tolist() == [1, 255, 1, 0, 0, 0]
    assert instances[:, 0].tolist() == [1, 0, 1, 0, 0, 0]


def test_holes_are_not_covered(drawn):
    ring, hole = box(1, 1, 7, 5).rings[0], box(3, 2, 5, 4).rings[0]
    assert drawn(photograph(("a", Polygons((ring,), (hole,)))))[0] == [
        "........",
        ".111111.",
        ".11..11.",
        ".11..11.",
        ".111111.",
        "........",
    ]


def test_several_polygons_are_one_object_also_where_they_overlap(drawn):
    shape = Polygons((box(0, 0, 3, 2).rings[0], box(2, 1, 5, 3).rings[0], box(6, 4, 8, 6).rings[0]))
    _, instances = drawn(photograph(("a", shape)))
    assert instances == ["111.....", "11111...", "..111...", "........", "......11", "......11"]


def test_shares_are_of_width_and_height(drawn):
    shape = polygon((0.25, 0.5), (0.5, 0.5), (0.5, 1), (0.25, 1), has_shares=True)
    assert drawn(photograph(("a", shape)))[0] == ["........"] * 3 + ["..11...."] * 3


def test_shares_that_lost_their_last_digit_lie_on_half_pixels_again(drawn):
    """Half a pixel of 40 is 0.0125 of the width; 18.5 pixels are the share 0.46249999999999997."""
    outline = np.array([(18.5, 22.5), (26.5, 22.5), (22, 30.5)])
    whole = draw(photograph(("a", Polygons((outline,)))), (32, 40), {"a": 1}, set(), 0)[0]
    less = np.nextafter(outline / (40, 32), 0)
    shares = draw(photograph(("a", Polygons((less,), has_shares=True))), (32, 40), {"a": 1}, set(), 0)[0]
    np.testing.assert_array_equal(shares, whole)


@pytest.mark.parametrize("seed", range(40))
def test_polygons_are_those_of_the_coco_api_to_the_pixel(seed):
    generator = np.random.default_rng(seed)
    points = generator.uniform(-10, 50, [generator.integers(3, 12), 2])
    points = np.round(2 * points) / 2 if seed % 2 else points  # on half pixels
    expected = coco_masks.decode(coco_masks.merge(coco_masks.frPyObjects([points.ravel().tolist()], 30, 40)))
    classes, _ = draw(photograph(("a", Polygons((points,)))), (30, 40), {"a": 1}, set(), 0)
    np.testing.assert_array_equal(classes, expected)


def test_points_outside_of_the_picture_cut_the_object_at_its_edge(drawn):
    assert drawn(photograph(("a", box(-3, -2, 2, 3))))[0] == ["11......"] * 3 + ["........"] * 3
    assert drawn(photograph(("a", box(6, 4, 20, 30))))[0] == ["........"] * 4 + ["......11"] * 2
    assert drawn(photograph(("a", box(20, 20, 30, 30))))[0] == ["........"] * 6


def test_a_triangle_on_half_pixels_by_hand(drawn):
    """Corners (1.5, 0.5), (5.5, 0.5), (1.5, 4.5): the centres on its edge to the right do not belong to it."""
    shape = polygon((1.5, 0.5), (5.5, 0.5), (1.5, 4.5))
    assert drawn(photograph(("a", shape)))[0] == [
        "........",
        "..111...",
        "..11....",
        "..1.....",
        "........",
        "........",
    ]


def test_a_mask_lies_where_its_corner_is(drawn):
    shape = of_mask(np.array([[1, 0, 1], [1, 1, 1]], bool), (3, 4))
    assert drawn(photograph(("a", shape)))[0][3:5] == ["....1.1.", "....111."]


@pytest.mark.parametrize("corner", [(5, 0), (0, 6), (-1, 0), None])
def test_a_mask_that_does_not_fit_the_picture_is_refused(drawn, corner):
    shape = of_mask(np.ones([2, 3], bool), corner)
    with pytest.raises(
        InputError, match=r"a\.json: a\.png: object a: an RLE of 3x2 .* does not fit the picture of 8x6"
    ):
        drawn(photograph(("a", shape)))


def test_an_empty_object_covers_nothing(drawn):
    nothing = AnnotatedPhotograph("a.png", "a.json", SIZE, (AnnotatedObject("a", (), "object a"),))
    assert drawn(nothing)[0] == ["........"] * 6
    assert drawn(photograph(("a", run_lengths([48], SIZE, "a"))))[0] == ["........"] * 6


@pytest.mark.parametrize("far", [1e9, -1e300])
def test_points_without_reason_are_refused_before_they_cost_memory(drawn, far):
    with pytest.raises(
        InputError, match=r"a\.json: a\.png: object a: a point at .* is far outside of the picture of 8x6"
    ):
        drawn(photograph(("a", polygon((0, 0), (far, 0), (0, 5)))))


def test_outlines_without_end_are_refused(drawn):
    zigzag = np.tile([[0.0, 0.0], [80.0, 0.0]], [200_000, 1])
    with pytest.raises(InputError, match="an outline of more than 20000000 pixels"):
        drawn(photograph(("a", Polygons((zigzag,)))))


def test_the_most_frequent_class_is_counted_without_crowds():
    shape = box(0, 0, 1, 1)
    assert most_instances(photograph(("a", shape), ("b", shape), ("a", shape), ("a", shape, True))) == 2
    assert most_instances(photograph()) == 0
