"""How an image goes into a file of another program: normalised, quantised, and in the layout that the file takes."""

import numpy as np
import pytest

from tfseg.errors import InputError
from tfseg.formats.tflite_metadata import Metadata
from tfseg.inference.engines.foreign_input import image_input
from tfseg.inference.engines.tflite_interpreter import Tensor

PIXELS = np.float32([[[[0, 128, 255], [10, 20, 30]]]])  # [1, 1, 2, 3]
NOTHING = Metadata()
NORMALIZATION = [114.75, 102.0, 89.25], [71.4, 66.3, 63.75]


def opened(dtype, scale=0.0, zero_point=0, shape=(1, 1, 2, 3), metadata=NOTHING, normalization=None):
    return image_input("x.tflite", {"image": Tensor(shape, dtype, scale, zero_point)}, metadata, normalization)


def stored(values, dtype, scale, zero_point):
    """What the file stores of prepared values."""
    if values.dtype == dtype:
        return values
    limits = np.iinfo(dtype)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(dtype)


@pytest.mark.parametrize(
    "dtype,scale,zero_point", [("uint8", 0.0165, 97), ("int8", 0.0165, -31), ("uint8", 0.02, 110), ("int16", 1e-4, 0)]
)
def test_a_quantised_image_is_normalised_first(dtype, scale, zero_point):
    given = opened(dtype, scale, zero_point, normalization=NORMALIZATION).prepare(PIXELS)
    real = scale * (stored(given, dtype, scale, zero_point).astype(np.float32) - zero_point)
    mean, std = map(np.float32, NORMALIZATION)
    np.testing.assert_allclose(real, (PIXELS - mean) / std, atol=scale)
    metadata = Metadata(mean=tuple(NORMALIZATION[0]), std=tuple(NORMALIZATION[1]))
    np.testing.assert_array_equal(opened(dtype, scale, zero_point, metadata=metadata).prepare(PIXELS), given)


@pytest.mark.parametrize(
    "dtype,scale,zero_point",
    [
        ("uint8", 1.0, 0),
        ("int8", 1.0, -128),
        ("uint8", 1 / 255, 0),
        ("int8", 1 / 256, -128),
        ("uint8", 1 / 128, 128),
        ("uint8", 2 / 255, 127),
        ("int8", 2 / 255, 0),
        ("int8", 1 / 127.5, -1),
    ],
)
def test_a_scale_that_stands_for_a_known_range_gets_each_grey_level_as_one_value(dtype, scale, zero_point):
    given = opened(dtype, scale, zero_point).prepare(PIXELS)
    assert given.dtype == dtype
    np.testing.assert_array_equal(given.astype(int) - np.iinfo(dtype).min, PIXELS.astype(int))


def test_a_range_that_was_measured_a_little_short_stands_for_the_whole_one():
    """-0.98 to 0.97, which images of 3 to 252 give."""
    given = opened("uint8", 1.95 / 255, 128).prepare(PIXELS)
    np.testing.assert_allclose(given, PIXELS / 127.5 - 1, atol=1e-6)


@pytest.mark.parametrize(
    "dtype,scale,zero_point,said",
    [
        ("uint8", 0.0165, 97, "stand for -1.601 to 2.607, not for 0 to 255, 0 to 1 or -1 to 1"),
        ("int8", 0.0187, -14, "stand for -2.132 to 2.637"),
        ("uint8", 0.5, 0, "stand for 0 to 127.5"),
        ("uint8", 2.0, 0, "stand for 0 to 510"),
        ("uint8", 1.0, 124, "stand for -124 to 131"),
        ("int16", 1 / 32768, 0, "stand for -1 to 1, not for"),  # 0 to 1 looks the same in this type
    ],
)
def test_any_other_range_needs_a_normalisation(dtype, scale, zero_point, said):
    with pytest.raises(InputError, match=r"x\.tflite: takes .+ images whose scale") as caught:
        opened(dtype, scale, zero_point)
    message = str(caught.value)
    assert said in message and "--mean and --std" in message and len(message) < 300


def test_a_normalisation_that_cannot_be_the_file_s_is_refused():
    for normalization in (([0], [1]), ([0], [100_000])):
        with pytest.raises(
            InputError, match=r"--mean and --std do not fit x\.tflite: they give 0 to .+can hold -1\.601 to"
        ):
            opened("uint8", 0.0165, 97, normalization=normalization)
    # Metadata of files in 8 bits often say what held before they were quantised.
    with pytest.raises(InputError, match="stand for -1.601 to"):
        opened("uint8", 0.0165, 97, metadata=Metadata(mean=(0.0,), std=(1.0,)))
    given = opened("uint8", 1 / 128, 128, metadata=Metadata(mean=(0.0,), std=(1.0,))).prepare(PIXELS)
    np.testing.assert_array_equal(given, PIXELS.astype(np.uint8))


def test_numbers_for_images_from_0_to_1_are_noticed():
    with pytest.raises(InputError, match=r"a std of 0\.229 is for 0 to 1; multiply both by 255"):
        opened("float32", normalization=([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "int64"])
def test_whole_numbers_without_a_scale_are_grey_levels(dtype):
    given = opened(dtype).prepare(PIXELS + 0.4)
    assert given.dtype == dtype
    np.testing.assert_array_equal(given, np.minimum(PIXELS, 255))
    with pytest.raises(InputError, match=rf"do not apply to x\.tflite: it takes {dtype} images as they are"):
        opened(dtype, normalization=([0], [1]))


def test_types_that_cannot_hold_grey_levels_are_refused():
    with pytest.raises(InputError, match="takes int8 images and has no scale"):
        opened("int8")
    with pytest.raises(InputError, match="of type bool, wanted are numbers"):
        opened("bool")


def test_channels_may_come_first():
    image = opened("float32", shape=(1, 3, 1, 2), normalization=([0], [1]))
    assert image.size == (1, 2)
    np.testing.assert_array_equal(image.prepare(PIXELS), np.moveaxis(PIXELS, -1, 1))
    assert opened("float32", shape=(1, 3, None, None), normalization=([0], [1])).size == (None, None)


def test_the_batch_axis_may_be_missing_or_hold_more_images():
    image = opened("float32", shape=(1, 2, 3), normalization=([0], [1]))
    assert image.prepare(PIXELS).shape == (1, 2, 3)
    image = opened("float32", shape=(4, 1, 2, 3), normalization=([1], [1]))
    given = image.prepare(PIXELS)
    assert (image.batch, given.shape) == (4, (4, 1, 2, 3))
    np.testing.assert_array_equal(given[0], PIXELS[0] - 1)
    assert not given[1:].any()
    assert opened("float32", shape=(None, 1, 2, 3), normalization=([0], [1])).batch == 1


@pytest.mark.parametrize(
    "shape,said",
    [
        ((1, 3, 64, 3), r"its input \[1, 3, 64, 3\] can be read as an image of 3x64 or of 64x3"),
        ((1, 8, 8, 1), r"its input \[1, 8, 8, 1\] does not have 3 channels"),
        ((1, 4, 8, 8), r"its input \[1, 4, 8, 8\] does not have 3 channels"),
        ((1, None, None, None), r"its input \[1, \?, \?, \?\] does not have 3 channels"),
        ((1, 8, 8, 3, 1), r"as input it has image float32 \[1, 8, 8, 3, 1\], wanted is one \[1, height, width, 3\]"),
        ((), r"as input it has image float32 \[\]"),
    ],
)
def test_what_is_no_image_is_refused(shape, said):
    with pytest.raises(InputError, match=rf"x\.tflite: not made by tfseg; {said}"):
        opened("float32", shape=shape, normalization=([0], [1]))


def test_many_inputs_are_listed_in_a_short_line():
    tensors = {
        f"input {number} of a very long name" * 9: Tensor((1, 8, 8, 3), "float32", 0.0, 0) for number in range(50)
    }
    with pytest.raises(InputError, match="and 45 more") as caught:
        image_input("x.tflite", tensors, NOTHING, None)
    assert len(str(caught.value)) <= 300
