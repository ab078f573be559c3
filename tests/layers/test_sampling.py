"""Maps that are read between their positions: worked by hand, and differentiated by hand."""

import numpy as np
import pytest
import tensorflow as tf

from tfseg.layers.sampling import bilinear_sample

# One map of 2x3 positions and one channel.
MAP = tf.constant([[1.0, 2.0, 3.0], [10.0, 20.0, 30.0]])[tf.newaxis, :, :, tf.newaxis]


def read(rows, columns, maps=MAP, factors=None):
    """Reads one place or a list of places of a single map with one channel."""
    places = [tf.reshape(tf.constant(one, tf.float32), [1, -1]) for one in (rows, columns)]
    return bilinear_sample(maps, *places, factors)[0, :, 0].numpy().tolist()


def random_places(count, height, width, batch=2):
    random = np.random.default_rng(0)
    rows, columns = random.uniform(-2, height + 1, (batch, count)), random.uniform(-2, width + 1, (batch, count))
    return tf.constant(rows, tf.float32), tf.constant(columns, tf.float32)


def test_whole_places_are_the_positions():
    assert read([0, 0, 0, 1, 1, 1], [0, 1, 2, 0, 1, 2]) == [1, 2, 3, 10, 20, 30]


def test_half_way_places_are_means():
    assert read([0, 0.5, 0.5], [0.5, 1, 1.5]) == [1.5, 11, (2 + 3 + 20 + 30) / 4]


def test_shares_are_linear_in_both_directions():
    """A quarter down and three quarters across: 0.75 (0.25 * 1 + 0.75 * 2) + 0.25 (0.25 * 10 + 0.75 * 20)."""
    assert read(0.25, 0.75) == [0.75 * 1.75 + 0.25 * 17.5]


def test_the_map_fades_to_zero_over_one_position():
    assert read([-0.5, -0.75, -1, 1.5, 2], [0, 0, 0, 2, 2]) == [0.5, 0.25, 0, 15, 0]
    assert read([0, 0, 0, 0, 0], [-0.5, -1, 2.5, 2.75, 3]) == [0.5, 0, 1.5, 0.75, 0]
    assert read(-0.5, -0.5) == [0.25]


@pytest.mark.parametrize("far", [4.0, 1e3, 1e9, 1e30, np.inf])
def test_far_outside_is_zero(far):
    assert read([far, -far, 0, 0, far, -far], [0, 0, far, -far, -far, far]) == [0] * 6


def test_factors_multiply_what_is_read():
    assert read([0, 1, 0.5], [0, 2, 0], factors=tf.constant([[2.0, 0.5, 0.0]])) == [2, 15, 0]


def test_maps_of_a_batch_do_not_mix():
    """Also just outside, where the next map's first row would follow the last row of this one."""
    maps = tf.concat([MAP, 1000 * MAP, tf.zeros_like(MAP)], 0)
    rows = tf.constant([[0, 1.5, 2, -1], [1, -0.5, 2, -1], [0, -0.5, 1.5, 1]], tf.float32)
    columns = tf.constant([[1, 0, 2, 0], [2, 1, 2, 0], [0, 0, 2, 2.5]], tf.float32)
    assert bilinear_sample(maps, rows, columns)[..., 0].numpy().tolist() == [
        [2, 5, 0, 0],
        [30_000, 1000, 0, 0],
        [0, 0, 0, 0],
    ]


def test_channels_are_read_alike():
    maps = tf.concat([MAP, -MAP, MAP + 100], -1)
    places = [tf.constant([[0.5]]), tf.constant([[0.5]])]
    assert bilinear_sample(maps, *places).numpy().tolist() == [[[8.25, -8.25, 108.25]]]


def test_gradients_match_finite_differences():
    """In each argument alone, what is read is linear between whole places: differences are exact but for rounding."""
    maps = tf.random.stateless_normal([2, 4, 5, 3], [0, 0])
    rows, columns = random_places(50, 4, 5)
    step = 1 / 64
    # Away from whole places, where the slope changes.
    rows, columns = (
        tf.floor(one) + tf.clip_by_value(one - tf.floor(one), 2 * step, 1 - 2 * step) for one in (rows, columns)
    )
    factors, weights = tf.random.stateless_uniform([2, 50], [1, 1]), tf.random.stateless_normal([2, 50, 3], [2, 2])

    def score(*arguments):
        return tf.reduce_sum(bilinear_sample(*arguments) * weights, [-1])

    arguments = [maps, rows, columns, factors]
    with tf.GradientTape() as tape:
        tape.watch(arguments)
        total = tf.reduce_sum(score(*arguments))
    gradients = tape.gradient(total, arguments)
    for place in (1, 2, 3):
        above, below = list(arguments), list(arguments)
        above[place], below[place] = arguments[place] + step, arguments[place] - step
        np.testing.assert_allclose(gradients[place], (score(*above) - score(*below)) / (2 * step), atol=2e-4)
    # Reading is linear in the map.
    np.testing.assert_allclose(tf.reduce_sum(gradients[0] * maps), total, rtol=1e-4)


def test_a_size_that_is_known_only_at_run_time_gives_the_same():
    maps = tf.random.stateless_normal([2, 4, 5, 3], [0, 0])
    rows, columns = random_places(30, 4, 5)
    traced = tf.function(bilinear_sample).get_concrete_function(
        tf.TensorSpec([None, None, None, 3]), tf.TensorSpec([None, None]), tf.TensorSpec([None, None])
    )
    np.testing.assert_allclose(traced(maps, rows, columns), bilinear_sample(maps, rows, columns), atol=1e-6)


@pytest.mark.parametrize(("dtype", "error"), [(tf.float16, 2e-3), (tf.bfloat16, 2e-2)])
def test_maps_of_16_bits_are_read_at_places_of_32(dtype, error):
    """Whole places far to the right are exact, though 16 bits could not name them."""
    maps = tf.cast(tf.random.stateless_uniform([1, 2, 3001, 1], [0, 0]), dtype)
    columns = tf.constant([[2999.0, 3000.0, 2999.5]])
    result = bilinear_sample(maps, tf.ones_like(columns), columns)
    assert result.dtype == dtype
    left, right = (float(maps[0, 1, column, 0]) for column in (2999, 3000))
    np.testing.assert_allclose(tf.cast(result, tf.float32)[0, :, 0], [left, right, (left + right) / 2], atol=error)
