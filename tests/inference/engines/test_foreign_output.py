"""What the map of a file of another program stands for: its axes, logits or probabilities, class ids, its grid."""

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.formats.tflite_metadata import Metadata
from tfseg.inference.engines.foreign_origin import Origin
from tfseg.inference.engines.foreign_output import MapOutput, Reading, reading
from tfseg.inference.engines.tflite_interpreter import Tensor

SIZE = (64, 96)


def read(shape, size=SIZE, batch=1, num_labels=None):
    return reading("x.tflite", "map", shape, size, batch, num_labels)


@pytest.mark.parametrize(
    "shape,expected",
    [
        ((1, 64, 96, 3), (1, 3, 3)),
        ((1, 3, 64, 96), (2, 1, 3)),
        ((1, 96, 64, 96), (2, 1, 96)),  # as many classes as columns
        ((1, 64, 96, 64), (1, 3, 64)),
        ((1, 8, 12, 150), (1, 3, 150)),
        ((1, 21, 8, 12), (2, 1, 21)),
        ((1, 64, 96), (1, None, 1)),
        ((1, 64, 96, 1), (1, None, 1)),
        ((1, 1, 64, 96), (2, None, 1)),
        ((64, 96), (0, None, 1)),
        ((64, 96, 3), (0, 2, 3)),
        ((3, 64, 96), (1, 0, 3)),
    ],
)
def test_rows_and_columns_are_where_the_image_s_proportions_are(shape, expected):
    found = read(shape)
    assert (found.row, found.channel, found.num_channels) == expected


def test_square_maps_have_their_classes_where_the_sides_differ():
    assert read((1, 32, 32, 21), (256, 256)) == Reading(1, 3, 21)
    assert read((1, 21, 32, 32), (256, 256)) == Reading(2, 1, 21)
    assert read((1, 33, 33, 32), (513, 513)) == Reading(1, 3, 32)  # 33 is 513 at stride 16, 32 is no stride's


def test_what_can_be_read_in_two_ways_is_refused_unless_the_labels_tell():
    with pytest.raises(
        InputError, match=r"x\.tflite: .+its output map \[1, 64, 64, 64\] can be read as 64x64 of 64"
    ) as one:
        read((1, 64, 64, 64), (64, 64))
    assert "64x64 of 64 channels or 64x64 of 64 channels" in str(one.value) and len(str(one.value)) < 300
    with pytest.raises(InputError, match="can be read as"):
        read((1, 8, 8, 8), (64, 64), num_labels=21)
    assert read((1, 33, 32, 32), (500, 500), num_labels=33).channel == 1


@pytest.mark.parametrize(
    "shape", [(1, 3), (1, 1000), (1, 100, 4), (1, 1, 1, 21), (1, 2, 300, 4), (1,), (), (1, 64, 96, 300)]
)
def test_what_has_other_proportions_is_no_map(shape):
    assert read(shape) is None


def test_in_a_batch_the_first_map_is_the_image_s():
    array = np.arange(2 * 8 * 12 * 3).reshape(2, 8, 12, 3)
    np.testing.assert_array_equal(read((2, 8, 12, 3), (8, 12), batch=2).map(array), array[0])
    assert read((1, 8, 12, 3), (8, 12), batch=2) is None
    first = np.moveaxis(array, -1, 1)
    np.testing.assert_array_equal(read((2, 3, 8, 12), (8, 12), batch=2).map(first), array[0])


UNKNOWN = Origin()


def output(channels, origin=UNKNOWN, dtype="float32", scale=0.0, zero_point=0, **metadata):
    where = Reading(1, 3 if channels > 1 else None, channels)
    tensor = Tensor((1, 2, 2, channels), dtype, scale, zero_point)
    return MapOutput("x.tflite", "map", tensor, where, origin, Metadata(**metadata))


def confidence(one, values):
    values = np.float32(values).reshape(1, 2, 2, -1)
    class_ids, share = one.answer(values, (2, 2), (2, 2)).class_ids_and_confidence()
    return class_ids.ravel().tolist(), share.ravel()


PROBABILITIES = [[0.7, 0.2, 0.1], [0, 1, 0], [0.3, 0.3, 0.4], [1 / 3, 1 / 3, 1 / 3]]


def test_probabilities_are_taken_as_they_are():
    class_ids, share = confidence(output(3), PROBABILITIES)
    assert class_ids == [0, 1, 2, 0]
    np.testing.assert_allclose(share, [0.7, 1, 0.4, 1 / 3], atol=1e-6)


@pytest.mark.parametrize("num_classes", [3, 21, 150])
@pytest.mark.parametrize("step", [1 / 256, 1 / 255])
def test_probabilities_in_8_bits_need_not_add_up_exactly(num_classes, step):
    scores = np.random.default_rng(0).normal(size=[4, num_classes]) * 3
    values = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    values = np.rint(values / step).clip(0, 255) * step
    _, share = confidence(output(num_classes, Origin(step=step)), values)
    np.testing.assert_allclose(share, values.max(-1), atol=1e-6)


@pytest.mark.parametrize(
    "change",
    [
        lambda values: values * np.float32(0.9),  # sums of 0.9
        lambda values: values + np.float32([0.5, -0.5, 0]),  # right sums, but values below 0
        lambda values: np.where(np.arange(4)[:, None] == 3, values * 1.05, values),  # one pixel that is off
    ],
)
def test_logits_that_only_look_a_little_like_probabilities_stay_logits(change):
    values = change(np.float32(PROBABILITIES))
    _, share = confidence(output(3), values)
    softmax = np.exp(values) / np.exp(values).sum(-1, keepdims=True)
    np.testing.assert_allclose(share, softmax.max(-1), rtol=1e-5)


def test_a_file_that_cannot_make_probabilities_gives_logits_whatever_they_are():
    _, share = confidence(output(3, Origin(may_normalize=False)), np.eye(3)[[0, 1, 2, 0]])
    np.testing.assert_allclose(share, np.e / (np.e + 2), rtol=1e-5)


def test_sigmoids_of_several_classes_are_probabilities_of_their_own():
    class_ids, share = confidence(output(3, Origin(is_sigmoid=True)), [[0.9, 0.8, 0.1]] * 4)
    assert class_ids == [0] * 4
    np.testing.assert_allclose(share, 0.9, rtol=1e-6)


def test_probabilities_are_enlarged_as_probabilities():
    values = np.float32([[1, 0], [0.2, 0.8]]).reshape(1, 1, 2, 2)
    tensor = Tensor((1, 1, 2, 2), "float32", 0.0, 0)
    one = MapOutput("x.tflite", "map", tensor, Reading(1, 3, 2), Origin(), Metadata())
    class_ids, share = one.answer(values, (2, 4), (2, 4)).class_ids_and_confidence()
    np.testing.assert_allclose(share[0], [1, 0.8, 0.6, 0.8], atol=1e-6)
    assert class_ids[0].tolist() == [0, 0, 1, 1]


@pytest.mark.parametrize(
    "origin,activation,values,class_ids,first",
    [
        (Origin(is_sigmoid=True), None, [0.2, 0.5, 0.7, 0], [0, 1, 1, 0], 0.8),
        (Origin(), None, [0.2, 0.5, 0.7, 1], [0, 1, 1, 1], 0.8),  # e.g. 1 / (1 + exp(-x))
        (Origin(), None, [-0.2, 0, 0.3, 5], [0, 1, 1, 1], 1 / (1 + np.exp(-0.2))),
        (Origin(is_linear=True), None, [-0.2, 0, 0.3, 0.9], [0, 1, 1, 1], 1 / (1 + np.exp(-0.2))),
        (Origin(is_linear=True), None, [0.1, 0.2, 0.3, 0.9], [1, 1, 1, 1], 1 / (1 + np.exp(-0.1))),
        (Origin(), "SIGMOID", [0.1, 0.2, 0.3, 0.9], [1, 1, 1, 1], 1 / (1 + np.exp(-0.1))),
        (Origin(step=1 / 256), None, [0.2, 0.5, 0.7, 0], [0, 1, 1, 0], 0.8),
    ],
)
def test_one_channel_is_the_second_of_two_classes(origin, activation, values, class_ids, first):
    one = output(1, origin, activation=activation)
    assert one.num_classes == 2
    found, share = confidence(one, values)
    assert found == class_ids
    assert share[0] == pytest.approx(first, rel=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "int64", "bool", "float32"])
def test_class_ids_come_out_as_they_are(dtype):
    one = output(1, Origin(num_classes=2 if dtype == "bool" else 4), dtype)
    ids = np.array([[[1, 0], [1, 0]]]) if dtype == "bool" else np.array([[[3, 0], [1, 2]]])
    answer = one.answer(ids.astype(dtype)[..., np.newaxis], (8, 8), (4, 4))
    np.testing.assert_array_equal(answer.class_ids(), ids[0].repeat(2, 0).repeat(2, 1))
    assert answer.class_ids().dtype == np.uint8
    with pytest.raises(InputError, match=r"x\.tflite: gives class ids without probabilities"):
        answer.class_ids_and_confidence()


def test_class_ids_have_as_many_classes_as_the_file_tells():
    assert output(1, Origin(num_classes=21), "int32").num_classes == 21
    assert output(1, Origin(), "int32", labels=("a", "b", "c")).num_classes == 3
    assert output(1, Origin(), "bool").num_classes == 2
    assert output(1, Origin(), "int64").num_classes == 255
    assert output(1, Origin(), "uint8", scale=1.0).num_classes == 255
    assert output(1, Origin(), "uint8", scale=1 / 256).num_classes == 2  # a sigmoid in 8 bits


@pytest.mark.parametrize("value", [4, -1, 300, 2**40])
def test_a_class_id_beyond_the_classes_is_an_error(value):
    ids = np.full([1, 2, 2, 1], value, np.int64)
    with pytest.raises(InputError, match=rf"x\.tflite: its map has class id {value}; known are 0 to 3"):
        output(1, Origin(num_classes=4), "int64").answer(ids, (8, 8), (4, 4))


def test_a_map_that_changes_its_shape_is_an_error():
    with pytest.raises(InputError, match=r"its output map has become \[1, 2, 2, 5\], which is no map"):
        output(3).answer(np.zeros([1, 2, 2, 5], np.float32), (8, 8), (8, 8))


def ramp(side, input_side):
    """Where a map of `side` cells, whose values are their numbers, is at each pixel of an image of the input's size."""
    values = np.zeros([1, side, side, 2], np.float32)
    values[..., 1] = np.arange(side)[:, None]
    one = MapOutput("x", "map", Tensor((1, side, side, 2), "float32", 0.0, 0), Reading(1, 3, 2), Origin(), Metadata())
    _, share = one.answer(values, (input_side,) * 2, (input_side,) * 2).class_ids_and_confidence()
    return np.log(share[:, 0] / (1 - share[:, 0]))


@pytest.mark.parametrize("side,input_side,stride", [(5, 33, 8), (9, 17, 2), (3, 9, 4), (4, 10, 3)])
def test_a_grid_with_a_cell_on_the_last_pixel_is_enlarged_with_aligned_corners(side, input_side, stride):
    np.testing.assert_allclose(ramp(side, input_side), np.arange(input_side) / stride, atol=1e-3)


@pytest.mark.parametrize("side,input_side", [(4, 32), (2, 8), (8, 64), (2, 4), (5, 36)])
def test_all_other_grids_have_the_middle_of_their_cells_in_the_middle_of_the_pixels(side, input_side):
    middle = (np.arange(input_side) + 0.5) * side / input_side - 0.5
    np.testing.assert_allclose(ramp(side, input_side), middle.clip(0, side - 1), atol=1e-3)


def test_class_ids_on_an_aligned_grid_are_those_of_the_nearest_cell():
    one = output(1, Origin(num_classes=4), "int32")
    answer = one.answer(np.int32([[0, 1, 2], [0, 1, 2], [0, 1, 2]]).reshape(1, 3, 3, 1), (9, 9), (9, 9))
    assert answer.class_ids()[0].tolist() == [0, 0, 1, 1, 1, 1, 2, 2, 2]
