"""Targets of keypoints and offsets, against values worked by hand and against the maps of the fusion's tests."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfseg.benchmarks import synthetic_instances
from tfseg.data.augment import Geometry
from tfseg.data.panoptic_targets import PanopticTargetConfig, panoptic
from tfseg.errors import InputError
from tfseg.postprocess.keypoint_graphs import BOTTOM_LEFT, BOTTOM_RIGHT, CENTER, GRAPHS, TOP_LEFT, TOP_RIGHT

THING, OTHER_THING = min(synthetic_instances.THING_IDS), max(synthetic_instances.THING_IDS)
VOID = 255
INFO = SimpleNamespace(thing_ids=synthetic_instances.THING_IDS, ignore_label=VOID)
OFFSETS = ("short_offsets", "middle_offsets", "long_offsets")


def config_of(graph="star", **fields):
    return PanopticTargetConfig(graph, **fields)


def targets_of(panoptic_ids, config):
    """Returns NumPy targets of [H, W] ids = class * LABEL_DIVISOR + instance."""
    label, instance = np.divmod(np.asarray(panoptic_ids, np.int32), synthetic_instances.LABEL_DIVISOR)
    example = {"image": np.zeros([*label.shape, 3]), "label": label, "instance": instance, "filename": "a.png"}
    targets = panoptic({key: tf.constant(value) for key, value in example.items()}, INFO, config)
    return {key: value.numpy() for key, value in targets.items()}


def scene(size, *boxes):
    """Ids of stuff, with boxes (top, left, bottom, right, id) in it; both ends are inclusive."""
    panoptic_ids = np.zeros(size, np.int32)
    for top, left, bottom, right, panoptic_id in boxes:
        panoptic_ids[top : bottom + 1, left : right + 1] = panoptic_id
    return panoptic_ids


def thing(instance, class_id=THING):
    return class_id * synthetic_instances.LABEL_DIVISOR + instance


@pytest.fixture(scope="module")
def one_box():
    """A box with corners (2, 3), (2, 6), (5, 3), (5, 6) and centre (3.5, 4.5)."""
    return targets_of(scene((9, 9), (2, 3, 5, 6, thing(1))), config_of(radius=2, stride=1))


def test_long_offsets_lead_from_every_pixel_of_an_instance_to_all_its_keypoints(one_box):
    assert one_box["long_offsets"][4, 5].tolist() == [-2, -2, -2, 1, 1, -2, 1, 1, -0.5, -0.5]
    inside = scene((9, 9), (2, 3, 5, 6, 1)) > 0
    np.testing.assert_array_equal(one_box["has_long_offsets"][..., 0], inside)
    assert not one_box["long_offsets"][~inside].any()


def test_a_disk_has_the_cells_within_the_radius_on_whatever_they_lie(one_box):
    disk = one_box["heatmap"][..., TOP_LEFT]
    assert disk.sum() == 13
    assert disk[0, 3] == disk[2, 1] == disk[3, 4] == 1
    assert disk[0, 4] == disk[3, 5] == 0


def test_short_offsets_lead_to_the_keypoint_inside_its_disk_only(one_box):
    assert one_box["short_offsets"][3, 4, 2 * TOP_LEFT : 2 * TOP_LEFT + 2].tolist() == [-1, -1]
    assert one_box["short_offsets"][3, 4, 2 * CENTER : 2 * CENTER + 2].tolist() == [0.5, 0.5]
    np.testing.assert_array_equal(one_box["has_short_offsets"], one_box["heatmap"] == 1)
    assert not one_box["short_offsets"][8, 0].any()


def test_middle_offsets_lead_from_near_the_first_keypoint_of_an_edge_to_the_second(one_box):
    from_center, to_center = GRAPHS["star"].edges.index((CENTER, TOP_RIGHT)), GRAPHS["star"].edges.index((0, CENTER))
    assert one_box["middle_offsets"][4, 4, 2 * from_center : 2 * from_center + 2].tolist() == [-2, 2]
    assert one_box["middle_offsets"][1, 3, 2 * to_center : 2 * to_center + 2].tolist() == [2.5, 1.5]
    np.testing.assert_array_equal(one_box["has_middle_offsets"][..., to_center], one_box["heatmap"][..., 0] == 1)


@pytest.mark.parametrize(("stride", "num_cells"), [(1, 1961), (4, 121)])
def test_the_default_radius_is_25_pixels_at_every_stride(stride, num_cells):
    targets = targets_of(scene((101, 101), (48, 48, 60, 60, thing(1))), config_of(stride=stride))
    assert targets["heatmap"][..., TOP_LEFT].sum() == num_cells


def test_a_cell_belongs_to_the_nearest_keypoint_and_to_the_lower_id_of_two_equally_near():
    # Top left corners at (1, 1) and (1, 5): column 3 is 2 from both. The higher id comes first in the picture.
    panoptic_ids = scene((5, 9), (1, 1, 2, 2, thing(7)), (1, 5, 2, 6, thing(2)))
    short = targets_of(panoptic_ids, config_of(radius=3, stride=1))["short_offsets"]
    assert [short[1, x, 1] for x in range(1, 8)] == [0, -1, 2, 1, 0, -1, -2]


def test_one_instance_id_in_two_classes_is_two_instances():
    panoptic_ids = scene((4, 8), (0, 0, 3, 3, thing(1)), (0, 4, 3, 7, thing(1, OTHER_THING)))
    long = targets_of(panoptic_ids, config_of(stride=1))["long_offsets"]
    assert long[0, 0, 2 * TOP_RIGHT : 2 * TOP_RIGHT + 2].tolist() == [0, 3]
    assert long[0, 4, 2 * TOP_RIGHT : 2 * TOP_RIGHT + 2].tolist() == [0, 3]


def test_crowd_and_ignored_pixels_train_no_map_and_ignored_ones_no_semantics():
    panoptic_ids = scene((6, 6), (0, 0, 1, 1, thing(1)), (0, 2, 1, 2, thing(0)), (2, 0, 2, 0, VOID * 1000 + 3))
    targets = targets_of(panoptic_ids, config_of(radius=3, stride=1))
    expected = np.ones([6, 6])
    expected[0:2, 2] = expected[2, 0] = 0
    np.testing.assert_array_equal(targets["heatmap_weight"], expected)
    untrained = expected == 0
    assert targets["heatmap"][untrained][:, TOP_RIGHT].all()  # the disk is there
    for name in OFFSETS:
        assert not targets[f"has_{name}"][untrained].any() and not targets[name][untrained].any()
    expected = np.ones([6, 6])
    expected[0:2, 0:2], expected[2, 0] = 3, 0
    np.testing.assert_array_equal(targets["label_weight"], expected)


def test_instances_of_less_than_64_by_64_pixels_weigh_3():
    large, small = scene((70, 140), (0, 0, 63, 63, thing(1))), scene((70, 140), (0, 70, 63, 133, thing(2)))
    small[0, 70] = 0
    weight = targets_of(large + small, config_of())["label_weight"]
    np.testing.assert_array_equal(weight, np.where(small, 3.0, 1.0))
    weight = targets_of(large + small, config_of(small_instance_weight=1.0))["label_weight"]
    np.testing.assert_array_equal(weight, np.ones([70, 140]))


def test_instance_ids_on_stuff_are_no_instances():
    targets = targets_of(scene((8, 8), (2, 2, 5, 5, 1)), config_of(stride=1))
    assert not targets["heatmap"].any() and not targets["has_long_offsets"].any()
    assert targets["heatmap_weight"].all() and (targets["label_weight"] == 1).all()


@pytest.mark.parametrize("graph", sorted(GRAPHS))
@pytest.mark.parametrize("panoptic_id", [0, thing(0), VOID * 1000])
def test_a_crop_without_instances_has_empty_maps(graph, panoptic_id):
    targets = targets_of(np.full([9, 6], panoptic_id), config_of(graph))
    num_keypoints, num_edges = GRAPHS[graph].num_keypoints, len(GRAPHS[graph].edges)
    assert targets["heatmap"].shape == (3, 2, num_keypoints)
    assert [targets[name].shape[2] for name in OFFSETS] == [2 * num_keypoints, 2 * num_edges, 2 * num_keypoints]
    for name in ("heatmap", *OFFSETS):
        assert not targets[name].any()


SCENES = {
    "apart": lambda: synthetic_instances.ellipses((161, 133), 12, (8, 60), seed=1),
    "over one another": lambda: synthetic_instances.ellipses((161, 133), 30, (8, 60), seed=2, gap=None),
    "300 instances": lambda: synthetic_instances.ellipses((721, 721), 300, (12, 60), seed=3),
    "one pixel": lambda: scene((6, 7), (5, 6, 5, 6, thing(999))),
}


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize(("graph", "stride"), [("star", 4), ("rectangle", 4), ("star", 3), ("cross", 2)])
def test_targets_equal_the_maps_of_a_network_that_makes_no_mistake(name, graph, stride):
    panoptic_ids = SCENES[name]()
    generator = np.random.default_rng(0)
    height, width = panoptic_ids.shape
    for untrained_id in (VOID * synthetic_instances.LABEL_DIVISOR, thing(0)):
        top, left = generator.integers(height), generator.integers(width)
        panoptic_ids[top : top + height // 6, left : left + width // 6] = untrained_id
    targets = targets_of(panoptic_ids, config_of(graph, stride=stride))
    maps = synthetic_instances.perfect_maps(panoptic_ids, GRAPHS[graph], stride)
    is_trained = ~np.isin(panoptic_ids, [VOID * synthetic_instances.LABEL_DIVISOR, thing(0)])[::stride, ::stride]
    np.testing.assert_array_equal(targets["heatmap"], maps.heatmap_logits > 0)
    np.testing.assert_array_equal(targets["heatmap_weight"], is_trained)
    for field in OFFSETS:
        np.testing.assert_array_equal(targets[field], getattr(maps, field) * is_trained[..., np.newaxis], field)
        vectors = targets[field].reshape(*is_trained.shape, -1, 2)
        assert not (vectors.any(axis=-1) & ~targets[f"has_{field}"]).any()


def test_a_crop_has_the_targets_of_the_whole_where_it_shows_whole_instances():
    panoptic_ids = scene((60, 80), (20, 24, 35, 43, thing(1)), (30, 48, 47, 55, thing(2)))
    whole = targets_of(panoptic_ids, config_of(radius=10))
    crop = targets_of(panoptic_ids[12:52, 16:68], config_of(radius=10))
    for name in ("heatmap", "heatmap_weight", *OFFSETS, *(f"has_{name}" for name in OFFSETS)):
        np.testing.assert_array_equal(crop[name], whole[name][3:13, 4:17], name)
    np.testing.assert_array_equal(crop["label_weight"], whole["label_weight"][12:52, 16:68])


def test_keypoints_of_a_cut_instance_are_those_of_what_is_left():
    panoptic_ids = scene((20, 20), (4, 4, 11, 11, thing(1)))
    long = targets_of(panoptic_ids[8:], config_of(stride=1))["long_offsets"]
    assert long[0, 4].tolist() == [0, 0, 0, 7, 3, 0, 3, 7, 1.5, 3.5]


def mirrored(channels, order):
    """Flips the columns of maps of vectors, and reorders the vectors."""
    vectors = channels[:, ::-1].reshape(*channels.shape[:2], -1, 2)[:, :, order]
    return (vectors * [1, -1]).reshape(channels.shape)


CORNERS = [TOP_RIGHT, TOP_LEFT, BOTTOM_RIGHT, BOTTOM_LEFT]
# The keypoint that each one becomes; of a cross only left (1) and right (2) change places.
MIRRORED = {"star": [*CORNERS, CENTER], "rectangle": CORNERS, "cross": [0, 2, 1, 3, CENTER]}


@pytest.mark.parametrize("graph", sorted(GRAPHS))
def test_targets_of_a_mirrored_crop_are_the_mirrored_targets_with_left_and_right_swapped(graph):
    # With 16 * 4 + 1 columns the grid of cells mirrors onto itself.
    panoptic_ids = synthetic_instances.ellipses((53, 65), 5, (6, 24), seed=4)
    targets = targets_of(panoptic_ids, config_of(graph, radius=9))
    flipped = targets_of(panoptic_ids[:, ::-1], config_of(graph, radius=9))
    keypoints = MIRRORED[graph]
    edges = [GRAPHS[graph].edges.index((keypoints[a], keypoints[b])) for a, b in GRAPHS[graph].edges]
    np.testing.assert_array_equal(flipped["heatmap"], targets["heatmap"][:, ::-1][..., keypoints])
    for name, order in (("short_offsets", keypoints), ("long_offsets", keypoints), ("middle_offsets", edges)):
        np.testing.assert_allclose(flipped[name], mirrored(targets[name], order), atol=1e-5, err_msg=name)


@pytest.mark.slow
def test_in_a_data_set_all_shapes_are_known():
    config = config_of()
    example = {"image": tf.zeros([33, 30, 3]), "label": tf.zeros([33, 30], tf.int32), "filename": "a.png"}
    example["instance"] = tf.zeros([33, 30], tf.int32)
    dataset = tf.data.Dataset.from_tensors(example).map(lambda example: panoptic(example, INFO, config)).batch(1)
    shapes = {key: tuple(spec.shape[1:]) for key, spec in dataset.element_spec.items()}
    assert shapes["image"] == (33, 30, 3) and shapes["label"] == shapes["label_weight"] == (33, 30)
    assert shapes["filename"] == () and "instance" not in shapes
    assert shapes["heatmap"] == shapes["has_short_offsets"] == (9, 8, 5)
    assert shapes["heatmap_weight"] == (9, 8) and shapes["has_middle_offsets"] == (9, 8, 8)
    assert shapes["has_long_offsets"] == (9, 8, 1)
    assert [shapes[name] for name in OFFSETS] == [(9, 8, 10), (9, 8, 16), (9, 8, 10)]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"graph": "ring"}, "graph is one of star, rectangle, cross, not 'ring'"),
        ({"radius": 0.0}, "radius is 0.0"),
        ({"stride": 0}, "target stride is 0"),
        ({"small_instance_weight": -1.0}, "small_instance_weight is -1.0"),
    ],
)
def test_fields_that_make_no_targets_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        PanopticTargetConfig(**fields)


def cut(panoptic_ids, top, left, size, config, scale=1, is_flipped=False):
    """Returns the targets of a crop of [H, W] ids, which are first mirrored and enlarged."""
    source = np.asarray(panoptic_ids, np.int32)
    shown = source[:, ::-1] if is_flipped else source
    shown = shown.repeat(scale, 0).repeat(scale, 1)[top : top + size[0], left : left + size[1]]
    geometry = Geometry(
        source_size=tf.constant(source.shape),
        scale=tf.constant([scale, scale], tf.float32),
        scaled_size=tf.constant(source.shape) * scale,
        offset=tf.constant([top, left]),
        is_flipped=tf.constant(is_flipped),
        angle=tf.constant(0.0),
    )
    label, instance = np.divmod(shown, synthetic_instances.LABEL_DIVISOR)
    source_label, source_instance = np.divmod(source, synthetic_instances.LABEL_DIVISOR)
    example = {"image": np.zeros([*size, 3]), "label": label, "instance": instance, "filename": "a.png"}
    example |= {"source_label": source_label, "source_instance": source_instance}
    example = {key: tf.constant(value) for key, value in example.items()} | {"geometry": geometry}
    return {key: value.numpy() for key, value in panoptic(example, INFO, config).items()}


# Two boxes; the crop (rows 4 to 11, columns 0 to 7) cuts the second, and does not show the third.
BOXES = scene((16, 16), (4, 0, 7, 3, thing(2)), (6, 5, 13, 12, thing(5)), (0, 14, 1, 15, thing(9)))


def test_full_geometry_points_to_keypoints_outside_of_the_crop():
    full, crop = (cut(BOXES, 4, 0, (8, 8), config_of(radius=3, stride=1, geometry=kind)) for kind in ("full", "crop"))
    bottom_right = slice(6, 8)
    # Pixel (4, 6) of the crop is pixel (8, 6) of the image, where the box ends at (13, 12), in the crop at (7, 7).
    assert full["long_offsets"][4, 6, bottom_right].tolist() == [5, 6]
    assert crop["long_offsets"][4, 6, bottom_right].tolist() == [3, 1]
    assert full["long_offsets"][1, 1].tolist() == crop["long_offsets"][1, 1].tolist()  # a box that is whole
    # Bottom right corners: that of the whole box, at (3, 3), has 29 cells; that of the other is too far away.
    assert full["heatmap"][..., 3].sum() == 29
    assert crop["heatmap"][..., 3].sum() > 29
    assert full["label_weight"].tolist() == crop["label_weight"].tolist()


def test_full_geometry_of_a_whole_image_is_that_of_the_crop():
    full, crop = (cut(BOXES, 0, 0, (16, 16), config_of(radius=3, stride=1, geometry=kind)) for kind in ("full", "crop"))
    for name, values in crop.items():
        np.testing.assert_array_equal(full[name], values, err_msg=name)


def test_full_geometry_follows_mirroring_and_scale():
    full = cut(BOXES, 12, 6, (10, 12), config_of(radius=3, stride=1, geometry="full"), scale=2, is_flipped=True)
    # Mirrored, the second box has rows 6 to 13 and columns 3 to 10. Enlarged, its middle is (19.5, 13.5), which is
    # (7.5, 7.5) in the crop. Corners are the middles of enlarged pixels: (12.5, 6.5) is (0.5, 0.5).
    assert full["long_offsets"][2, 2].tolist()[:2] == [-1.5, -1.5]
    assert full["long_offsets"][2, 2].tolist()[-2:] == [5.5, 5.5]
    assert full["long_offsets"][2, 2].tolist()[6:8] == [26.5 - 14, 20.5 - 8]


def test_other_geometries_are_refused():
    with pytest.raises(InputError, match="geometry is 'half'; one of crop, full"):
        config_of(geometry="half")
