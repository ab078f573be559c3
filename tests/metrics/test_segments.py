"""Counting of overlaps: every way of counting gives the same as a plain count."""

import collections

import numpy as np
import pytest

from tfseg.metrics.segments import count_pairs


def plain_count(label, prediction):
    return dict(collections.Counter(zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True)))


def counted(label, prediction):
    pairs = count_pairs(label, prediction)
    ids = zip(pairs.label_ids[pairs.rows].tolist(), pairs.prediction_ids[pairs.columns].tolist(), strict=True)
    assert pairs.pixels.dtype == np.int64 and pairs.label_ids.tolist() == sorted(set(label.ravel().tolist()))
    return dict(zip(ids, pairs.pixels.tolist(), strict=True))


@pytest.mark.parametrize("scale", [1, 1000, 2**24 - 1, 2**40])
@pytest.mark.parametrize("block", [1, 10])
def test_smooth_and_noisy_maps_of_small_and_large_ids(block, scale):
    generator = np.random.default_rng(block)
    maps = [np.kron(generator.integers(0, 5, [8, 9]), np.ones([block, block], int)) * scale for _ in range(2)]
    assert counted(*maps) == plain_count(*maps)


def test_more_ids_than_sixteen_bits_hold():
    label = np.arange(300 * 300).reshape(300, 300)
    prediction = (label * 7 + 3) % (300 * 300)
    assert counted(label, prediction) == plain_count(label, prediction)
    assert counted(label.astype(np.uint32), label // 2) == plain_count(label, label // 2)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.uint32, np.int64])
def test_integers_of_any_width(dtype):
    label, prediction = np.array([[0, 200, 200], [3, 3, 3]]) % 128, np.array([[1, 1, 100], [100, 100, 1]])
    assert counted(label.astype(dtype), prediction.astype(dtype)) == plain_count(label, prediction)


def test_a_run_does_not_go_on_where_only_the_other_map_changes():
    label, prediction = np.array([[1, 1, 1, 1, 1, 1, 1, 1, 1, 1]]), np.array([[2, 2, 2, 2, 2, 2, 2, 3, 3, 3]])
    assert counted(label, prediction) == {(1, 2): 7, (1, 3): 3}


@pytest.mark.filterwarnings("error::DeprecationWarning")
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.uint64])
def test_unsigned_maps_are_counted_without_a_warning(dtype):
    label = np.array([[0, 200, 200], [3, 3, 3]], dtype)
    assert counted(label, label) == {(0, 0): 1, (200, 200): 2, (3, 3): 3}
    assert counted(label // 100, label // 100) == {(0, 0): 4, (2, 2): 2}
    assert counted(label[:0], label[:0]) == {}


def test_an_image_without_pixels_has_no_pairs():
    assert counted(np.zeros([0, 4], int), np.zeros([0, 4], int)) == {}
