"""Canvases read at full resolution: strip by strip, the same as all at once."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.inference import refinement
from tfseg.inference.refinement import Layer, Refinement, upsample_rows
from tfseg.layers.resize import resize_bilinear, upsample


def canvas_of(*shape):
    return tf.constant(np.random.default_rng(1).normal(size=shape), tf.float32)


@pytest.mark.parametrize(
    "map_size,size", [((37, 53), (289, 417)), ((3, 5), (1, 17)), ((33, 33), (513, 513)), ((9, 7), (5, 3))]
)
def test_strips_of_rows_equal_the_whole_upsampling_bit_by_bit(map_size, size):
    canvas = canvas_of(*map_size, 4)
    whole = resize_bilinear(canvas[tf.newaxis], size)[0].numpy()
    for step in (13, size[0]):
        tops = range(0, size[0], step)
        grid = tf.constant([[map_size[0] / size[0], map_size[1] / size[1]], [0.5, 0.5]], tf.float32)
        strips = [upsample_rows(canvas, grid, size, (top, min(top + step, size[0]))) for top in tops]
        np.testing.assert_array_equal(np.concatenate(strips), whole)


@pytest.mark.parametrize("map_size,size", [((19, 27), (289, 417)), ((33, 33), (513, 513)), ((3, 4), (33, 64))])
def test_strips_of_rows_equal_the_whole_upsampling_of_a_map_on_the_corners(map_size, size):
    canvas = canvas_of(*map_size, 4)
    whole = upsample(canvas[tf.newaxis], size, 16, "symmetric")[0].numpy()
    grid = tf.constant([[1 / 16, 1 / 16], [0.5 / 16, 0.5 / 16]])
    np.testing.assert_array_equal(upsample_rows(canvas, grid, size, (0, size[0])), whole)


def test_class_ids_are_the_argmax_after_upsampling_whatever_the_strip(monkeypatch):
    canvases = canvas_of(3, 9, 12, 5)
    expected = tf.argmax(resize_bilinear(canvases, (65, 90)), -1).numpy()
    for logits in (1, 65 * 90 * 5 // 3, 1 << 24):
        monkeypatch.setattr(refinement, "STRIP_LOGITS", logits)
        answer = Refinement([Layer(canvases, (9 / 65, 12 / 90))], (65, 90))
        assert len(answer) == 3
        for index in range(3):
            ids = answer.class_ids(index)
            assert ids.dtype == np.uint8
            np.testing.assert_array_equal(ids, expected[index])


def test_logits_of_views_are_averaged_before_the_argmax():
    # One view says class 0 by 3, the other class 1 by 1: the mean says class 0.
    sure, unsure = tf.constant([[[[3.0, 0.0]]]]), tf.constant([[[[0.0, 1.0]]]])
    answer = Refinement([Layer(sure, (0.5, 0.5)), Layer(unsure, (0.5, 0.5))], (2, 2))
    ids, confidence = answer.class_ids_and_confidence()
    np.testing.assert_array_equal(ids, np.zeros([2, 2]))
    np.testing.assert_allclose(confidence, np.full([2, 2], 1 / (1 + np.exp(-(1.5 - 0.5)))), rtol=1e-6)


def test_what_the_canvas_covers_beyond_the_image_is_cut_off():
    canvases = canvas_of(1, 4, 4, 3)
    whole = Refinement([Layer(canvases, (1 / 8, 1 / 8))], (32, 32)).class_ids()
    cut = Refinement([Layer(canvases, (1 / 8, 1 / 8))], (20, 27)).class_ids()
    np.testing.assert_array_equal(cut, whole[:20, :27])
