"""Losses of hard pixels, keypoints and offsets against values computed by hand."""

import dataclasses
import functools
import math

import numpy as np
import pytest
import tensorflow as tf

from tfseg.errors import InputError
from tfseg.layers.resize import upsample
from tfseg.losses import panoptic as losses
from tfseg.losses.panoptic import PanopticLossConfig

IGNORED = 255
ALL_PIXELS = PanopticLossConfig(hard_pixel_fraction=0.0)
MINED = PanopticLossConfig()
# Probabilities of the true class at 20 pixels; pixels 3 and 4 belong to small instances.
PROBABILITIES = [0.9, 0.8, 0.6, 0.5, 0.3, 0.2, 0.95, 0.99, 0.7, 0.4]
PROBABILITIES += [0.85, 0.75, 0.65, 0.92, 0.97, 0.88, 0.78, 0.68, 0.93, 0.91]
HARDEST, SMALL = [4, 5, 9], [3, 4]


def logits_of(probabilities):
    """Returns [..., 2] logits that give class 0 these probabilities."""
    probabilities = np.asarray(probabilities, np.float32)
    return tf.math.log(tf.stack([probabilities, 1 - probabilities], axis=-1))


def twenty_pixels(weight_of_small):
    weight = np.ones(20, np.float32)
    weight[SMALL] = weight_of_small
    label = tf.zeros([1, 4, 5], tf.int32)
    return label, tf.reshape(weight, [1, 4, 5]), tf.reshape(logits_of(PROBABILITIES), [1, 4, 5, 2])


def mean(terms):
    total, count = terms
    return float(total) / float(count)


@pytest.mark.parametrize(
    ("config", "weight_of_small", "expected"),
    [
        (MINED, 3.0, 2.045882),  # (3 * 1.203973 + 1.609438 + 0.916291) / 3
        (MINED, 1.0, 1.243234),
        (ALL_PIXELS, 3.0, 0.569905),
        (ALL_PIXELS, 1.0, 0.380193),
        (dataclasses.replace(MINED, is_weight_in_hardness=True), 3.0, 2.433599),  # pixel 3 for pixel 9
    ],
)
def test_hard_pixels_and_small_instances_by_hand(config, weight_of_small, expected):
    assert mean(losses.weighted_cross_entropy(*twenty_pixels(weight_of_small), IGNORED, config)) == pytest.approx(
        expected, abs=1e-6
    )


def gradient_of_twenty_pixels(config, weight_of_small):
    label, weight, logits = twenty_pixels(weight_of_small)
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total, _ = losses.weighted_cross_entropy(label, weight, logits, IGNORED, config)
    return tape.gradient(total, logits).numpy().reshape(20, 2)


def test_only_the_hardest_pixels_have_a_gradient():
    gradient = gradient_of_twenty_pixels(MINED, 3.0)
    assert np.flatnonzero(gradient.any(axis=1)).tolist() == HARDEST
    np.testing.assert_allclose(gradient[5], [-0.8, 0.8], atol=1e-6)


@pytest.mark.parametrize("config", [MINED, ALL_PIXELS])
def test_the_gradient_of_a_pixel_of_a_small_instance_is_three_times_as_large(config):
    factors = np.ones([20, 1])
    factors[SMALL] = 3
    expected = factors * gradient_of_twenty_pixels(config, 1.0)
    np.testing.assert_allclose(gradient_of_twenty_pixels(config, 3.0), expected, atol=1e-6)


@pytest.mark.parametrize(("num_pixels", "num_hard"), [(721**2, 77976), (1441**2, 311472), (18, 3), (1, 1)])
def test_fifteen_percent_of_all_pixels_are_hard(num_pixels, num_hard):
    assert losses.num_hard_pixels(num_pixels, 0.15) == num_hard


def test_of_equally_hard_pixels_exactly_the_fraction_is_kept():
    logits = tf.zeros([2, 4, 5, 2])
    with tf.GradientTape() as tape:
        tape.watch(logits)
        total, count = losses.weighted_cross_entropy(
            tf.zeros([2, 4, 5], tf.int32), tf.ones([2, 4, 5]), logits, IGNORED, MINED
        )
    assert float(count) == 6 and float(total) == pytest.approx(6 * math.log(2), abs=1e-6)
    has_gradient = tape.gradient(total, logits).numpy().any(axis=-1)
    assert has_gradient.sum(axis=(1, 2)).tolist() == [3, 3]


def test_every_image_has_its_own_hard_pixels():
    logits = tf.reshape(logits_of([[0.9] * 20, [0.1] * 20]), [2, 4, 5, 2])
    total, _ = losses.weighted_cross_entropy(tf.zeros([2, 4, 5], tf.int32), tf.ones([2, 4, 5]), logits, IGNORED, MINED)
    assert float(total) == pytest.approx(-3 * math.log(0.9) - 3 * math.log(0.1), abs=1e-5)


def test_ignored_pixels_are_never_hard_even_with_infinite_logits():
    logits = tf.constant([[[[0.0, 0.0], [0.0, math.inf], [3.0, 0.0], [3.0, 0.0]]]])
    label, weight = tf.constant([[[0, IGNORED, 0, 0]]]), tf.constant([[[1.0, 0.0, 1.0, 1.0]]])
    config = PanopticLossConfig(hard_pixel_fraction=0.25)
    total, count = losses.weighted_cross_entropy(label, weight, logits, IGNORED, config)
    assert (float(total), float(count)) == (pytest.approx(math.log(2), abs=1e-6), 1)


def test_class_weights_multiply_the_weights_of_pixels():
    logits, label = tf.zeros([1, 1, 4, 2]), tf.constant([[[0, 1, 1, IGNORED]]])
    weight = tf.constant([[[1.0, 1.0, 3.0, 0.0]]])
    total, count = losses.weighted_cross_entropy(label, weight, logits, IGNORED, ALL_PIXELS, [1.0, 2.0])
    assert float(total) == pytest.approx(9 * math.log(2), abs=1e-6) and float(count) == 5
    half = PanopticLossConfig(hard_pixel_fraction=0.5, is_weight_in_hardness=True)
    total, count = losses.weighted_cross_entropy(label, weight, logits, IGNORED, half, [1.0, 2.0])
    assert float(total) == pytest.approx(8 * math.log(2), abs=1e-6) and float(count) == 2


def test_the_heatmap_loss_is_averaged_over_weighted_cells_and_keypoints():
    logits = tf.reshape(tf.constant([math.log(3), -math.log(3), 0.0, 0.0, 50.0, 50.0]), [1, 1, 3, 2])
    heatmap = tf.reshape(tf.constant([1.0, 0.0, 1.0, 0.0, 0.0, 0.0]), [1, 1, 3, 2])
    total, count = losses.heatmap_cross_entropy(heatmap, tf.constant([[[1.0, 1.0, 0.0]]]), logits)
    # Probabilities of the truth: 3/4, 3/4, 1/2, 1/2; the last cell has no weight.
    assert float(count) == 4
    assert float(total) == pytest.approx(2 * math.log(4 / 3) + 2 * math.log(2), abs=1e-6)


def test_the_error_of_an_offset_is_the_mean_of_both_coordinates_in_radii_where_there_is_one():
    label = tf.reshape(tf.constant([3.0, -4.0, 0.0, 0.0, 1.0, 1.0, 9.0, 9.0]), [1, 1, 2, 4])
    offsets = tf.reshape(tf.constant([4.0, -6.0, 50.0, 50.0, 1.0, 6.0, -9.0, 0.0]), [1, 1, 2, 4])
    has_label = tf.constant([[[[True, False], [True, False]]]])
    total, count = losses.offset_error(label, has_label, offsets, 25.0)
    assert float(total) == pytest.approx((1 + 2 + 0 + 5) / 50) and float(count) == 2


def test_one_flag_of_a_cell_holds_for_all_its_offsets():
    label = tf.zeros([1, 1, 2, 4])
    total, count = losses.offset_error(label, tf.constant([[[[True], [False]]]]), label + 5.0, 10.0)
    assert float(total) == pytest.approx(4 * 5 / 20) and float(count) == 2


SIZE, GRID = (13, 9), (4, 3)
CHANNELS = {"semantic_logits": 3, "heatmap_logits": 5, "short_offsets": 10, "middle_offsets": 16, "long_offsets": 10}


def toy_batch(batch_size, grid=GRID):
    generator = np.random.default_rng(0)
    label = generator.integers(0, 3, [batch_size, *SIZE]).astype(np.int32)
    label[0, :5] = IGNORED
    batch = {"label": label, "label_weight": np.where(label == IGNORED, 0, 1 + 2 * (label == 2)).astype(np.float32)}
    batch["heatmap"] = generator.integers(0, 2, [batch_size, *grid, 5]).astype(np.float32)
    batch["heatmap_weight"] = generator.integers(0, 2, [batch_size, *grid]).astype(np.float32)
    for kind, num_flags in (("short", 5), ("middle", 8), ("long", 1)):
        channels = CHANNELS[f"{kind}_offsets"]
        batch[f"{kind}_offsets"] = generator.normal(0, 9, [batch_size, *grid, channels]).astype(np.float32)
        batch[f"has_{kind}_offsets"] = generator.integers(0, 2, [batch_size, *grid, num_flags]) > 0
    return {key: tf.constant(value) for key, value in batch.items()}


def toy_outputs(batch_size):
    generator = np.random.default_rng(1)
    return {
        name: tf.constant(generator.normal(0, 2, [batch_size, *GRID, channels]), tf.float32)
        for name, channels in CHANNELS.items()
    }


def terms_of(batch, outputs, config=MINED, stride=4, target_stride=4):
    enlarge = functools.partial(upsample, stride=stride, padding="symmetric")
    return losses.panoptic_losses(
        batch, outputs, upsample=enlarge, ignore_label=IGNORED, config=config, radius=25.0, target_stride=target_stride
    )


def test_there_are_five_losses_with_the_weights_of_the_config():
    weights = {name: weight for name, (weight, _, _) in terms_of(toy_batch(2), toy_outputs(2)).items()}
    expected = {"semantic": 2, "heatmap": 4, "short_offsets": 1, "middle_offsets": 0.25, "long_offsets": 0.125}
    assert weights == expected
    config = PanopticLossConfig(7.0, 6.0, 5.0, 4.0, 3.0)
    weights = [weight for weight, _, _ in terms_of(toy_batch(2), toy_outputs(2), config).values()]
    assert weights == [7, 6, 5, 4, 3]


def test_outputs_that_equal_the_targets_cost_nothing():
    batch, outputs = toy_batch(2), toy_outputs(2)
    outputs |= {name: batch[name] for name in ("short_offsets", "middle_offsets", "long_offsets")}
    outputs["heatmap_logits"] = 200 * batch["heatmap"] - 100
    terms = terms_of(batch, outputs)
    assert [float(terms[name][1]) for name in terms if name != "semantic"] == [0, 0, 0, 0]
    assert float(terms["semantic"][1]) > 0


def test_sums_and_totals_of_two_replicas_are_those_of_the_whole_batch():
    batch, outputs = toy_batch(3), toy_outputs(3)
    whole = terms_of(batch, outputs)
    parts = [
        terms_of(*({key: value[part] for key, value in group.items()} for group in (batch, outputs)))
        for part in (slice(0, 1), slice(1, 3))
    ]
    for name, (_, total, count) in whole.items():
        assert sum(float(part[name][1]) for part in parts) == pytest.approx(float(total), rel=1e-5)
        assert sum(float(part[name][2]) for part in parts) == float(count) > 0


def test_instance_maps_are_upsampled_to_targets_of_a_finer_stride():
    batch, outputs = toy_batch(1, SIZE), toy_outputs(1)
    fine = dict(outputs)
    for name in ("heatmap_logits", "short_offsets", "middle_offsets", "long_offsets"):
        fine[name] = upsample(outputs[name], SIZE, 4, "symmetric")
    for name, (_, total, count) in terms_of(batch, outputs, target_stride=1).items():
        _, expected, expected_count = terms_of(batch, fine | {"semantic_logits": outputs["semantic_logits"]})[name]
        assert (float(total), float(count)) == (pytest.approx(float(expected), rel=1e-5), float(expected_count))


def test_instance_maps_of_a_coarser_stride_meet_the_targets_on_their_cells():
    batch = toy_batch(1)
    outputs = {name: maps[:, :2, :2] for name, maps in toy_outputs(1).items()}
    # Stride 8 on 13 x 9 pixels; the targets' cells lie on pixels 0, 4, 8 and 12: on output cells or halfway between.
    coarse = outputs["short_offsets"]
    expected = tf.concat([coarse, coarse[:, -1:]], axis=1)
    rows = [expected[:, 0], (expected[:, 0] + expected[:, 1]) / 2, expected[:, 1], expected[:, 1]]
    expected = tf.stack(rows, axis=1)
    columns = [expected[:, :, 0], (expected[:, :, 0] + expected[:, :, 1]) / 2, expected[:, :, 1]]
    expected = tf.stack(columns, axis=2)
    has_label = batch["has_short_offsets"]
    error, _ = losses.offset_error(batch["short_offsets"], has_label, expected, 25.0)
    assert float(terms_of(batch, outputs, stride=8)["short_offsets"][1]) == pytest.approx(float(error), rel=1e-5)


@pytest.mark.parametrize("config", [MINED, ALL_PIXELS])
def test_an_image_without_labels_has_losses_and_gradients_of_zero(config):
    batch = {key: tf.zeros_like(value) for key, value in toy_batch(1).items()}
    batch["label"] = tf.fill([1, *SIZE], IGNORED)
    outputs = toy_outputs(1)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        terms = terms_of(batch, outputs, config)
        loss = sum(weight * tf.math.divide_no_nan(total, count) for weight, total, count in terms.values())
    assert float(loss) == 0
    for name, gradient in tape.gradient(loss, outputs).items():
        np.testing.assert_array_equal(gradient, np.zeros_like(gradient), name)


def test_gradients_are_finite_and_reach_every_output():
    batch, outputs = toy_batch(2), toy_outputs(2)
    # Logits that saturate, and an offset with no error, where the absolute value has a kink.
    outputs["heatmap_logits"] *= 1e4
    outputs["semantic_logits"] *= 1e4
    outputs["short_offsets"] = tf.where(tf.constant([True, False] * 5), batch["short_offsets"], 0.0)
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = sum(weight * total / count for weight, total, count in terms_of(batch, outputs).values())
    for name, gradient in tape.gradient(loss, outputs).items():
        assert np.isfinite(gradient).all() and np.any(gradient), name


def test_compiled_losses_are_the_same():
    batch, outputs = toy_batch(2), toy_outputs(2)
    compiled = tf.function(lambda *arguments: terms_of(*arguments), jit_compile=True)(batch, outputs)
    for name, (_, total, count) in terms_of(batch, outputs).items():
        assert float(compiled[name][1]) == pytest.approx(float(total), rel=1e-5)
        assert float(compiled[name][2]) == float(count)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"hard_pixel_fraction": 1.5}, "hard_pixel_fraction is 1.5"),
        ({"long_weight": -1.0}, "long_weight is -1.0"),
    ],
)
def test_fields_that_make_no_loss_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        PanopticLossConfig(**fields)
