"""Features of several strides projected onto one grid."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg.layers.projection import FeatureProjection, glorot_normal


def test_projection_of_one_map_at_its_own_stride_is_a_1x1_convolution():
    projection = FeatureProjection(4, strides=(16,), grid_stride=16)
    features = tf.random.normal([1, 3, 5, 7])
    outputs = projection([features], (3, 5))
    expected = tf.einsum("bhwc,cf->bhwf", features, projection.kernels[0][0, 0])
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_a_coarse_map_may_be_enlarged_before_or_after_projection():
    projection = FeatureProjection(4, strides=(16,), grid_stride=8)
    features = tf.random.normal([1, 3, 4, 2])
    outputs = projection([features], (6, 8))
    enlarged = tf.image.resize(features, (6, 8))
    np.testing.assert_allclose(outputs, tf.nn.conv2d(enlarged, projection.kernels[0], 1, "SAME"), atol=1e-5)


def test_a_fine_map_is_summed_over_the_cell_of_the_grid():
    projection = FeatureProjection(1, strides=(4,), grid_stride=8)
    features = tf.reshape(tf.range(16.0), [1, 4, 4, 1])
    projection([features], (2, 2))
    projection.kernels[0].assign(tf.ones([2, 2, 1, 1]))
    outputs = projection([features], (2, 2))
    sums = [[0 + 1 + 4 + 5, 2 + 3 + 6 + 7], [8 + 9 + 12 + 13, 10 + 11 + 14 + 15]]
    np.testing.assert_allclose(outputs[0, :, :, 0], sums)


def test_with_symmetric_padding_coarse_maps_are_enlarged_on_the_corners():
    projection = FeatureProjection(4, strides=(16,), grid_stride=8, padding="symmetric")
    features = tf.random.normal([1, 3, 4, 2])
    outputs = projection([features], (5, 7))
    enlarged = tf.compat.v1.image.resize_bilinear(features, (5, 7), align_corners=True)
    np.testing.assert_allclose(outputs, tf.nn.conv2d(enlarged, projection.kernels[0], 1, "SAME"), atol=1e-5)


@pytest.mark.parametrize("length", [13, 14, 15, 16])
def test_with_symmetric_padding_fine_maps_are_read_around_the_grid_at_every_size(length):
    """With a stride ratio of 4, position i sums positions 4 * i - 1 to 4 * i + 2."""
    projection = FeatureProjection(1, strides=(2,), grid_stride=8, padding="symmetric")
    features = tf.reshape(tf.range(float(length)), [1, 1, length, 1])
    projection([features], (1, 4))
    projection.kernels[0].assign(tf.ones([4, 4, 1, 1]))
    values = [sum(n for n in range(4 * i - 1, 4 * i + 3) if 0 <= n < length) for i in range(4)]
    np.testing.assert_allclose(projection([features], (1, 4))[0, 0, :, 0], values)


def test_projections_add_up_at_odd_sizes():
    projection = FeatureProjection(3, strides=(4, 8, 16), grid_stride=8)
    features = [tf.random.normal([2, 17, 9, 5]), tf.random.normal([2, 9, 5, 6]), tf.random.normal([2, 5, 3, 7])]
    assert projection(features, (9, 5)).shape == (2, 9, 5, 3)


def test_glorot_normal_has_the_deviation_of_keras():
    keras.utils.set_random_seed(0)
    ours = glorot_normal(300, 200)(shape=[300, 200]).numpy()
    theirs = keras.initializers.GlorotNormal()([300, 200]).numpy()
    np.testing.assert_allclose(ours.std(), theirs.std(), rtol=0.02)
