"""What every architecture must pass. A new model needs a row in ROWS."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.labels import DatasetInfo, default_colors
from tfseg.layers.resize import resize_bilinear
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.fcn import FCNConfig
from tfseg.models.pspnet import PSPNetConfig
from tfseg.models.rnn import RNNConfig
from tfseg.postprocess.instance_maps import NAMES

NUM_CLASSES = 5
INFO = DatasetInfo("toy", tuple("abcde"), default_colors(NUM_CLASSES), thing_ids=frozenset({1, 2}))
TOY = BackboneConfig("mobilenet_v2", width_multiplier=0.35)
# Keras counts 410,208 in MobileNetV2 0.35 without its top; 148,480 of them are the last 1x1 convolution's, left
# out here, and 11,520 are moving statistics. The last map has 112 channels.
BACKBONE_PARAMETERS = 410_208 - 148_480 - 11_520
ROWS = {
    # Projection 112 -> 4 * 8, then gates over [5 | 8], [8 | 6], [6 | 5] with their biases.
    RNNConfig: (
        RNNConfig(TOY, widths=(8, 6)),
        BACKBONE_PARAMETERS + 112 * 32 + (13 * 32 + 32) + (14 * 24 + 24) + (11 * 20 + 20),
    ),
    # Projection 112 -> 8, hidden 8 -> 6, logits 6 -> 5, with their biases.
    FCNConfig: (FCNConfig(TOY, widths=(8, 6)), BACKBONE_PARAMETERS + 113 * 8 + 9 * 6 + 7 * 5),
    # Image pooling and 1x1 112 -> 8, two dilated 3x3, projection 32 -> 8, each with scale and shift; logits.
    DeepLabV3Config: (
        DeepLabV3Config(TOY, atrous_rates=(2, 4), width=8),
        BACKBONE_PARAMETERS + 2 * 112 * 8 + 2 * 9 * 112 * 8 + 32 * 8 + 5 * 16 + 9 * 5,
    ),
    # Two levels 112 -> 8, 3x3 of 112 + 16 -> 8, each with scale and shift; logits.
    PSPNetConfig: (
        PSPNetConfig(TOY, bins=(1, 3), width=8),
        BACKBONE_PARAMETERS + 2 * 112 * 8 + 9 * 128 * 8 + 3 * 16 + 9 * 5,
    ),
    # A 1x1 of 112 -> 8 with scale and shift; 5 classes, 5 keypoints, 2 x 5 long and short and 2 x 8 middle offsets.
    DeeperLabConfig: (
        DeeperLabConfig(
            dataclasses.replace(TOY, padding="symmetric"),
            has_aspp=False,
            aspp_width=8,
            decoder="none",
            has_deeper_heads=False,
        ),
        BACKBONE_PARAMETERS + 112 * 8 + 16 + 9 * (5 + 5 + 10 + 10 + 16),
    ),
}


def test_every_architecture_has_a_row_and_a_name():
    assert set(ROWS) == {architecture.config for architecture in architectures.ARCHITECTURES.values()}


@pytest.fixture(scope="module", params=ROWS, ids=lambda config_type: config_type.__name__)
def row(request):
    keras.utils.set_random_seed(0)
    config, count = ROWS[request.param]
    return architectures.build(config, NUM_CLASSES), count


def test_parameters_are_as_counted_by_hand(row):
    network, count = row
    assert sum(np.prod(variable.shape) for variable in network.trainable_variables) == count


def test_outputs_have_the_models_stride_at_two_sizes(row):
    network, _ = row
    for height, width in ((32, 64), (33, 49)):
        logits = network(tf.zeros([2, height, width, 3]))["semantic_logits"]
        stride = network.canvas_stride
        assert logits.shape == (2, -(-height // stride), -(-width // stride), NUM_CLASSES)
        assert logits.dtype == tf.float32


def test_gradients_reach_every_weight(row):
    network, _ = row
    architecture = architectures.architecture_of(network.config)
    images = tf.random.stateless_uniform([1, 32, 32, 3], [0, 1], 0, 255)
    label = tf.random.stateless_uniform([32, 32], [0, 2], 0, NUM_CLASSES, tf.int32)
    example = {"image": images[0], "label": label, "instance": tf.where(label == 1, 1, 0), "filename": "a.png"}
    batch = tf.nest.map_structure(
        lambda value: tf.convert_to_tensor(value)[tf.newaxis],
        architecture.targets(example, INFO, network.config),
    )
    with tf.GradientTape() as tape:
        outputs = architecture.training_outputs(network, images, tf.constant([0, 0]))
        terms = architecture.losses(
            batch, outputs, network.config, upsample=resize_bilinear, ignore_label=255, class_weights=None
        )
        loss = tf.add_n([weight * total for weight, total, _ in terms.values()])
    gradients = tape.gradient(loss, network.trainable_variables)
    silent = [v.name for v, g in zip(network.trainable_variables, gradients, strict=True) if g is None]
    assert silent == []


def test_a_batch_is_segmented_like_its_images_one_by_one(row):
    network, _ = row
    images = tf.random.stateless_uniform([3, 32, 48, 3], [1, 1], 0, 255)
    together = network(images)["semantic_logits"]
    alone = tf.concat([network(images[i : i + 1])["semantic_logits"] for i in range(3)], 0)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_encode_and_refine_give_what_the_whole_call_gives(row):
    network, _ = row
    images = tf.random.stateless_uniform([1, 32, 48, 3], [1, 2], 0, 255)
    features, state = network.encode(images), None
    for _ in range(network.default_iterations):
        state = network.refine(features, state)
    np.testing.assert_allclose(state["canvas"], network(images)["semantic_logits"], atol=1e-6)


def test_a_panoptic_network_has_the_maps_that_the_fusion_reads(row):
    network, _ = row
    is_panoptic = architectures.architecture_of(network.config).is_panoptic
    assert network.is_panoptic is is_panoptic
    features = network.encode(tf.zeros([1, 33, 49, 3]))
    assert is_panoptic == (set(NAMES) <= set(features))
    if is_panoptic:
        assert {features[name].shape[1:3] for name in NAMES} == {features["canvas"].shape[1:3]}
