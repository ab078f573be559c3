"""MobileNetV2 against keras.applications, and the options that Keras' version lacks: output strides, kernel sizes."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import images, randomize
from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.mobilenet_v2 import plan
from tfseg.errors import InputError

KERAS_ENDS = ("expanded_conv_project_BN", "block_2_add", "block_5_add", "block_12_add", "block_16_project_BN")


def build(**fields):
    backbone = backbones.build(BackboneConfig("mobilenet_v2", **fields))
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


@pytest.mark.parametrize(("size", "width"), [(224, 1.0), (225, 1.0), (97, 0.35)])
def test_equals_keras_applications_at_stride_32_at_even_and_odd_sizes(size, width):
    inputs = images(size, size)
    reference = keras.applications.MobileNetV2((size, size, 3), width, include_top=False, weights=None)
    randomize(reference)
    ends = keras.Model(reference.input, [reference.get_layer(name).output for name in KERAS_ENDS])
    backbone = build(output_stride=32, width_multiplier=width)
    layers = [layer for layer in reference.layers if layer.weights and not layer.name.endswith(("Conv_1", "Conv_1_bn"))]
    for convolution, conv, bn in zip(backbone.convolutions().values(), layers[::2], layers[1::2], strict=True):
        convolution.conv.set_weights(conv.get_weights())
        convolution.bn.set_weights(bn.get_weights())
    endpoints = backbone(inputs)
    assert list(endpoints) == ["stride_2", "stride_4", "stride_8", "stride_16", "last"]
    for value, expected in zip(endpoints.values(), ends(inputs / 127.5 - 1), strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)


def test_dense_features_subsample_to_the_coarse_ones():
    """With equal weights, every second pixel at strides 8 and 16 equals strides 16 and 32, at a size of 32n + 1."""
    inputs, outputs = images(65, 97), {}
    for stride in (8, 16, 32):
        backbone = build(output_stride=stride, padding="symmetric")
        randomize(backbone)
        outputs[stride] = backbone(inputs)["last"].numpy()
    assert outputs[32].shape == (1, 3, 4, 320)
    np.testing.assert_allclose(outputs[8][:, ::2, ::2], outputs[16], atol=1e-5)
    np.testing.assert_allclose(outputs[16][:, ::2, ::2], outputs[32], atol=1e-5)


def test_a_stride_not_taken_becomes_dilation_of_the_blocks_after_it():
    assert [block.dilation for block in plan(16, 1.0)] == [1] * 14 + [2] * 3
    assert [block.dilation for block in plan(8, 1.0)] == [1] * 7 + [2] * 7 + [4] * 3
    # At width 0.25 block 3 reads 8 channels and writes 8 with stride 2: no shortcut, whatever the output stride.
    narrow = plan(8, 0.25)
    assert (narrow[2].out_channels, narrow[3].out_channels, narrow[3].has_shortcut) == (8, 8, False)


@pytest.mark.parametrize("kernel_size", [5, 7])
def test_larger_kernels_change_the_depthwise_convolutions_alone(kernel_size):
    backbone = build(output_stride=16, kernel_size=kernel_size)
    shapes = {scope: layer.conv.weights[0].shape for scope, layer in backbone.convolutions().items()}
    assert shapes["MobilenetV2/Conv"] == (3, 3, 3, 32)
    assert shapes["MobilenetV2/expanded_conv_4/depthwise"] == (kernel_size, kernel_size, 192, 1)
    assert shapes["MobilenetV2/expanded_conv_4/expand"] == (1, 1, 32, 192)
    endpoints = backbone(images(45, 60))
    assert [value.shape[1:] for value in endpoints.values()] == [
        (23, 30, 16),
        (12, 15, 24),
        (6, 8, 32),
        (3, 4, 96),
        (3, 4, 320),
    ]


def test_stride_8_has_no_map_coarser_than_8():
    endpoints = build(output_stride=8)(images(65, 65))
    assert {key: value.shape[1] for key, value in endpoints.items()} == {
        "stride_2": 33,
        "stride_4": 17,
        "stride_8": 9,
        "last": 9,
    }


def test_keras_counts_the_same_parameters():
    """Keras counts 2,257,984 with the 320 -> 1280 convolution and its batch normalisation (409,600 + 5,120)."""
    assert build(output_stride=16).count_params() == 2_257_984 - 409_600 - 5_120


def test_bfloat16_policy_trains_with_float32_weights_and_statistics():
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        backbone = build(output_stride=16)
        with tf.GradientTape() as tape:
            last = backbone(images(65, 65), training=True)["last"]
            loss = tf.reduce_mean(tf.square(tf.cast(last, tf.float32)))
        gradients = tape.gradient(loss, backbone.trainable_weights)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert last.dtype == tf.bfloat16
    assert {weight.dtype for weight in backbone.weights} == {tf.float32}
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)
    assert float(tf.reduce_max(tf.abs(backbone.stem.bn.moving_mean))) > 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel_size": 4}, "3, 5 or 7, not 4"),
        ({"width_multiplier": 0.0}, "above 0 and at most 4"),
        ({"multi_grid": (1, 1, 1)}, "multi_grid does not apply to mobilenet_v2"),
    ],
)
def test_a_field_out_of_range_or_of_another_backbone_is_an_input_error(changes, message):
    with pytest.raises(InputError, match=message):
        backbones.build(BackboneConfig("mobilenet_v2", **changes))
