"""Evaluation of a network whose answers are known."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.fake_network import INFO, FakeNetwork, blocks, dataset, inner_label, striped
from tests.hanging import HANG_SECONDS
from tfseg.errors import InputError
from tfseg.evaluation import semantic
from tfseg.evaluation.semantic import best_entry, class_maps, evaluate, evaluate_matches, latencies, remarks
from tfseg.inference.runner import Inference
from tfseg.inference.views import views_of

ONE = np.array([[0, 1, 1, 1], [0, 0, 2, 2]])
TWO = np.array([[2, 2, 2]])
THINGS = dataclasses.replace(INFO, thing_ids=frozenset({1, 2}), categories=("warm", "cold", "cold"))


def labelled(class_ids, filename):
    return blocks(class_ids), inner_label(class_ids), filename


def examples():
    return dataset([labelled(ONE, "one.png"), labelled(TWO, "two.png")])


@pytest.fixture(scope="module")
def network():
    return FakeNetwork()


@pytest.fixture(scope="module")
def result(network):
    return evaluate(network, examples(), INFO, 3, num_examples=2)


def test_every_iteration_is_scored_by_the_counts_of_all_images(result):
    # 11 blocks, 3 of them red; the first iteration calls all red: IoU 3/11, 0, 0.
    first, second, third = result["iterations"]
    assert first["iou"] == {"red": pytest.approx(3 / 11), "green": 0.0, "blue": 0.0}
    assert first["miou"] == pytest.approx(1 / 11)
    assert first["pixel_accuracy"] == pytest.approx(3 / 11)
    assert second["miou"] == third["miou"] == 1.0
    assert np.sum(first["confusion"]) == 11 * 4
    assert best_entry(result)["iteration"] == 2


def test_the_result_is_json_and_names_images_sizes_and_files(result):
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["num_images"] == 2
    assert result["sizes"] == {"8x16": 1, "4x12": 1}
    # printf 'one.png\ntwo.png\n' | sha256sum
    assert result["filenames_sha256"] == "80f321f95a2d9ebfced1ec738a3a56cd395da6aebb53f00b27a5455422c5621b"


def test_more_iterations_than_trained_may_be_scored_and_more_views(network):
    result = evaluate(network, examples(), INFO, 5, num_examples=2, views=views_of(flip=True))
    assert [entry["miou"] for entry in result["iterations"]] == [pytest.approx(1 / 11), 1.0, 1.0, 1.0, 1.0]


def test_a_feed_forward_network_is_scored_once():
    result = evaluate(FakeNetwork(is_recurrent=False), examples(), INFO, 6, num_examples=2)
    assert [entry["miou"] for entry in result["iterations"]] == [1.0]


def test_batches_are_taken_apart(network):
    image, label, _ = labelled(ONE, "")
    batch = {"image": np.stack([image] * 3), "label": np.stack([label] * 3), "filename": [b"a", b"b", b"c"]}
    result = evaluate(network, [batch], INFO, 2, num_examples=3)
    assert result["num_images"] == 3
    assert np.sum(result["iterations"][0]["confusion"]) == 3 * 8 * 4


def test_a_bad_label_names_its_file(network):
    image, label, _ = labelled(ONE, "")
    with pytest.raises(InputError, match="bad.png: label value 3"):
        evaluate(network, dataset([(image, np.where(label == 2, 3, label), "bad.png")]), INFO, 1, num_examples=1)


def test_nothing_to_evaluate_on_is_an_error(network):
    image, label, _ = labelled(ONE, "")
    with pytest.raises(InputError, match="none of 1 images has a labelled pixel"):
        evaluate(network, dataset([(image, np.full_like(label, 255), "a")]), INFO, 1, num_examples=1)
    with pytest.raises(InputError, match="no images"):
        evaluate(network, dataset([]).take(0), INFO, 1, num_examples=0)


def test_another_number_of_classes_is_an_error():
    network = FakeNetwork()
    network.num_classes = 4
    with pytest.raises(InputError, match="the model has 4 classes, fake has 3"):
        evaluate(network, examples(), INFO, 1, num_examples=2)


def test_classes_never_predicted_or_absent_are_remarked(network):
    only_red_found = evaluate(network, dataset([labelled(np.array([[0, 1]]), "a")]), INFO, 1, num_examples=1)
    assert remarks(only_red_found, train_histogram=[7, 0, 0]) == [
        "warning: labelled here but absent from training, so it cannot be learned: green",
        "warning: labelled, but never predicted: green",
        "note: in neither labels nor predictions, so left out of the mean: blue",
    ]


def with_instances(class_ids, instance_ids, seen=None, is_known=True):
    """A batch of one image, which shows `seen` (None: its label)."""
    ids = np.array(instance_ids if is_known else np.zeros_like(class_ids)).repeat(4, 0).repeat(4, 1)
    return {
        "image": blocks(class_ids if seen is None else seen)[np.newaxis],
        "label": inner_label(class_ids)[np.newaxis].astype(np.int32),
        "filename": [b"a"],
        "instance": ids[np.newaxis].astype(np.int32),
        "has_instances": np.array([is_known]),
    }


# Green: an instance of 2 blocks, one of which looks blue, and one of 1 block. Blue: an instance of 2 blocks.
MIXED = with_instances(ONE, [[0, 1, 1, 2], [0, 0, 1, 1]], seen=[[0, 1, 2, 1], [0, 0, 2, 2]])


def test_instances_and_categories_are_scored_after_every_iteration(network):
    first, second = evaluate(network, [MIXED], THINGS, 2, num_examples=1)["iterations"]
    assert first["iiou"] == {"green": 0.0, "blue": 0.0} and first["mean_category_iiou"] == 0.0
    # Green has 1.5 blocks on average: weights 3/4 and 3/2, iTP = 3/4 + 3/2, iFN = 3/4. Blue: iTP = 2, FP = 1.
    assert second["iiou"] == {"green": pytest.approx(2.25 / 3), "blue": pytest.approx(2 / 3)}
    assert second["mean_iiou"] == pytest.approx((2.25 / 3 + 2 / 3) / 2)
    assert second["category_iou"] == {"warm": 1.0, "cold": 1.0} and second["category_iiou"] == {"cold": 1.0}


def test_two_replicas_score_what_one_does(network, monkeypatch):
    batches = [MIXED, with_instances(TWO, [[1, 2, 2]]), with_instances(ONE, ONE)]
    expected = evaluate(network, batches, THINGS, 2, num_examples=3)

    class Pair(Inference):
        num_replicas = 2

        def refine(self, images, *args, **kwargs):
            assert len(images) <= 2
            return [Inference(network).refine([image], *args, **kwargs)[0] for image in images]

    monkeypatch.setattr(semantic, "inference_of", Pair)
    assert evaluate(network, batches, THINGS, 2, num_examples=3) == expected


def test_where_only_some_images_have_instances_their_scores_are_left_out_and_a_remark_says_so(network):
    batches = [MIXED, with_instances(ONE, ONE), with_instances(ONE, ONE, is_known=False)]
    result = evaluate(network, batches, THINGS, 2, num_examples=3)
    assert not [key for key in result["iterations"][1] if "iiou" in key]
    assert result["iterations"][1]["category_iou"] == {"warm": 1.0, "cold": 1.0}
    assert remarks(result) == ["note: only 2 of 3 images have instances, so instance-level IoU is left out"]
    result = evaluate(network, batches[2:], THINGS, 2, num_examples=1)
    assert not [key for key in result["iterations"][1] if "iiou" in key]
    assert remarks(result) == []


def test_a_good_result_needs_no_remark(result):
    assert remarks(result, train_histogram=[1, 1, 1]) == []


def test_class_maps_are_those_of_every_iteration(network):
    maps = class_maps(network, blocks(ONE), 3)
    np.testing.assert_array_equal(maps[0], np.zeros([8, 16]))
    np.testing.assert_array_equal(maps[2][2::4, 2::4], ONE)


def test_single_classes_are_scored_on_a_data_set_of_other_classes(network):
    """The model's green (1) and red (0) against classes 7 and 8 of data that know no blue."""
    truth = np.array([[7, 7, 8, 9], [7, 9, 9, 8]])
    labels = np.where(inner_label(truth) == INFO.ignore_label, 255, inner_label(truth)).astype(np.uint8)
    image = blocks(np.array([[1, 1, 1, 1], [2, 2, 2, 2]]))
    scores = evaluate_matches(network, dataset([(image, labels, "a")]), [(1, 7), (0, 8)], iterations=2, num_examples=1)
    # Of blocks: 4 are called green, 3 are class 7, 2 are both. None is called red, 2 are class 8.
    assert scores[0] == {"iou": 2 / 5, "recall": 2 / 3, "precision": 2 / 4}
    assert scores[1] == {"iou": 0, "recall": 0, "precision": None}
    unlabelled = dataset([(image, np.full_like(labels, 255), "a")])
    with pytest.raises(InputError, match="none of 1 images has a labelled pixel"):
        evaluate_matches(network, unlabelled, [(1, 7)], iterations=2, num_examples=1)


def test_latency_is_given_for_every_model_and_number_of_iterations(network):
    networks = {"recurrent": (network, 3), "feed-forward": (FakeNetwork(is_recurrent=False), 3)}
    milliseconds = latencies(networks, (64, 80))
    assert {name: len(values) for name, values in milliseconds.items()} == {"recurrent": 3, "feed-forward": 1}
    assert min(milliseconds["recurrent"] + milliseconds["feed-forward"]) > 0


def test_evaluation_runs_inside_a_strategy_scope():
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        network = FakeNetwork()
        result = evaluate(network, examples(), INFO, 2, num_examples=2)
    assert result["iterations"][1]["miou"] == 1.0


def test_a_large_image_is_scored_in_tiles(network):
    class_ids = striped(1500, 1600, side=64)
    image = np.eye(3, dtype=np.uint8)[class_ids] * 255
    result = evaluate(network, dataset([(image, class_ids, "large")]), INFO, 2, num_examples=1)
    assert result["iterations"][1]["miou"] > 0.99


@pytest.mark.slow
def test_twelve_megapixels_of_21_classes_are_evaluated_in_bounded_memory():
    script = Path(__file__).with_name("large_image.py")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr[-2000:]
