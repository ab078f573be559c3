"""DeeperLab's encoders: receptive fields, where cells lie, wider kernels, low-level maps."""

import math

import numpy as np
import pytest
import tensorflow as tf

from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.mobilenet_v2 import center_padded
from tfseg.errors import InputError

TOY = {"padding": "symmetric", "width_multiplier": 0.1}


def build(name="mobilenet_v2", endpoints="inner", **fields):
    backbone = backbones.build(BackboneConfig(name, **TOY | fields), endpoints=endpoints)
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


def receptive_field(backbone):
    """Pixels on a side of the square that a pixel of the last map sees: 1 + sum of (k - 1) * rate * strides before."""
    side, stride = 1, 1
    for scope, layer in backbone.convolutions().items():
        if not scope.endswith("/shortcut"):
            side += (layer.conv.kernel_size - 1) * layer.conv.dilation * stride
            stride *= layer.conv.stride
    return side


WIDTHS_AND_FIELDS = [((3, 3), 491), ((5, 5), 981), ((7, 7), 1471), ((5, 3), 979)]


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize(("kernels", "side"), WIDTHS_AND_FIELDS)
def test_mobilenets_receptive_field_is_the_papers_at_every_output_stride(kernels, side, output_stride):
    """1 + (k - 1) * 245; the stem has a share of 1 of the 245."""
    kernel_size, stem_kernel_size = kernels
    backbone = build(kernel_size=kernel_size, stem_kernel_size=stem_kernel_size, output_stride=output_stride)
    assert side == 1 + 244 * (kernel_size - 1) + (stem_kernel_size - 1)
    assert receptive_field(backbone) == side


def test_xceptions_receptive_field():
    """(k - 1) * rate * stride: 2 + 4 of the stem, then three convolutions in each of 5 + 17 + 1 units."""
    assert 1 + 2 + 4 + 3 * (4 + 8 + 8 + 16 + 16 + 17 * 32 + 64) == 1987
    assert receptive_field(build("xception_71", width_multiplier=0.03)) == 1987


def linearize(backbone):
    """Ones as kernels and no activation: a gradient is the number of paths, and no path cancels another."""
    for layer in backbone.convolutions().values():
        layer.activation = tf.identity
        kernel = layer.conv.weights[0]
        is_depthwise = kernel.shape[3] == 1 and kernel.shape[0] > 1
        kernel.assign(tf.ones_like(kernel) / (1 if is_depthwise else kernel.shape[2]))


def pixels_seen(backbone, size, key, cell):
    """[rows, columns] of the pixels that a cell of a map depends on: first and last of each axis."""
    image = tf.Variable(tf.fill([1, *size, 3], 255.0))
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(backbone(image)[key][0, cell[0], cell[1]])
    seen = np.argwhere(np.asarray(tape.gradient(value, image))[0].sum(-1) > 0)
    assert len(seen) == np.prod(np.ptp(seen, axis=0) + 1), "holes"
    return [(int(first), int(last)) for first, last in zip(seen.min(0), seen.max(0), strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(("kernels", "side"), [pair for pair in WIDTHS_AND_FIELDS if pair[1] < 1025])
def test_the_centre_of_a_1025_image_sees_as_many_pixels(kernels, side):
    kernel_size, stem_kernel_size = kernels
    backbone = build(kernel_size=kernel_size, stem_kernel_size=stem_kernel_size)
    linearize(backbone)
    half = side // 2
    assert pixels_seen(backbone, (1025, 1025), "last", (32, 32)) == [(512 - half, 512 + half)] * 2


@pytest.mark.parametrize("size", [(96, 120), (97, 121)])
@pytest.mark.parametrize(
    ("name", "half"),
    # Stem, then depthwise 1, 2 and 2, 4 input pixels on each side; stem 1 + 2, three of 2 and 4 and two of 4.
    [("mobilenet_v2", 1 + 2 + 2 + 4), ("xception_71", 1 + 2 + 3 * 2 + 3 * 4 + 2 * 4)],
)
def test_cell_i_of_stride_4_lies_on_pixel_4i_whatever_the_size(name, half, size):
    backbone = build(name, width_multiplier=0.05)
    linearize(backbone)
    if name == "xception_71":
        # Its first operation in a unit is a ReLU, which positive values pass.
        assert float(tf.reduce_min(backbone(tf.fill([1, *size, 3], 255.0))["stride_4"])) > 0
    rows, columns = pixels_seen(backbone, size, "stride_4", (12, 15))
    assert (rows, columns) == ((48 - half, 48 + half), (60 - half, 60 + half))


@pytest.mark.parametrize("size", [(720, 1280), (721, 1441), (333, 500)])
def test_maps_have_the_ceiling_of_size_over_stride(size):
    backbone = build(width_multiplier=1.0)
    spec = tf.TensorSpec([1, *size, 3])
    shapes = tf.function(backbone).get_concrete_function(spec).structured_outputs
    expected = {2: 32, 4: 144, 8: 192, 16: 576}
    for stride, channels in expected.items():
        side = [math.ceil(length / stride) for length in size]
        assert shapes[f"stride_{stride}"].shape == (1, *side, channels)
    assert shapes["last"].shape == (1, *(math.ceil(length / 16) for length in size), 320)


def test_the_low_level_map_is_the_second_24_channel_blocks_depthwise_output():
    backbone, inputs = build(), tf.random.stateless_uniform([1, 49, 65, 3], [0, 1], 0, 255)
    outputs = backbone.stem(inputs / 127.5 - 1)
    for block in backbone.blocks[:2]:
        outputs, _ = block(outputs)
    second = backbone.blocks[2]
    expected = second.depthwise(second.expand(outputs))
    np.testing.assert_allclose(backbone(inputs)["stride_4"], expected, atol=1e-6)
    output = build(endpoints="block_output")
    output.set_weights(backbone.get_weights())
    np.testing.assert_allclose(output(inputs)["stride_4"], outputs + second.project(expected), atol=1e-6)


@pytest.mark.parametrize("size", [(64, 90), (65, 97)])
@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_wider_kernels_that_are_centre_padded_compute_the_same(padding, size):
    narrow = build(padding=padding)
    for layer in narrow.convolutions().values():
        layer.bn.moving_mean.assign(tf.random.stateless_normal(layer.bn.moving_mean.shape, [1, 2], 0, 0.1))
    inputs = tf.random.stateless_uniform([1, *size, 3], [0, 1], 0, 255)
    for side in (5, 7):
        wide = build(padding=padding, kernel_size=side, stem_kernel_size=side)
        for ours, source in zip(wide.convolutions().values(), narrow.convolutions().values(), strict=True):
            kernel = source.conv.get_weights()[0]
            ours.conv.set_weights([center_padded(kernel, side) if kernel.shape[0] == 3 else kernel])
            ours.bn.set_weights(source.bn.get_weights())
        for key, value in narrow(inputs).items():
            assert float(tf.math.reduce_std(value)) > 1e-3
            np.testing.assert_allclose(wide(inputs)[key], value, atol=1e-5)


def test_a_kernel_is_padded_by_zeros_on_all_sides():
    padded = center_padded(np.full([1, 1, 1, 1], 7.0), 3)
    np.testing.assert_array_equal(padded[:, :, 0, 0], [[0, 0, 0], [0, 7, 0], [0, 0, 0]])
    for size in (4, 1):
        with pytest.raises(ValueError, match=f"3x3 kernel cannot be centred in a {size}x{size}"):
            center_padded(np.zeros([3, 3, 1, 1]), size)


def test_a_stem_kernel_of_another_size_is_an_input_error():
    with pytest.raises(InputError, match="stem_kernel_size must be 3, 5 or 7, not 9"):
        backbones.build(BackboneConfig("mobilenet_v2", stem_kernel_size=9))
