"""A panoptic network whose maps are perfect: images come back as they are labelled."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.benchmarks.synthetic_instances import perfect_maps
from tfseg.evaluation.panoptic import evaluate_panoptic, panoptic_label, with_components, with_one_segment
from tfseg.formats.coco_panoptic.annotations import read_annotations
from tfseg.inference.panoptic import PanopticInference
from tfseg.inference.views import View
from tfseg.labels import DatasetInfo
from tfseg.metrics.panoptic_folders import score_folders
from tfseg.models.segmenter import Segmenter
from tfseg.postprocess.keypoint_graphs import GRAPHS

INFO = DatasetInfo("toy", ("grass", "ball"), ((0, 255, 0), (255, 0, 0)), thing_ids=frozenset({1}))
SIZE, RADIUS = (48, 64), 6.0


def panoptic_ids():
    """Grass, two balls that touch, and a third one apart."""
    ids = np.zeros(SIZE, np.int64)
    ids[8:24, 8:24], ids[8:24, 24:40], ids[32:44, 44:60] = 1001, 1002, 1003
    return ids


class Perfect(Segmenter, tf.keras.Model):
    """Gives the maps of `panoptic_ids` for every image."""

    num_classes, canvas_stride, padding = 2, 4, "symmetric"

    def __init__(self):
        super().__init__()
        self.fusion_settings = {"graph": "star", "radius": RADIUS, "peak_threshold": 0.02, "instance_score_min": 0.1}
        maps = perfect_maps(panoptic_ids(), GRAPHS["star"], 4, RADIUS)
        class_ids = panoptic_ids()[::4, ::4] // 1000
        canvas = 20.0 * np.eye(2, dtype=np.float32)[class_ids] - 10
        names = ("heatmap_logits", "long_offsets", "short_offsets", "middle_offsets")
        self.maps = {"canvas": canvas} | {name: getattr(maps, name) for name in names}

    def refine(self, features, state=None):
        return features

    def encode(self, images, training=False):
        h, w = (tf.shape(images)[1] + 3) // 4, (tf.shape(images)[2] + 3) // 4
        return {name: tf.constant(value, tf.float32)[tf.newaxis, :h, :w] for name, value in self.maps.items()}


def test_balls_that_touch_are_told_apart():
    found = PanopticInference(Perfect(), INFO).predict(np.zeros([*SIZE, 3], np.uint8))
    assert found.panoptic_ids.shape == SIZE
    assert [one.class_id for one in found.instances] == [1, 1, 1]
    inner = [found.panoptic_ids[16, 16], found.panoptic_ids[16, 34], found.panoptic_ids[38, 52]]
    assert len(set(inner)) == 3 and all(ids // 1000 == 1 for ids in inner)
    assert found.panoptic_ids[2, 2] == 0


def test_a_prediction_in_another_size_comes_back_in_that_of_the_image():
    found = PanopticInference(Perfect(), INFO, View(base_size=SIZE)).predict(np.zeros([96, 128, 3], np.uint8))
    assert found.panoptic_ids.shape == (96, 128)
    largest = max(found.instances, key=lambda one: one.area)
    assert largest.area == np.count_nonzero(found.panoptic_ids == largest.panoptic_id)
    # The balls of 16 pixels have 32; corner 3 is the one at the bottom right: pixel 23 is now 46 and 47.
    bottoms = sorted(round(float(one.keypoints[3, 0])) for one in found.instances)
    assert bottoms[:2] == pytest.approx([46, 46], abs=2)


def test_mirror_images_are_refused():
    with pytest.raises(ValueError, match="offsets of mirrored images"):
        PanopticInference(Perfect(), INFO, View(is_flipped=True))


def test_baselines_merge_what_belongs_apart():
    class_ids = panoptic_ids() // 1000
    assert np.unique(with_one_segment(class_ids, INFO)).tolist() == [0, 1001]
    assert np.unique(with_components(class_ids, INFO)).tolist() == [0, 1001, 1002]
    label = np.where(np.arange(64) < 2, 255, class_ids)
    ids = panoptic_label(label, panoptic_ids() % 1000, INFO)
    assert sorted(set(ids.ravel().tolist())) == [0, 1001, 1002, 1003, 255_000]


@pytest.fixture
def example():
    label = panoptic_ids()
    return {
        "image": tf.zeros([1, *SIZE, 3], tf.uint8),
        "label": tf.constant(label // 1000, tf.int32)[tf.newaxis],
        "instance": tf.constant(label % 1000, tf.int32)[tf.newaxis],
        "has_instances": tf.constant([True]),
        "filename": tf.constant(["a.png"]),
    }


def test_the_network_is_scored_beside_its_class_map_alone(example):
    scores = evaluate_panoptic(Perfect(), [example], INFO, num_examples=1)
    assert scores["quality"]["things"]["rq"] == 1
    # Of three balls, two touch: one component is right, the other is no ball's by more than half. TP 1, FP 1, FN 2.
    assert scores["components"]["things"]["rq"] == pytest.approx(1 / (1 + 0.5 + 1))
    # One segment for all: FP 1, FN 3.
    assert scores["one_segment"]["things"]["rq"] == 0
    assert scores["covering"]["things"]["pc"] > 0.6
    assert scores["milliseconds_fusion"] > 0


def test_labels_and_predictions_are_written_in_cocos_format_and_score_the_same(example, tmp_path):
    scores = evaluate_panoptic(Perfect(), [example], INFO, num_examples=1, output_dir=tmp_path)
    names = ("labels.json", "labels/a.png", "predictions.json", "predictions/a.png")
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()} == set(names)
    labels = read_annotations(tmp_path / "labels.json")
    found = score_folders(labels, read_annotations(tmp_path / "predictions.json", labels), num_workers=1)
    assert found["panoptic_quality"]["all"] == pytest.approx(scores["quality"]["all"])
    assert found["num_images"] == 1
