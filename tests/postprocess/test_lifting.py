"""Enlarged cells equal the definition, although most pixels are never computed one by one."""

import numpy as np
import pytest

from tfseg.postprocess import lifting
from tfseg.postprocess.lifting import lift_class_ids, lift_labels, nearest_labels, repeat_class_ids

SIZES = [((33, 41), 4), ((36, 30), 4), ((17, 9), 8), ((11, 13), 2), ((6, 7), 1), ((3, 2), 4)]


def grid_of(size, stride):
    return [-(-side // stride) for side in size]


def smooth_labels(generator, grid, num_labels):
    """Labels of cells in patches, so that some blocks have equal corners and some do not."""
    return np.kron(generator.integers(0, num_labels, grid), np.ones([3, 3], int))[: grid[0], : grid[1]]


def enlarged(values, size, stride):
    """Enlarges bilinearly, one axis after the other; the border is repeated."""
    for axis, side in enumerate(size):
        at = np.arange(side) / stride
        cells = np.arange(values.shape[axis])
        values = np.apply_along_axis(lambda line, at=at, cells=cells: np.interp(at, cells, line), axis, values)
    return values


@pytest.mark.parametrize(("size", "stride"), SIZES)
def test_class_ids_are_those_of_logits_that_were_all_enlarged(monkeypatch, size, stride):
    generator = np.random.default_rng(0)
    grid = grid_of(size, stride)
    logits = generator.normal(0, 1, [*grid, 4]) + 3 * np.eye(4)[smooth_labels(generator, grid, 4)]
    expected = enlarged(logits, size, stride).argmax(axis=-1)
    monkeypatch.setattr(lifting, "LOGITS_AT_ONCE", 700)
    np.testing.assert_array_equal(lift_class_ids(logits.astype(np.float32), stride, size), expected)


def test_of_equal_logits_the_first_class_counts():
    assert (lift_class_ids(np.zeros([3, 3, 5], np.float32), 4, (12, 12)) == 0).all()


def labels_by_hand(cells, size, stride):
    shares = np.stack([enlarged((cells == label).astype(float), size, stride) for label in range(cells.max() + 1)])
    shares[0] = 1e-9
    return shares


@pytest.mark.parametrize(("size", "stride"), SIZES)
def test_the_label_with_the_largest_weight_wins_and_no_label_wins_nothing(size, stride):
    generator = np.random.default_rng(1)
    cells = smooth_labels(generator, grid_of(size, stride), 5) * generator.integers(0, 2, grid_of(size, stride))
    shares = labels_by_hand(cells, size, stride)
    found = lift_labels(cells, stride, size)
    won = np.take_along_axis(shares, found[np.newaxis], axis=0)[0]
    np.testing.assert_allclose(won, shares.max(axis=0))  # ties may go either way
    assert ((found == 0) == (shares[1:].max(axis=0, initial=0) < 1e-9)).all()


def test_a_pixel_between_two_instances_goes_to_the_nearer_one():
    # Cells on columns 0 and 4: pixel 1 is nearer to the first; pixel 3 and those past the last cell, to the second.
    assert lift_labels(np.array([[1, 2]]), 4, (1, 7)).tolist() == [[1, 1, 1, 2, 2, 2, 2]]


def test_where_no_thing_is_round_a_pixel_it_has_no_label():
    assert lift_labels(np.array([[1, 0, 0]]), 4, (1, 9)).tolist() == [[1, 1, 1, 1, 0, 0, 0, 0, 0]]


def test_such_a_pixel_takes_the_label_of_the_nearest_cell():
    generator = np.random.default_rng(2)
    cells = np.where(generator.random([12, 15]) < 0.04, generator.integers(1, 9, [12, 15]), 0)
    lifted = lift_labels(cells, 4, (48, 60))
    pixels = np.flatnonzero(lifted == 0)
    assert len(pixels) > 1000
    rows, columns = np.nonzero(cells)
    distances = (pixels[:, np.newaxis] // 60 - 4 * rows) ** 2 + (pixels[:, np.newaxis] % 60 - 4 * columns) ** 2
    found = nearest_labels(cells, 4, pixels, 60)
    assert not (found == 0).any()
    nearest = np.where(found[:, np.newaxis] == cells[rows, columns], distances, 10**9).min(axis=1)
    # The nearest of the four cells is at most 2 sqrt(2) away; that distance can add to the error twice, there and back.
    assert (np.sqrt(nearest) - np.sqrt(distances.min(axis=1))).max() <= 4 * np.sqrt(2)
    assert (nearest == distances.min(axis=1)).mean() > 0.99


def test_class_ids_of_cells_are_those_of_the_nearest_cell():
    assert repeat_class_ids(np.array([[1, 2, 3]]), 4, (1, 12)).tolist() == [[1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]]
    assert repeat_class_ids(np.array([[1, 2]]), 1, (1, 2)).tolist() == [[1, 2]]
