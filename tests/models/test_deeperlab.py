"""DeeperLab's network: its maps at any size, every switch, decoders and heads."""

import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg.backbones import BackboneConfig
from tfseg.data.panoptic_targets import PanopticTargetConfig
from tfseg.models.deeperlab import DeeperLab, training_outputs
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.postprocess import keypoint_graphs
from tfseg.postprocess.instance_maps import InstanceMaps, checked

NUM_CLASSES = 6
MOBILENET = BackboneConfig("mobilenet_v2", width_multiplier=0.1, padding="symmetric")
XCEPTION = BackboneConfig("xception_71", width_multiplier=0.02, padding="symmetric")
NARROW = {"aspp_width": 8, "width": 6, "instance_width": 4, "low_level_width": 3, "atrous_rates": (1, 2)}
STAR_CHANNELS = {"heatmap_logits": 5, "long_offsets": 10, "short_offsets": 10, "middle_offsets": 16}
RECTANGLE_CHANNELS = {"heatmap_logits": 4, "long_offsets": 8, "short_offsets": 8, "middle_offsets": 16}


def toy(**fields):
    return DeeperLabConfig(**{"backbone": MOBILENET} | NARROW | fields)


def build(config=None, **fields):
    keras.utils.set_random_seed(3)
    network = DeeperLab(config or toy(**fields), NUM_CLASSES)
    network(tf.zeros([1, 33, 33, 3]))
    return network


def images(*shape, seed=0):
    return tf.random.stateless_uniform([*shape, 3], [seed, 1], 0, 255)


@pytest.fixture(scope="module")
def network():
    return build()


@pytest.fixture(scope="module", params=["space_to_depth", "bilinear", "none"])
def decoded(request):
    return build(decoder=request.param)


def test_maps_of_any_image_have_a_cell_for_every_fourth_pixel(decoded):
    for size in ((33, 33), (49, 65), (50, 36), (5, 131)):
        outputs = decoded(images(2, *size))
        grid = [math.ceil(side / 4) for side in size]
        assert {name: tuple(value.shape) for name, value in outputs.items()} == {
            name: (2, *grid, channels) for name, channels in {"semantic_logits": NUM_CLASSES, **STAR_CHANNELS}.items()
        }
        assert {value.dtype for value in outputs.values()} == {tf.float32}


def test_maps_are_the_same_when_the_size_is_known_only_at_run_time(decoded):
    dynamic = tf.function(decoded, input_signature=[tf.TensorSpec([None, None, None, 3])])
    for size in ((50, 36), (33, 49)):
        expected = decoded(images(2, *size))
        for name, value in dynamic(images(2, *size)).items():
            largest = float(tf.reduce_max(tf.abs(expected[name])))
            np.testing.assert_allclose(value, expected[name], atol=1e-4 * largest)


def test_small_images_can_be_enlarged_for_a_cell_on_every_second_pixel(network):
    """Between two pixels of the enlarged image lies their mean; cell i then belongs to pixel 2i."""
    enlarged, pixels = build(enlargement=2), images(1, 19, 26).numpy()
    enlarged.set_weights(network.get_weights())
    twice = np.zeros([1, 37, 51, 3], np.float32)
    twice[:, ::2, ::2] = pixels
    twice[:, 1::2, ::2] = (pixels[:, 1:] + pixels[:, :-1]) / 2
    twice[:, :, 1::2] = (twice[:, :, 2::2] + twice[:, :, :-2:2]) / 2
    outputs = enlarged(pixels)
    assert (enlarged.canvas_stride, outputs["heatmap_logits"].shape[1:3]) == (2, (10, 13))
    for name, value in network(twice).items():
        np.testing.assert_allclose(outputs[name], value, atol=1e-2)


def test_a_333_by_500_image_has_maps_of_84_by_125():
    network = DeeperLab(toy(), NUM_CLASSES)
    outputs = tf.function(network).get_concrete_function(tf.TensorSpec([1, 333, 500, 3])).structured_outputs
    assert {value.shape[1:3] for value in outputs.values()} == {(84, 125)}


def test_instance_maps_are_what_the_fusion_takes(network):
    for graph in ("star", "rectangle"):
        outputs = (network if graph == "star" else build(targets=PanopticTargetConfig(graph)))(images(1, 50, 36))
        maps = InstanceMaps(**{name: outputs[name][0].numpy() for name in STAR_CHANNELS}, stride=network.canvas_stride)
        assert checked(maps, keypoint_graphs.GRAPHS[graph], (50, 36)).grid == (13, 9)


def test_encode_has_the_semantic_logits_as_canvas_and_refine_leaves_them(network):
    outputs, features = network(images(1, 33, 49)), network.encode(images(1, 33, 49))
    assert network.refine(features) is features and network.refine(features, features) is features
    np.testing.assert_array_equal(features.pop("canvas"), outputs.pop("semantic_logits"))
    assert set(features) == set(outputs) == set(STAR_CHANNELS)
    for name, value in outputs.items():
        np.testing.assert_array_equal(features[name], value)
    assert (network.is_recurrent, network.default_iterations, network.canvas_stride) == (False, 1, 4)
    assert (network.num_classes, network.padding) == (NUM_CLASSES, "symmetric")


LIGHT = dataclasses.replace(MOBILENET, kernel_size=5, stem_kernel_size=5)
DENSE = dataclasses.replace(MOBILENET, output_stride=8)
# What one switch changes alone is slow; together they cover every switch in the default suite.
SWITCHES = {
    "default": {},
    "xception, rectangle": {"backbone": XCEPTION, "targets": PanopticTargetConfig("rectangle")},
    "light, block output": {"backbone": LIGHT, "kernel_size": 3, "width": 3, "low_level": "block_output"},
    "bilinear, dense aspp": {"decoder": "bilinear", "is_aspp_separable": False},
    "baseline": {"decoder": "none", "has_deeper_heads": False, "has_aspp": False},
    "stride 8, plain heads": {"backbone": DENSE, "has_deeper_heads": False},
}
SINGLE_SWITCHES = {
    "xception": {"backbone": XCEPTION},
    "xception, block output": {"backbone": XCEPTION, "low_level": "block_output", "decoder": "bilinear"},
    "wider": {"backbone": LIGHT},
    "stride 8": {"backbone": DENSE},
    "block output": {"low_level": "block_output"},
    "no aspp": {"has_aspp": False},
    "dense aspp": {"is_aspp_separable": False},
    "bilinear": {"decoder": "bilinear"},
    "no decoder": {"decoder": "none"},
    "plain heads": {"has_deeper_heads": False},
    "small kernels": {"kernel_size": 3},
    "rectangle": {"targets": PanopticTargetConfig("rectangle")},
}


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(fields, id=name) for name, fields in SWITCHES.items()),
        *(pytest.param(fields, id=name, marks=pytest.mark.slow) for name, fields in SINGLE_SWITCHES.items()),
    ],
)
def variant(request):
    return build(**request.param)


def loss_of(outputs):
    """Distance of all maps, offsets counted in the radius, from values that change from cell to cell."""
    total = 0.0
    for index, (name, value) in enumerate(outputs.items()):
        value = value / 25 if name.endswith("_offsets") else value
        wanted = tf.random.stateless_normal(tf.shape(value), [index, 7])
        total += tf.reduce_mean(tf.math.squared_difference(value, wanted))
    return total


def value_and_gradients(network, batch):
    with tf.GradientTape() as tape:
        value = loss_of(network(batch, training=True))
    return value, tape.gradient(value, network.trainable_weights)


def test_every_switch_has_gradients_and_a_step_lowers_the_loss(variant):
    batch = images(2, 33, 49)
    before, gradients = value_and_gradients(variant, batch)
    pairs = list(zip(variant.trainable_weights, gradients, strict=True))
    assert [weight.name for weight, gradient in pairs if gradient is None] == []
    # A step so short that the loss falls as its slope says: by 0.001, of about 11.
    step = 0.001 / float(tf.linalg.global_norm(gradients)) ** 2
    for weight, gradient in pairs:
        weight.assign_sub(step * gradient)
    after = loss_of(variant(batch, training=True))
    assert float(after - before) == pytest.approx(-0.001, rel=0.3)


def test_every_switch_is_the_same_after_saving_and_loading(variant, tmp_path):
    channels = RECTANGLE_CHANNELS if variant.config.targets.graph == "rectangle" else STAR_CHANNELS
    expected = variant(images(1, 33, 40))
    assert {name: value.shape[3] for name, value in expected.items()} == {"semantic_logits": NUM_CLASSES, **channels}
    path = tf.train.Checkpoint(network=variant).write(str(tmp_path / "weights"))
    restored = DeeperLab(variant.config, NUM_CLASSES)
    different = restored(images(1, 33, 40))
    assert float(tf.reduce_max(tf.abs(different["long_offsets"] - expected["long_offsets"]))) > 1e-3
    tf.train.Checkpoint(network=restored).read(path).assert_consumed()
    for name, value in restored(images(1, 33, 40)).items():
        np.testing.assert_allclose(value, expected[name], atol=1e-6)


def test_without_a_decoder_maps_are_the_contexts_enlarged():
    """Cell 4i of a map of stride 4 is cell i of the context; between two of them lies their mean."""
    network = build(decoder="none")
    context = network.context(network.backbone(images(1, 65, 49))["last"])
    coarse = network.offset_heads["short_offsets"](context)
    fine = network(images(1, 65, 49))["short_offsets"]
    np.testing.assert_allclose(fine[:, ::4, ::4], 25 * coarse, atol=1e-4)
    np.testing.assert_allclose(fine[:, 2::4, ::4], 25 * (coarse[:, 1:] + coarse[:, :-1]) / 2, atol=1e-4)


def test_heatmaps_start_at_a_probability_of_a_tenth(network):
    """1 / (1 + e^2.19) = 0.1006."""
    np.testing.assert_allclose(tf.sigmoid(network.heatmap_head.projection.bias), [0.1006] * 5, atol=1e-4)
    np.testing.assert_array_equal(network.semantic_head.projection.bias, [0] * NUM_CLASSES)


def test_offset_heads_count_in_the_radius_and_the_others_do_not(network):
    wide = build(targets=PanopticTargetConfig(radius=50.0))
    wide.set_weights(network.get_weights())
    batch = images(1, 33, 33)
    for name, value in network(batch).items():
        factor = 2 if name.endswith("_offsets") else 1
        assert float(tf.reduce_max(tf.abs(value))) > 0.01
        np.testing.assert_allclose(wide(batch)[name], factor * value, rtol=1e-6)


def test_dropout_follows_the_seed_and_happens_in_training_alone():
    # All of a batch's statistics are used in training: without dropout, two calls agree.
    network, batch = build(dropout_rate=0.5), images(2, 33, 33)

    def logits(seed, training=True):
        seed = None if seed is None else tf.constant([0, seed])
        return network(batch, training=training, seed=seed)["semantic_logits"].numpy()

    np.testing.assert_array_equal(logits(1), logits(1))
    assert np.abs(logits(1) - logits(2)).max() > 1e-3
    assert np.abs(logits(1) - logits(None)).max() > 1e-3
    network.trainable = False  # the moving statistics stay
    np.testing.assert_array_equal(logits(1, training=False), logits(None, training=False))
    drawn = training_outputs(network, {"image": batch}, tf.constant([0, 1]))["semantic_logits"]
    np.testing.assert_array_equal(drawn, logits(1))


def test_half_of_the_context_is_dropped_at_a_rate_of_a_half():
    network, seen = build(dropout_rate=0.5, decoder="none", has_deeper_heads=False), []
    network.semantic_head.call, call = (
        lambda inputs, training=False: seen.append(inputs) or call(inputs, training),
        network.semantic_head.call,
    )
    network(images(4, 129, 129), training=True, seed=tf.constant([3, 4]))
    network(images(4, 129, 129), training=True)
    dropped, whole = (values.numpy() for values in seen)
    positive = whole > 0
    assert np.mean(dropped[positive] == 0) == pytest.approx(0.5, abs=0.05)
    kept = positive & (dropped > 0)
    np.testing.assert_allclose(dropped[kept], 2 * whole[kept], rtol=1e-5)


@pytest.mark.parametrize("decoder", ["space_to_depth", pytest.param("bilinear", marks=pytest.mark.slow)])
def test_bfloat16_has_float32_outputs_and_weights_and_finite_gradients(decoder):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        network = build(decoder=decoder)
        with tf.GradientTape() as tape:
            outputs = network(images(2, 33, 49), training=True, seed=tf.constant([0, 1]))
            loss = loss_of(outputs)
        gradients = tape.gradient(loss, network.trainable_weights)
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert {value.dtype for value in outputs.values()} == {tf.float32}
    assert {weight.dtype for weight in network.weights} == {tf.float32}
    assert all(gradient is not None and np.isfinite(gradient).all() for gradient in gradients)
    full = build(decoder=decoder)
    full.set_weights(network.get_weights())
    reference, half = full(images(1, 33, 49)), network(images(1, 33, 49))
    for name, value in reference.items():
        spread = float(tf.math.reduce_std(value))
        assert float(tf.reduce_mean(tf.abs(half[name] - value))) < 0.05 * max(spread, 1e-3)
