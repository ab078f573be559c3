"""Xception-71: its table, its units against Keras layers, its maps at every output stride."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import images, randomize
from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.pretrained import load_backbone
from tfseg.backbones.xception import Unit, XceptionUnit, plan
from tfseg.errors import InputError
from tfseg.layers.conv import Conv2D

STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")


def build(endpoints="block_output", **fields):
    config = BackboneConfig("xception_71", **{"width_multiplier": 0.03, "padding": "symmetric"} | fields)
    backbone = backbones.build(config, endpoints=endpoints)
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


@pytest.fixture(scope="module")
def full():
    """The network at width 1 and output stride 16; it is only traced, never run."""
    return backbones.build(BackboneConfig("xception_71", padding="symmetric"), endpoints="inner")


def traced(layer, *shapes):
    specs = [tf.TensorSpec(shape) for shape in shapes]
    return tf.function(layer).get_concrete_function(*specs).structured_outputs


@pytest.mark.slow
def test_it_has_71_convolutions_without_the_shortcuts():
    """The stem has 2; each unit has 3: there are 5 entry, 16 middle and 2 exit units."""
    assert 2 + 3 * (5 + 16 + 2) == 71
    backbone = build()
    separable = [layer for unit in backbone.units for layer in unit.convolutions]
    assert len(backbone.stem) + len(separable) == 71
    assert sum(unit.shortcut is not None for unit in backbone.units) == 6
    # A separable convolution counts as two layers.
    assert len(backbone.convolutions()) == 2 + 2 * 69 + 6


SIDES_AND_CHANNELS = [
    # Stride 4: two entry units; 8: two entry units; 16: one entry unit, the middle flow and the exit.
    *[(4, 128), (4, 256), (8, 256), (8, 728), (16, 728)],
    *[(16, 728)] * 16,
    *[(16, 1024), (16, 2048)],
]
SIDES = {721: {2: 361, 4: 181, 8: 91, 16: 46}, 1441: {2: 721, 4: 361, 8: 181, 16: 91}}


@pytest.mark.slow
@pytest.mark.parametrize("side", [721, 1441])
def test_every_unit_has_the_size_and_channels_of_the_table(full, side):
    @tf.function
    def run(outputs):
        steps = []
        for layer in full.stem:
            outputs = layer(outputs)
            steps.append(outputs)
        for unit in full.units:
            outputs, _ = unit(outputs)
            steps.append(outputs)
        return steps

    shapes = [step.shape for step in run.get_concrete_function(tf.TensorSpec([1, side, side, 3])).structured_outputs]
    expected = [(2, 32), (2, 64), *SIDES_AND_CHANNELS]
    assert shapes == [(1, SIDES[side][stride], SIDES[side][stride], channels) for stride, channels in expected]


def test_the_low_level_map_is_the_second_convolution_of_the_third_entry_unit(full):
    """It has 256 channels at stride 4, and is taken before the strided convolution and before a ReLU."""
    endpoints = traced(full, [1, 721, 721, 3])
    assert {key: value.shape[1:] for key, value in endpoints.items()} == {
        "stride_2": (361, 361, 128),
        "stride_4": (181, 181, 256),
        "stride_8": (91, 91, 728),
        "stride_16": (46, 46, 1024),
        "last": (46, 46, 2048),
    }
    backbone = build("inner")
    randomize(backbone)
    inputs = images(65, 49)
    outputs = tf.constant(inputs) / 127.5 - 1
    for layer in (*backbone.stem, *backbone.units[:2]):
        outputs = layer(outputs)[0] if isinstance(layer, XceptionUnit) else layer(outputs)
    first, second, _ = backbone.units[2].convolutions
    expected = second(tf.nn.relu(first(tf.nn.relu(outputs))))
    np.testing.assert_allclose(backbone(inputs)["stride_4"], expected, atol=1e-5)
    assert float(tf.reduce_min(expected)) < 0


def test_block_outputs_are_what_enters_the_unit_that_leaves_the_stride():
    shapes = {key: value.shape[3] for key, value in build(width_multiplier=0.125)(images(33, 33)).items()}
    assert shapes == {"stride_2": 8, "stride_4": 32, "stride_8": 91, "stride_16": 91, "last": 256}


def test_only_the_last_unit_dilates_at_stride_16():
    assert [unit.dilation for unit in plan(16, 1.0)] == [1] * 22 + [2]
    assert [unit.dilation for unit in plan(32, 1.0)] == [1] * 23
    # At 8 the fifth entry unit gives up its stride: 16 middle units and exit 1 dilate by 2, exit 2 by 4.
    assert [unit.dilation for unit in plan(8, 1.0)] == [1] * 5 + [2] * 17 + [4]


def test_dense_features_subsample_to_the_coarse_ones():
    """With equal weights, every second pixel at strides 8 and 16 equals strides 16 and 32, at a size of 32n + 1."""
    outputs, inputs = {}, images(65, 97)
    for stride in (8, 16, 32):
        backbone = build(output_stride=stride)
        randomize(backbone)
        endpoints = backbone(inputs)
        outputs[stride] = endpoints["last"].numpy()
        strides = [key for key in endpoints if key != "last"]
        assert strides == [f"stride_{k}" for k in (2, 4, 8, 16) if k <= stride]
    assert outputs[32].shape == (1, 3, 4, 61)
    assert np.abs(outputs[8]).max() > 0.1
    np.testing.assert_allclose(outputs[8][:, ::2, ::2], outputs[16], atol=1e-4)
    np.testing.assert_allclose(outputs[16][:, ::2, ::2], outputs[32], atol=1e-4)


def keras_unit(unit, channels):
    """The unit written with Keras' layers, under our layers' names; names of batch normalisation end in _bn."""
    layers = keras.layers
    inputs = outputs = keras.Input([None, None, channels])
    shortcut = inputs if unit.shortcut == "sum" else None
    if unit.shortcut == "conv":
        shortcut = layers.Conv2D(unit.widths[2], 1, unit.stride, use_bias=False, name="shortcut")(inputs)
        shortcut = layers.BatchNormalization(epsilon=1e-3, name="shortcut_bn")(shortcut)
    is_last = unit.shortcut == "none"
    for index, width in enumerate(unit.widths, 1):
        stride, name = unit.stride if index == 3 else 1, f"separable_conv{index}"
        depthwise = layers.DepthwiseConv2D(
            3, stride, dilation_rate=unit.dilation, use_bias=False, name=f"{name}_depthwise"
        )
        outputs = outputs if is_last else layers.ReLU()(outputs)
        outputs = depthwise(layers.ZeroPadding2D(unit.dilation)(outputs))
        outputs = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_depthwise_bn")(outputs)
        outputs = layers.ReLU()(outputs) if is_last else outputs
        outputs = layers.Conv2D(width, 1, use_bias=False, name=f"{name}_pointwise")(outputs)
        outputs = layers.BatchNormalization(epsilon=1e-3, name=f"{name}_pointwise_bn")(outputs)
        outputs = layers.ReLU()(outputs) if is_last else outputs
    return keras.Model(inputs, outputs if shortcut is None else outputs + shortcut)


@pytest.mark.parametrize(
    "unit",
    [
        Unit("entry", (6, 7, 8), "conv", 2, 2, 1),
        Unit("middle", (5, 5, 5), "sum", 1, 1, 2),
        Unit("exit", (6, 7, 8), "none", 1, 1, 2),
    ],
    ids=lambda unit: unit.scope,
)
def test_a_unit_equals_the_same_of_keras_layers(unit):
    inputs = np.random.default_rng(2).normal(0, 1, [2, 12, 9, 5]).astype(np.float32)
    ours, reference = XceptionUnit(unit, "symmetric"), keras_unit(unit, 5)
    ours(inputs)
    randomize(ours)
    parts = {"shortcut": ours.shortcut} if ours.shortcut else {}
    for layer in ours.convolutions:
        parts |= {f"{layer.name}_{part.name}": part for part in (layer.depthwise, layer.pointwise)}
    for name, part in parts.items():
        reference.get_layer(name).set_weights(part.conv.get_weights())
        reference.get_layer(f"{name}_bn").set_weights(part.bn.get_weights())
    assert reference.count_params() == ours.count_params()
    outputs, second = ours(inputs)
    assert second.shape[3] == unit.widths[1]
    np.testing.assert_allclose(outputs, reference(inputs), atol=1e-5)


def test_the_first_operation_maps_0_and_255_to_minus_1_and_1():
    backbone = build()
    seen = []
    first = backbone.stem[0]
    first.call, call = lambda inputs, training=False: seen.append(inputs) or call(inputs, training), first.call
    backbone(np.float32([0, 127.5, 255]).reshape(1, 1, 3, 1) * np.ones(3, np.float32))
    np.testing.assert_array_equal(seen[0][0, 0, :, 0], [-1, 0, 1])


def test_deeplabs_names_load(tmp_path):
    backbone, random, arrays = build(), np.random.default_rng(3), {}
    for scope, layer in backbone.convolutions().items():
        kernel = layer.conv.weights[0].shape
        name = "depthwise_weights" if scope.endswith("_depthwise") else "weights"
        arrays[f"{scope}/{name}"] = random.normal(0, 0.1, kernel).astype(np.float32)
        for statistic in STATISTICS:
            arrays[f"{scope}/BatchNorm/{statistic}"] = random.uniform(0.5, 1, kernel[-2 if "depthw" in name else -1])
    known = "xception_71/{}/xception_module/{}"
    for name in (
        "xception_71/entry_flow/conv1_2/weights",
        known.format("entry_flow/block3/unit_1", "separable_conv2_pointwise/weights"),
        known.format("entry_flow/block5/unit_1", "shortcut/BatchNorm/gamma"),
        known.format("middle_flow/block1/unit_16", "separable_conv3_depthwise/depthwise_weights"),
        known.format("exit_flow/block2/unit_1", "separable_conv1_depthwise/BatchNorm/moving_variance"),
    ):
        assert name in arrays
    np.savez(tmp_path / "weights.npz", **arrays)
    report = load_backbone(backbone, str(tmp_path / "weights.npz"))
    assert len(report.loaded) == len(arrays) == 5 * 146
    name = known.format("middle_flow/block1/unit_16", "separable_conv3_pointwise")
    np.testing.assert_array_equal(backbone.convolutions()[name].conv.kernel, arrays[f"{name}/weights"])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kernel_size": 5}, "kernel_size does not apply to xception_71: leave it at 3"),
        ({"stem_kernel_size": 5}, "stem_kernel_size does not apply to xception_71"),
        ({"multi_grid": (1, 1, 1)}, "multi_grid does not apply to xception_71"),
        ({"width_multiplier": 5.0}, "above 0 and at most 4, not 5.0"),
    ],
)
def test_a_field_out_of_range_or_of_another_backbone_is_an_input_error(changes, message):
    with pytest.raises(InputError, match=message):
        backbones.build(BackboneConfig("xception_71", **changes))


def test_inner_maps_of_a_resnet_are_an_input_error():
    with pytest.raises(InputError, match="resnet50_v1 returns only the outputs of blocks"):
        backbones.build(BackboneConfig("resnet50_v1"), endpoints="inner")
    with pytest.raises(ValueError, match="'block_output' or 'inner', not 'outer'"):
        backbones.build(BackboneConfig("xception_71"), endpoints="outer")


def test_gradients_of_a_strided_shortcut_are_right_at_even_sizes_and_odd_channels():
    """The kernel's gradient is the product of the pixels it read (every second one) and the gradient coming back."""
    layer = Conv2D(13, 1, 2, padding="symmetric")
    inputs, back = (
        np.random.default_rng(4).normal(size=shape).astype(np.float32) for shape in ([2, 24, 30, 5], [2, 12, 15, 13])
    )
    layer(inputs)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(layer(inputs) * back)
    expected = np.einsum("bhwc,bhwf->cf", inputs[:, ::2, ::2], back)
    np.testing.assert_allclose(tape.gradient(total, layer.kernel)[0, 0], expected, atol=1e-3)
