"""Maps of a perfect network give back the label; a little noise does no harm, and memory use stays small."""

import dataclasses

import numpy as np
import pytest

from tests.postprocess.scores import mean_quality
from tfseg.benchmarks.fusion import merge_of, peak_megabytes
from tfseg.benchmarks.synthetic_instances import (
    LABEL_DIVISOR,
    NUM_STUFF,
    THING_IDS,
    background,
    ellipses,
    perfect_maps,
    rectangles,
    thing_id,
)
from tfseg.data.scenes import crowds
from tfseg.metrics.panoptic_quality import PanopticQuality
from tfseg.postprocess.fusion import fuse
from tfseg.postprocess.fusion_config import FusionConfig
from tfseg.postprocess.keypoint_graphs import GRAPHS

DIAMETERS = (8, 200)
OFFSETS = ("long_offsets", "short_offsets", "middle_offsets")


def fused(panoptic_ids, stride=4, noise=0.0, config=None):
    """Fuses the maps of a scene; noise is the standard deviation of the error in all offsets, in pixels."""
    config = config or FusionConfig()
    maps = perfect_maps(panoptic_ids, config.keypoint_graph, stride)
    generator = np.random.default_rng(1)
    noisy = {name: getattr(maps, name) + generator.normal(0, noise, getattr(maps, name).shape) for name in OFFSETS}
    class_ids = (panoptic_ids // LABEL_DIVISOR).astype(np.uint8)
    return fuse(class_ids, dataclasses.replace(maps, **noisy), THING_IDS, LABEL_DIVISOR, config=config)


def things_and_all(panoptic_ids, prediction):
    """Returns (PQ of things, PQ of all classes)."""
    found = prediction.panoptic_ids
    return tuple(mean_quality(panoptic_ids, found, LABEL_DIVISOR, class_ids) for class_ids in (THING_IDS, None))


def num_instances(panoptic_ids):
    return len(np.unique(panoptic_ids[panoptic_ids >= NUM_STUFF * LABEL_DIVISOR]))


@pytest.mark.parametrize("graph", sorted(GRAPHS))
def test_on_a_small_image_all_is_found_at_stride_1(graph):
    panoptic_ids = ellipses((161, 145), 20, (8, 60), seed=20)
    prediction = fused(panoptic_ids, stride=1, config=FusionConfig(graph=graph))
    assert things_and_all(panoptic_ids, prediction) == (1, 1)
    assert len(prediction.instances) == 20


@pytest.mark.parametrize("count", [5, 36, 73])
def test_instances_that_do_not_touch_are_found_at_stride_4(count):
    panoptic_ids = ellipses((721, 721), count, DIAMETERS, seed=count)
    prediction = fused(panoptic_ids)
    assert min(things_and_all(panoptic_ids, prediction)) >= 0.998
    assert len(prediction.instances) == count


@pytest.mark.parametrize(
    "config",
    [
        FusionConfig(distance="sum_l2"),
        FusionConfig(normalize_by_scale=True),
        FusionConfig(distance="sum_l2", normalize_by_scale=True, graph="rectangle"),
        FusionConfig(long_votes="all"),
    ],
)
def test_so_they_are_with_every_choice_of_distance_and_votes(config):
    panoptic_ids = ellipses((361, 401), 40, (8, 90), seed=40)
    prediction = fused(panoptic_ids, config=config)
    assert min(things_and_all(panoptic_ids, prediction)) >= 0.998
    assert len(prediction.instances) == 40


@pytest.mark.slow
@pytest.mark.parametrize("count", [5, 36, 73, 235, 545])
def test_on_a_whole_image_every_pixel_is_right_at_stride_1(count):
    panoptic_ids = ellipses((721, 721), count, DIAMETERS, seed=count)
    prediction = fused(panoptic_ids, stride=1)
    assert things_and_all(panoptic_ids, prediction) == (1, 1)
    assert len(prediction.instances) == count


@pytest.mark.slow
@pytest.mark.parametrize("count", [235, 500, 545])
def test_hundreds_of_instances_are_found_at_stride_4(count):
    panoptic_ids = ellipses((721, 721), count, DIAMETERS, seed=count)
    prediction = fused(panoptic_ids)
    assert min(things_and_all(panoptic_ids, prediction)) >= 0.998
    assert len(prediction.instances) == count


@pytest.mark.parametrize(("count", "seed"), [(50, 2), (98, 0), (98, 1), (98, 2), (98, 11)])
def test_of_overlapping_instances_only_borders_are_lost(count, seed):
    panoptic_ids = ellipses((721, 721), count, (20, 120), seed, gap=None)
    prediction = fused(panoptic_ids)
    scores = things_and_all(panoptic_ids, prediction)
    assert scores[0] >= 0.95
    assert scores[1] >= 0.97
    # A thing that shows so little that no cell lies on it is part of a neighbour.
    assert len(prediction.instances) == num_instances(panoptic_ids[::4, ::4])


@pytest.mark.parametrize(("stride", "everything", "things"), [(1, 0.985, 0.975), (4, 0.93, 0.88)])
def test_of_crowds_in_perspective_few_instances_are_lost(stride, everything, things):
    quality, config = PanopticQuality(crowds.INFO), FusionConfig.of_network("star", 10.0)
    for index in range(12):
        scene = crowds.generate("val", index)
        class_ids = np.where(scene.class_ids == 255, crowds.BACKGROUND, scene.class_ids).astype(np.uint8)
        panoptic_ids = class_ids.astype(np.int64) * LABEL_DIVISOR + scene.instance_ids
        maps = perfect_maps(panoptic_ids, config.keypoint_graph, stride, config.radius)
        found = fuse(class_ids, maps, crowds.INFO.thing_ids, LABEL_DIVISOR, config=config).panoptic_ids
        quality.update(scene.class_ids.astype(np.int64) * LABEL_DIVISOR + scene.instance_ids, found)
    result = quality.result()
    assert result["all"]["pq"] >= everything
    assert result["things"]["pq"] >= things


@pytest.mark.slow
@pytest.mark.parametrize("count", [50, 98])
def test_at_stride_1_not_even_these(count):
    panoptic_ids = ellipses((721, 721), count, (20, 120), seed=2, gap=None)
    assert things_and_all(panoptic_ids, fused(panoptic_ids, stride=1)) == (1, 1)


def test_errors_of_4_pixels_in_all_offsets_hardly_matter():
    panoptic_ids = ellipses((721, 721), 73, DIAMETERS, seed=73)
    assert things_and_all(panoptic_ids, fused(panoptic_ids, noise=4))[0] >= 0.99


@pytest.mark.slow
def test_not_even_with_hundreds_of_instances():
    panoptic_ids = ellipses((721, 721), 545, DIAMETERS, seed=545)
    assert things_and_all(panoptic_ids, fused(panoptic_ids, noise=4))[0] >= 0.98


def test_errors_of_8_pixels_are_borne_because_scores_are_smoothed():
    panoptic_ids = ellipses((721, 721), 73, DIAMETERS, seed=73)
    assert things_and_all(panoptic_ids, fused(panoptic_ids, noise=8))[0] >= 0.8
    rough = fused(panoptic_ids, noise=8, config=FusionConfig(smooth_sigma=0.0, peak_threshold=0.01))
    assert things_and_all(panoptic_ids, rough)[0] < 0.5
    assert len(rough.instances) > 146


def test_things_that_lie_between_all_cells_are_told_apart_by_their_keypoints():
    panoptic_ids = background((129, 129))
    for index, (top, left) in enumerate(((21, 21), (21, 85), (77, 53))):
        panoptic_ids[top : top + 2, left : left + 2] = thing_id(index)
    assert not (panoptic_ids[::4, ::4] >= NUM_STUFF * LABEL_DIVISOR).any()
    prediction = fused(panoptic_ids)
    assert things_and_all(panoptic_ids, prediction) == (1, 1)
    assert len(prediction.instances) == 3


def row_of_squares(side):
    panoptic_ids = background((129, 257))
    for index in range(8):
        panoptic_ids[40 : 40 + side, 40 + index * side : 40 + (index + 1) * side] = thing_id(index)
    return panoptic_ids


@pytest.mark.parametrize(("side", "proximity", "found"), [(8, 6, 8), (8, 10, 4), (16, 14, 8), (16, 20, 4)])
def test_touching_squares_within_the_proximity_become_one(side, proximity, found):
    config = FusionConfig(proximity=float(proximity), smooth_sigma=0.0)
    assert len(fused(row_of_squares(side), stride=1, config=config).instances) == found


def test_a_disk_and_the_ring_round_it_share_keypoints_only_at_their_centre():
    y, x = np.mgrid[:201, :201]
    distance = np.hypot(y - 100, x - 100)
    panoptic_ids = background((201, 201))
    panoptic_ids[distance < 80], panoptic_ids[distance < 40] = thing_id(0), thing_id(1)
    assert len(fused(panoptic_ids, stride=1).instances) == 1
    assert len(fused(panoptic_ids, stride=1, config=FusionConfig(graph="rectangle")).instances) == 2


def test_memory_does_not_grow_with_the_number_of_instances():
    few = peak_megabytes(merge_of(rectangles((721, 721), 2, 2, (180, 180))))
    many = peak_megabytes(merge_of(rectangles((721, 721), 20, 24, (16, 17))))
    assert many < 25
    assert many < 2 * few  # an array of 480 x 181 x 181 bytes would already be 16 MB


@pytest.mark.slow
def test_a_large_image_with_hundreds_of_instances_takes_less_than_200_megabytes():
    panoptic_ids = ellipses((1441, 1441), 300, (16, 300), seed=0)
    assert peak_megabytes(merge_of(panoptic_ids)) < 200
    assert peak_megabytes(merge_of(panoptic_ids, from_logits=True)) < 200
