import concurrent.futures
import dataclasses
import itertools
import multiprocessing

import numpy as np
import pytest

from tfseg.data.scenes import streets
from tfseg.data.scenes.drawing import INSTANCE_UNIT, SCALE, Canvas
from tfseg.data.scenes.layout import sample_world
from tfseg.data.scenes.world import CAR, PERSON, POLE, ROAD, SKY, VOID, Camera, CameraMotion, Thing, World
from tfseg.labels import IGNORE_LABEL, to_panoptic

GREY = np.full((4, 3), 0.5)
# Looks along the street from 2 m above the middle of the road. 1 m at a depth of 1 m is 100 pixels. Horizon: row 50.
CAMERA = Camera(x=0.0, y=2.0, z=0.0, yaw=0.0, focal=100.0, horizon=50.0)


def world_of(*things: Thing, camera=CAMERA, speed=0.0, hood=0.0) -> World:
    """An empty street with only the given things."""
    world = sample_world(np.random.default_rng(0))
    motion = CameraMotion(speed=speed, yaw_rate=0.0, bobbing=0.0)
    return dataclasses.replace(world, camera=camera, motion=motion, walls=(), things=things, hood=hood)


def post(instance_id, x, z, velocity=(0.0, 0.0)) -> Thing:
    """A post 1 m high."""
    return Thing("post", POLE, instance_id, (x, z), (0.4, 1.0), GREY, velocity)


def instances(world, frame_id=0):
    return streets.render(world, frame_id, seed=(0,))[2]


def centroid(mask):
    """Returns the mean (row, column)."""
    return np.argwhere(mask).mean(0)


@pytest.fixture(scope="module")
def samples():
    """{split: 24 scenes}."""
    return {split: [streets.generate(split, index) for index in range(24)] for split in streets.SPLIT_SIZES}


def test_a_scene_is_the_same_whenever_and_wherever_it_is_made(samples):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        other = pool.submit(streets.generate, "clips", 11).result()
    for name in ("image", "class_ids", "instance_ids"):
        np.testing.assert_array_equal(getattr(other, name), getattr(samples["clips"][11], name))
    assert (other.sequence_id, other.frame_id) == ("clips_0001", 3)


def test_no_two_scenes_are_alike_within_a_split_or_across_splits(samples):
    streets = [*samples["train"], *samples["val"], samples["clips"][0]]
    assert len({scene.class_ids.tobytes() for scene in streets}) == len(streets)
    assert len({scene.sequence_id for scene in streets}) == len(streets)


def test_shapes_types_and_ranges(samples):
    for scene in samples["val"]:
        assert (scene.image.shape, scene.image.dtype) == ((128, 192, 3), np.uint8)
        assert (scene.class_ids.shape, scene.class_ids.dtype) == ((128, 192), np.uint8)
        assert (scene.instance_ids.shape, scene.instance_ids.dtype) == ((128, 192), np.int32)
        assert set(np.unique(scene.class_ids)) <= {*range(streets.INFO.num_classes), IGNORE_LABEL}
        assert 0 <= scene.instance_ids.min() <= scene.instance_ids.max() < streets.INFO.label_divisor


@pytest.mark.parametrize("split", ["train", "val"])
def test_every_class_occurs_and_none_rules(samples, split):
    counts = sum(np.bincount(scene.class_ids.ravel(), minlength=256) for scene in samples[split])
    shares = dict(zip(streets.INFO.class_names, counts / counts.sum(), strict=False))
    assert min(shares.values()) > 0.005, shares
    assert 0.2 < shares["road"] == max(shares.values()) < 0.45, shares
    assert 0.002 < counts[IGNORE_LABEL] / counts.sum() < 0.08


def test_pictures_are_neither_black_nor_burnt_out(samples):
    means = [scene.image.mean() for scene in samples["train"]]
    assert 30 < min(means) < max(means) < 225
    assert min(scene.image.std() for scene in samples["train"]) > 12


def test_things_have_instances_of_one_class_and_stuff_has_none(samples):
    for scene in samples["val"] + samples["clips"]:
        is_thing = np.isin(scene.class_ids, list(streets.INFO.thing_ids))
        np.testing.assert_array_equal(scene.instance_ids > 0, is_thing)
        segments = np.unique(to_panoptic(scene.class_ids, scene.instance_ids, 1000)[is_thing])
        assert len(segments) == len(np.unique(scene.instance_ids[is_thing]))


def test_several_instances_of_a_class_touch_in_many_scenes(samples):
    def touching(scene):
        left, right = scene.instance_ids[:, :-1], scene.instance_ids[:, 1:]
        same_class = scene.class_ids[:, :-1] == scene.class_ids[:, 1:]
        return (same_class & (left != right)).any()

    assert sum(touching(scene) for scene in samples["train"]) > 8


def test_a_clip_is_eight_frames_of_one_street_whose_things_keep_their_ids(samples):
    clip = samples["clips"][:8]
    assert [scene.frame_id for scene in clip] == list(range(8))
    assert {scene.sequence_id for scene in clip} == {"clips_0000"}
    classes = {}
    for scene in clip:
        for instance in np.unique(scene.instance_ids)[1:]:
            class_id = scene.class_ids[scene.instance_ids == instance][0]
            assert classes.setdefault(instance, class_id) == class_id
    first, last = (set(np.unique(clip[index].instance_ids)) for index in (0, 1))
    assert len(first & last) > len(first) / 2


def test_a_clip_changes_from_frame_to_frame_but_not_much(samples):
    for start in (0, 8, 16):
        clip = samples["clips"][start : start + 8]
        for before, after in itertools.pairwise(clip):
            changed = (before.class_ids != after.class_ids).mean()
            assert 0.002 < changed < 0.3


def test_a_point_is_projected_by_focal_length_over_depth():
    canvas = Canvas(CAMERA, world_of().light, np.random.default_rng(0))
    points, depth = canvas.project([(1, 0, 10), (0, 2, 10), (-1, 0, 20)])
    # 1 m at a depth of 10 m is 100 / 10 = 10 pixels, and the canvas has twice the resolution.
    np.testing.assert_allclose(points, np.array([(96 + 10, 50 + 20), (96, 50), (96 - 5, 50 + 10)]) * SCALE)
    np.testing.assert_allclose(depth, [10, 10, 20])
    np.testing.assert_allclose(canvas.to_world(*canvas.to_camera(3.0, 7.0)), (3, 7))


def test_a_polygon_gets_colour_and_label_in_the_same_pixels():
    canvas = Canvas(CAMERA, world_of().light, np.random.default_rng(0))
    canvas.polygon([(10.3, 20.1), (90.7, 33.3), (40.2, 95.9)], (255, 255, 255), CAR + 7 * INSTANCE_UNIT)
    np.testing.assert_array_equal(canvas.rgb[..., 0] == 255, canvas.labels != SKY)
    picture, class_ids, instance_ids = canvas.finish()
    np.testing.assert_array_equal(instance_ids, np.where(class_ids == CAR, 7, 0))
    assert picture[class_ids == CAR].min() >= 0.25  # its own pixel weighs a quarter or more
    assert picture[class_ids == SKY].max() <= 0.75


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_nearer_thing_covers_the_farther_one_and_is_larger(order):
    car = Thing("car", CAR, 1, (0.0, 8.0), (1.0, 1.0), GREY)
    person = Thing("person", PERSON, 2, (0.5, 14.0), (1.0, 1.8), GREY)
    alone = [instances(world_of(thing)) > 0 for thing in (car, person)]
    assert (alone[0] & alone[1]).any()
    both = instances(world_of(*[(car, person)[i] for i in order]))
    np.testing.assert_array_equal(both, np.where(alone[0], 1, np.where(alone[1], 2, 0)))


def test_a_post_at_half_the_distance_is_twice_as_high_and_stands_lower():
    far, near = (np.argwhere(instances(world_of(post(1, 0.0, z))))[:, 0] for z in (10.0, 5.0))
    assert np.ptp(far) + 1 == pytest.approx(10, abs=1)
    assert np.ptp(near) + 1 == pytest.approx(20, abs=1)
    assert (far.max(), near.max()) == pytest.approx((50 + 20, 50 + 40), abs=1)


def test_a_thing_moves_by_its_own_speed():
    world = world_of(post(1, -1.0, 10.0, velocity=(0.5, 0.0)), post(2, 3.0, 10.0))
    shifts = [centroid(instances(world, 4) == i) - centroid(instances(world, 0) == i) for i in (1, 2)]
    # 4 frames of 0.5 m at 10 pixels per metre.
    np.testing.assert_allclose(shifts, [(0, 20), (0, 0)], atol=0.6)


def test_what_stands_still_moves_outwards_when_the_camera_drives_and_near_things_move_more():
    world = world_of(post(1, 2.0, 10.0), post(2, 2.0, 20.0), speed=1.0)
    shifts = [(centroid(instances(world, 5) == i) - centroid(instances(world, 0) == i))[1] for i in (1, 2)]
    np.testing.assert_allclose(shifts, [200 / 5 - 200 / 10, 200 / 15 - 200 / 20], atol=0.8)


def test_a_turn_to_the_right_moves_everything_to_the_left():
    turned = dataclasses.replace(CAMERA, yaw=0.1)
    before, after = (centroid(instances(world_of(post(1, 0.0, 10.0), camera=c))) for c in (CAMERA, turned))
    assert (after - before)[1] == pytest.approx(-100 * np.tan(0.1), abs=0.6)


def test_facades_and_textures_stay_fixed_to_the_street_while_the_camera_turns():
    world = sample_world(np.random.default_rng(3))
    still = dataclasses.replace(world, things=(), motion=CameraMotion(0.0, 0.0, 0.0))
    first, second = (streets.render(still, frame_id, (0,)) for frame_id in (0, 1))
    np.testing.assert_array_equal(first[1], second[1])
    # Only the sensor's noise differs.
    assert 0 < np.abs(first[0].astype(float) - second[0]).mean() < 30


def test_bins_and_the_hood_are_ignored_and_nothing_else():
    assert not (streets.render(world_of(), 0, (0,))[1] == VOID).any()
    with_hood = streets.render(world_of(hood=0.1), 0, (0,))[1]
    assert (with_hood[-1] == VOID).mean() > 0.9
    assert (with_hood[:-20] != VOID).all()
    with_bin = streets.render(world_of(Thing("bin", VOID, 0, (0.0, 6.0), (0.8, 1.2), GREY)), 0, (0,))
    assert 100 < (with_bin[1] == VOID).sum() < 1000
    assert not with_bin[2].any()


def test_the_sun_casts_shadows_on_the_road():
    world = world_of(Thing("bin", VOID, 0, (0.0, 8.0), (0.8, 2.0), GREY))
    light = dataclasses.replace(world.light, sun=1.0, shadow=(1.5, 0.0), noise=0.0, blur=0.0, haze=0.0)
    dull = dataclasses.replace(light, sun=0.0)
    bright, shaded = (
        streets.render(dataclasses.replace(world, light=values), 0, (0,))[0].astype(float) for values in (dull, light)
    )
    # A height of 1.2 m casts a shadow of 1.8 m at 12.5 pixels per metre, to the right of its foot in row 50 + 200 / 8.
    assert shaded[75, 96 + 15].mean() < 0.8 * bright[75, 96 + 15].mean()
    np.testing.assert_array_equal(shaded[75, 96 - 15], bright[75, 96 - 15])


def test_a_frame_that_does_not_exist_is_refused():
    for split, index in (("holiday", 0), ("val", 100), ("val", -1)):
        with pytest.raises(ValueError, match=f"no frame {index} in split {split}"):
            streets.generate(split, index)


def test_the_road_is_below_the_horizon_and_the_sky_above_it():
    class_ids = streets.render(world_of(), 0, (0,))[1]
    assert (class_ids[:50] == SKY).all()
    assert (class_ids[54:, 96] == ROAD).all()
