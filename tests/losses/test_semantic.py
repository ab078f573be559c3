"""Semantic losses: ignored pixels count neither in the numerator nor in the denominator."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfseg.layers.resize import resize_bilinear
from tfseg.losses.semantic import HardPixels, median_frequency_weights, semantic_cross_entropy, semantic_losses


def test_cross_entropy_is_summed_over_labelled_pixels_only():
    logits = tf.math.log([[[[0.8, 0.2], [0.5, 0.5], [0.9, 0.1]]]])
    label = tf.constant([[[0, 1, 255]]])
    total, weight = semantic_cross_entropy(label, logits, upsample=resize_bilinear, ignore_label=255)
    assert float(weight) == 2
    assert float(total) == pytest.approx(-math.log(0.8) - math.log(0.5), abs=1e-6)


def test_class_weights_scale_sum_and_weight():
    logits = tf.zeros([1, 1, 2, 2])
    label = tf.constant([[[0, 1]]])
    total, weight = semantic_cross_entropy(
        label, logits, upsample=resize_bilinear, ignore_label=255, class_weights=[1.0, 3.0]
    )
    assert float(weight) == 4
    assert float(total) == pytest.approx(4 * math.log(2), abs=1e-6)


def test_an_all_ignored_batch_has_loss_and_gradient_zero():
    logits = tf.Variable(tf.random.normal([1, 2, 2, 3]))
    with tf.GradientTape() as tape:
        total, weight = semantic_cross_entropy(
            tf.fill([1, 4, 4], 255), logits, upsample=resize_bilinear, ignore_label=255
        )
    assert float(total) == float(weight) == 0
    np.testing.assert_array_equal(tape.gradient(total, logits), np.zeros([1, 2, 2, 3]))


def test_an_infinite_logit_under_an_ignored_pixel_does_not_count():
    logits = tf.constant([[[[0.0, 0.0], [math.inf, 0.0]]]])
    total, _ = semantic_cross_entropy(tf.constant([[[0, 255]]]), logits, upsample=resize_bilinear, ignore_label=255)
    assert float(total) == pytest.approx(math.log(2), abs=1e-6)


def test_logits_are_upsampled_to_the_label():
    logits = tf.reshape(tf.constant([0.0, 4.0]), [1, 1, 2, 1]) * tf.constant([1.0, -1.0])
    total, weight = semantic_cross_entropy(
        tf.zeros([1, 2, 4], tf.int32), logits, upsample=resize_bilinear, ignore_label=255
    )
    # Bilinear with half-pixel centres: 0, 1, 3, 4 along the row; cross-entropy of (x, -x) is log(1 + exp(-2x)).
    expected = 2 * sum(math.log1p(math.exp(-2 * x)) for x in (0, 1, 3, 4))
    assert float(weight) == 8
    assert float(total) == pytest.approx(expected, abs=1e-5)


PROBABILITIES = (0.9, 0.8, 0.6, 0.5, 0.3, 0.1, 0.05, 0.7)


def hard_loss(min_share, probabilities=PROBABILITIES, label=(0,) * 8, **arguments):
    """(sum, total) over a row of pixels to whose class 0 the network gives these probabilities; 0.7 is the bound."""
    logits = tf.math.log([[[[p, 1 - p] for p in probabilities]]])
    total, weight = semantic_cross_entropy(
        tf.constant([[label]]),
        logits,
        upsample=resize_bilinear,
        ignore_label=255,
        hard_pixels=HardPixels(0.6999, min_share),
        **arguments,
    )
    return float(total), float(weight)


def test_only_hard_pixels_have_a_loss():
    expected = -sum(map(math.log, (0.6, 0.5, 0.3, 0.1, 0.05)))
    assert hard_loss(min_share=1 / 16) == (pytest.approx(expected, abs=1e-5), 5)


def test_if_few_pixels_are_hard_the_hardest_ones_of_the_share_have_a_loss():
    assert hard_loss(min_share=6 / 8)[1] == 6
    expected = -sum(map(math.log, (0.6, 0.5, 0.3, 0.1, 0.05, 0.7)))
    assert hard_loss(min_share=6 / 8)[0] == pytest.approx(expected, abs=1e-5)
    easy = [0.99] * 6 + [0.9, 0.95]
    assert hard_loss(0.25, easy) == (pytest.approx(-math.log(0.9 * 0.95), abs=1e-5), 2)


def test_ignored_pixels_are_never_hard_but_count_in_the_share():
    ignored = (0, 0, 0, 0, 255, 255, 255, 255)
    # Two of the labelled pixels are hard; half of all eight pixels are wanted, which are the four labelled ones.
    assert hard_loss(1 / 8, label=ignored) == (pytest.approx(-math.log(0.6 * 0.5), abs=1e-5), 2)
    assert hard_loss(1 / 2, label=ignored)[1] == 4
    assert hard_loss(1.0, label=ignored)[1] == 4
    assert hard_loss(1 / 2, label=(255,) * 8) == (0, 0)


def test_class_weights_weigh_hard_pixels_and_do_not_choose_them():
    total, weight = hard_loss(1 / 8, class_weights=[0.5, 9.0])
    assert weight == 2.5
    assert total == pytest.approx(-0.5 * sum(map(math.log, (0.6, 0.5, 0.3, 0.1, 0.05))), abs=1e-5)


def test_a_hard_pixel_that_is_not_finite_is_seen():
    logits = tf.constant([[[[math.nan, 0.0], [5.0, 0.0]]]])
    arguments = {"upsample": resize_bilinear, "ignore_label": 255, "hard_pixels": HardPixels(0.7, 0.5)}
    total, _ = semantic_cross_entropy(tf.constant([[[0, 0]]]), logits, **arguments)
    assert math.isnan(float(total))


def test_easy_pixels_have_no_gradient():
    logits = tf.Variable(tf.math.log([[[[0.9, 0.1], [0.5, 0.5]]]]))
    with tf.GradientTape() as tape:
        total, _ = semantic_cross_entropy(
            tf.zeros([1, 1, 2], tf.int32),
            logits,
            upsample=resize_bilinear,
            ignore_label=255,
            hard_pixels=HardPixels(0.7, 1 / 16),
        )
    np.testing.assert_allclose(tape.gradient(total, logits)[0, 0], [[0, 0], [-0.5, 0.5]], atol=1e-6)


def test_losses_at_chosen_iterations_keep_their_weights():
    canvases = [tf.zeros([1, 1, 1, 2]), tf.zeros([1, 1, 1, 2]), tf.zeros([1, 1, 1, 2])]
    batch = {"label": tf.zeros([1, 1, 1], tf.int32)}
    outputs = {"semantic_logits": canvases[-1], "canvases": canvases}
    terms = semantic_losses(batch, outputs, upsample=resize_bilinear, ignore_label=255, loss_at=((1, 0.25), (3, 1.0)))
    assert {name: weight for name, (weight, _, _) in terms.items()} == {"cross_entropy_1": 0.25, "cross_entropy_3": 1.0}
    assert list(semantic_losses(batch, outputs, upsample=resize_bilinear, ignore_label=255)) == ["cross_entropy"]


def test_median_frequency_weights_by_hand():
    # Frequencies 0.1, 0.3, 0.6: the median is 0.3.
    np.testing.assert_allclose(median_frequency_weights([10, 30, 60]), [3, 1, 0.5])
    np.testing.assert_allclose(median_frequency_weights([20, 0, 80]), [2.5, 0, 0.625])
