"""The whole fusion: its inputs, its outputs, and images with little to find."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

from tests.hanging import HANG_SECONDS
from tests.postprocess.scores import mean_quality
from tfseg.benchmarks.synthetic_instances import (
    LABEL_DIVISOR,
    THING_IDS,
    background,
    perfect_maps,
    rectangles,
    thing_id,
)
from tfseg.errors import InputError
from tfseg.postprocess.fusion import fuse
from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.instance_maps import InstanceMaps
from tfseg.postprocess.keypoint_graphs import GRAPHS

SIZE = (129, 161)
EMPTY = background(SIZE)
SQUARES = rectangles(SIZE, 2, 3, (24, 32))


def fused(panoptic_ids, maps=None, semantic=None, config=None, thing_ids=THING_IDS, divisor=LABEL_DIVISOR, size=None):
    config = config or FusionConfig()
    maps = maps or perfect_maps(panoptic_ids, config.keypoint_graph, 4)
    semantic = panoptic_ids // LABEL_DIVISOR if semantic is None else semantic
    return fuse(semantic, maps, thing_ids, divisor, size, config)


def silent_maps(size=SIZE):
    """Maps of a network that sees no instances."""
    grid = [-(-side // 4) for side in size]
    return InstanceMaps(np.full([*grid, 5], -9.0), *(np.zeros([*grid, channels]) for channels in (10, 10, 16)))


@pytest.mark.parametrize("graph", GRAPHS)
def test_separate_instances_are_found_with_class_area_keypoints_and_score(graph):
    prediction = fused(SQUARES, config=FusionConfig(graph=graph))
    assert mean_quality(SQUARES, prediction.panoptic_ids, LABEL_DIVISOR) == 1
    assert prediction.panoptic_ids.dtype == np.int32
    assert sorted((found.class_id, found.area) for found in prediction.instances) == [
        (class_id, 24 * 32) for class_id in (2, 2, 3, 3, 4, 4)
    ]
    for found in prediction.instances:
        rows, columns = np.nonzero(prediction.panoptic_ids == found.panoptic_id)
        assert found.area == len(rows)
        assert found.panoptic_id // LABEL_DIVISOR == found.class_id
        assert 0.5 < found.score <= 1
        box = {"top": rows.min(), "bottom": rows.max()}, {"left": columns.min(), "right": columns.max()}
        center = {"center": rows.mean()}, {"center": columns.mean()}
        expected = GRAPHS[graph].placed(*(sides | middle for sides, middle in zip(box, center, strict=True)))
        np.testing.assert_allclose(found.keypoints, expected, atol=1)
    scores = [found.score for found in prediction.instances]
    assert scores == sorted(scores, reverse=True)
    assert {found.panoptic_id % LABEL_DIVISOR for found in prediction.instances} == {1, 2}


def test_class_ids_of_pixels_or_cells_and_logits_of_cells_give_the_same_instances():
    class_ids = (SQUARES // LABEL_DIVISOR).astype(np.uint8)
    logits = np.eye(5)[class_ids[::4, ::4]]
    for semantic in (class_ids, class_ids.astype(np.int64), class_ids[::4, ::4], logits):
        prediction = fused(SQUARES, semantic=semantic, size=SIZE)
        assert len(prediction.instances) == 6
        assert prediction.panoptic_ids.shape == SIZE
        assert mean_quality(SQUARES, prediction.panoptic_ids, LABEL_DIVISOR) > 0.85


def test_two_touching_instances_of_a_class_are_told_apart_pixel_by_pixel_at_stride_1():
    panoptic_ids = background((65, 97))
    panoptic_ids[20:50, 20:45], panoptic_ids[20:50, 45:80] = thing_id(0), thing_id(3)
    prediction = fused(panoptic_ids, perfect_maps(panoptic_ids, GRAPHS["star"], 1))
    assert mean_quality(panoptic_ids, prediction.panoptic_ids, LABEL_DIVISOR) == 1


def test_offsets_where_the_network_is_not_trained_do_not_matter():
    maps = perfect_maps(SQUARES, GRAPHS["star"], 4)
    generator = np.random.default_rng(0)
    spoiled = {}
    for name in ("long_offsets", "short_offsets", "middle_offsets"):
        offsets = getattr(maps, name)
        spoiled[name] = np.where(offsets == 0, generator.uniform(-150, 150, offsets.shape), offsets)
    on_cells = SQUARES[::4, ::4] % LABEL_DIVISOR > 0
    spoiled["long_offsets"][on_cells] = maps.long_offsets[on_cells]
    near = maps.heatmap_logits > 0
    spoiled["short_offsets"][np.repeat(near, 2, axis=2)] = maps.short_offsets[np.repeat(near, 2, axis=2)]
    starts = near[..., [start for start, _ in GRAPHS["star"].edges]].repeat(2, axis=2)
    spoiled["middle_offsets"][starts] = maps.middle_offsets[starts]
    prediction = fused(SQUARES, dataclasses.replace(maps, **spoiled))
    assert mean_quality(SQUARES, prediction.panoptic_ids, LABEL_DIVISOR) == 1


def test_short_range_offsets_correct_nothing_where_the_heatmap_is_unsure():
    maps = perfect_maps(SQUARES, GRAPHS["star"], 4)
    maps.heatmap_logits[..., 0] = -0.5  # a probability of .38 for top left corners, everywhere
    maps.short_offsets[..., :2] = 20
    corners = {tuple(np.rint(found.keypoints[0]).tolist()) for found in fused(SQUARES, maps).instances}
    # Rectangles of 24x32 around rows 32 and 96 and columns 26, 80 and 134.
    assert corners == {(y, x) for y in (20, 84) for x in (10, 64, 118)}
    trusting = fused(SQUARES, maps, config=FusionConfig(refine_min_probability=0.0)).instances
    assert not corners & {tuple(np.rint(found.keypoints[0]).tolist()) for found in trusting}


def test_an_instance_with_weak_keypoints_is_dropped_and_its_pixels_go_to_the_nearest():
    maps = perfect_maps(SQUARES, GRAPHS["star"], 4)
    maps.heatmap_logits[:, 28:] = np.minimum(maps.heatmap_logits[:, 28:], -1.5)  # .18 for the two squares on the right
    assert len(fused(SQUARES, maps).instances) == 6
    prediction = fused(SQUARES, maps, config=FusionConfig(instance_score_min=0.3))
    assert sorted(found.area for found in prediction.instances) == [768, 768, 2 * 768, 2 * 768]


def test_an_instance_takes_the_class_that_most_of_its_pixels_have():
    semantic = SQUARES // LABEL_DIVISOR
    rows, columns = np.nonzero(thing_id(0) == SQUARES)
    semantic[rows[:300], columns[:300]] = 4  # of 768 pixels of class 2
    prediction = fused(SQUARES, semantic=semantic, maps=perfect_maps(SQUARES, GRAPHS["star"], 4))
    assert mean_quality(SQUARES, prediction.panoptic_ids, LABEL_DIVISOR) == 1


def test_an_image_of_stuff_has_no_instances():
    prediction = fused(EMPTY)
    np.testing.assert_array_equal(prediction.panoptic_ids, EMPTY)
    assert prediction.instances == []


def test_an_instance_that_covers_everything_is_one():
    everything = np.full(SIZE, thing_id(1))
    prediction = fused(everything)
    assert (prediction.panoptic_ids == thing_id(1)).all()
    [found] = prediction.instances
    assert (found.class_id, found.area) == (3, SIZE[0] * SIZE[1])


def test_an_image_of_void_stays_void():
    prediction = fused(EMPTY, semantic=np.full(SIZE, 255))
    assert (prediction.panoptic_ids == 255 * LABEL_DIVISOR).all()
    assert prediction.instances == []


def test_an_image_without_pixels_has_no_panoptic_ids():
    prediction = fuse(np.zeros([0, 8], np.uint8), silent_maps((0, 8)), THING_IDS, LABEL_DIVISOR)
    assert prediction.panoptic_ids.shape == (0, 8)


def test_things_without_keypoints_become_one_instance_a_class():
    prediction = fused(SQUARES, maps=silent_maps())
    assert [(found.panoptic_id, found.class_id, found.area) for found in prediction.instances] == [
        (class_id * LABEL_DIVISOR + 1, class_id, 2 * 24 * 32) for class_id in (2, 3, 4)
    ]
    assert all(found.score == 0 and found.keypoints is None for found in prediction.instances)
    assert set(np.unique(prediction.panoptic_ids)) == {0, 1000, 2001, 3001, 4001}


def test_a_thing_between_all_cells_belongs_to_the_nearest_instance():
    panoptic_ids = SQUARES.copy()
    panoptic_ids[1:3, 1:3] = thing_id(0)
    maps = perfect_maps(SQUARES, GRAPHS["star"], 4)
    prediction = fused(panoptic_ids, maps)
    [owner] = np.unique(prediction.panoptic_ids[1:3, 1:3])
    assert owner == prediction.panoptic_ids[32, 26]  # the square on the top left


def test_a_thing_between_all_cells_of_an_image_without_others_is_an_instance():
    panoptic_ids = EMPTY.copy()
    panoptic_ids[1:3, 1:3] = thing_id(0)
    [found] = fused(panoptic_ids).instances
    assert (found.panoptic_id, found.area) == (thing_id(0), 4)


def test_no_more_instances_are_kept_than_the_divisor_has_numbers_for():
    prediction = fused(SQUARES, divisor=5)
    assert len(prediction.instances) == 4
    assert prediction.panoptic_ids.max() < 5 * 5
    assert (prediction.panoptic_ids % 5 > 0).sum() == 6 * 24 * 32  # pixels of the others are with the nearest


def test_the_arrays_of_the_caller_are_left_alone():
    maps = perfect_maps(SQUARES, GRAPHS["star"], 4)
    before = {name: value.copy() for name, value in vars(maps).items() if name != "stride"}
    semantic = (SQUARES // LABEL_DIVISOR).astype(np.uint8)
    fused(SQUARES, maps, semantic)
    np.testing.assert_array_equal(semantic, SQUARES // LABEL_DIVISOR)
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(maps, name), value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"semantic": np.zeros([129, 160], int), "size": SIZE},
            r"semantic has shape \(129, 160\), but this image needs",
        ),
        ({"semantic": np.zeros([33, 41, 0]), "size": SIZE}, r"semantic has shape \(33, 41, 0\)"),
        ({"semantic": np.zeros([33, 41, 5])}, r"logits do not tell the image's size: pass size=\(height, width\)"),
        ({"semantic": np.zeros(SIZE)}, "semantic has float64 values; class ids must be integers"),
        ({"semantic": np.full(SIZE, 256)}, "semantic has values 256 to 256; class ids must be 0 to 255"),
        ({"semantic": np.full(SIZE, -1)}, "semantic has values -1 to -1"),
        ({"divisor": 1}, "label_divisor is 1; it must be from 2 to"),
        ({"divisor": 10**8}, "label_divisor is 100000000"),
        ({"thing_ids": {3, 255}}, r"thing_ids are \[3, 255\]; they must be from 0 to 254"),
        ({"config": FusionConfig(graph="rectangle")}, r"heatmap_logits has shape \(33, 41, 5\), but 4 keypoints"),
    ],
)
def test_what_does_not_go_together_is_one_clear_line(arguments, message):
    with pytest.raises(InputError, match=f"^{message}[^\n]*$"):
        fused(EMPTY, maps=silent_maps(), **arguments)


def test_the_fusion_runs_without_tensorflow():
    code = "import sys, tfseg.benchmarks.fusion; sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=HANG_SECONDS).returncode == 0


def test_logits_that_are_not_finite_are_refused():
    maps = perfect_maps(background((33, 33)), GRAPHS["star"], 4)
    logits = np.zeros([9, 9, 3], np.float32)
    logits[4, 4, 1] = np.nan
    with pytest.raises(InputError, match="semantic holds logits that are not finite"):
        fuse(logits, maps, THING_IDS, LABEL_DIVISOR, size=(33, 33))


def test_a_stride_is_a_whole_number_of_any_type():
    maps = dataclasses.replace(perfect_maps(background((33, 33)), GRAPHS["star"], 4), stride=4.0)
    assert fuse(np.zeros([33, 33], np.uint8), maps, THING_IDS, LABEL_DIVISOR).panoptic_ids.shape == (33, 33)
