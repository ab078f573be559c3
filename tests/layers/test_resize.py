"""Maps enlarged to the grid they were computed from, for both paddings."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.layers.resize import upsample


def ramp(height, width, step):
    """[1, height, width, 1]: row * step + column * step / 10."""
    rows, columns = np.arange(height)[:, np.newaxis], np.arange(width) / 10
    return tf.constant((rows + columns)[np.newaxis, ..., np.newaxis] * step, tf.float32)


def test_maps_of_symmetric_padding_sit_on_every_stride_th_pixel():
    # Cell i lies on pixel 16 * i, so a ramp of 16 per cell is a ramp of 1 per pixel.
    np.testing.assert_allclose(upsample(ramp(3, 2, 16), (33, 17), 16, "symmetric"), ramp(33, 17, 1), atol=1e-5)


def test_pixels_behind_the_last_cell_repeat_it():
    outputs = upsample(ramp(3, 2, 16), (40, 32), 16, "symmetric")
    np.testing.assert_allclose(outputs[:, :33, :17], ramp(33, 17, 1), atol=1e-5)
    np.testing.assert_array_equal(outputs[:, 33:], np.repeat(outputs[:, 32:33], 7, 1))
    np.testing.assert_array_equal(outputs[:, :, 17:], np.repeat(outputs[:, :, 16:17], 15, 2))


def test_symmetric_is_alignment_of_corners_where_the_corners_meet():
    values = tf.random.stateless_normal([2, 9, 7, 3], [0, 1])
    aligned = tf.compat.v1.image.resize_bilinear(values, (65, 49), align_corners=True)
    np.testing.assert_allclose(upsample(values, (65, 49), 8, "symmetric"), aligned, atol=1e-6)


def test_maps_of_tensorflows_padding_have_half_pixel_centres():
    # Cells of two pixels, with centres at 0.5 and 2.5.
    outputs = upsample(tf.reshape([0.0, 4.0], [1, 1, 2, 1]), (1, 4), 2, "same")
    np.testing.assert_allclose(outputs[0, 0, :, 0], [0, 1, 3, 4])


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_sizes_unknown_when_traced_give_the_same(padding):
    values = tf.random.stateless_normal([1, 3, 5, 2], [0, 2])
    traced = tf.function(
        lambda values, size: upsample(values, size, 8, padding),
        input_signature=[tf.TensorSpec([1, None, None, 2]), tf.TensorSpec([2], tf.int32)],
    )
    expected = upsample(values, (20, 37), 8, padding)
    assert expected.shape == (1, 20, 37, 2)
    np.testing.assert_allclose(traced(values, tf.constant([20, 37])), expected, atol=1e-6)
