"""ImageNet weights by name: Keras' files, and what is said where there are none or no network."""

import hashlib
import re

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.backbones import BackboneConfig, imagenet, pretrained
from tfseg.errors import InputError

SMALL = BackboneConfig("mobilenet_v2", output_stride=32, width_multiplier=0.35)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Keras' folder of files; nothing can be downloaded."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setattr(imagenet, "ADDRESS", "http://127.0.0.1:9")
    (tmp_path / "keras" / "models").mkdir(parents=True)
    return tmp_path / "keras" / "models"


@pytest.mark.parametrize(
    ("config", "address"),
    [
        (SMALL, "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5"),
        (
            BackboneConfig("mobilenet_v2"),
            "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
        ),
        (BackboneConfig("resnet50_keras"), "resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"),
        (BackboneConfig("resnet101_keras"), "resnet/resnet101_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ],
)
def test_without_a_network_the_address_and_the_place_are_said(folder, config, address):
    line = rf"cannot download \S+{re.escape(address)} \(.+\); put this file into {re.escape(str(folder))}, or .*=none"
    with pytest.raises(InputError, match=line):
        imagenet.weights_path(config)
    assert not list(folder.iterdir())


def test_a_file_that_lies_there_is_taken_and_gives_what_keras_computes(folder):
    """The weights of a Keras application, with random values, in the place of the published ones."""
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, include_top=False, weights=None)
    for weight in model.weights:
        if "moving_variance" in weight.name:
            weight.assign(tf.random.uniform(weight.shape, 0.5, 1.5))
    model.save_weights(folder / "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_0.35_224_no_top.h5")
    backbone = backbones.build(SMALL)
    pretrained.load_backbone(backbone, imagenet.weights_path(SMALL))
    images = np.random.default_rng(0).uniform(0, 255, [1, 64, 64, 3]).astype(np.float32)
    ours = backbone(images)["last"]
    layer = keras.Model(model.input, model.get_layer("block_16_project_BN").output)
    np.testing.assert_allclose(ours, layer(images / 127.5 - 1), atol=1e-3)


def test_a_damaged_file_is_not_taken(folder):
    name = "resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5"
    (folder / name).write_bytes(b"cut")
    assert hashlib.md5(b"cut").hexdigest() != imagenet.RESNETS["resnet50_keras"][1]
    with pytest.raises(InputError, match="cannot download"):  # Keras fetches it once more
        imagenet.weights_path(BackboneConfig("resnet50_keras"))


@pytest.mark.parametrize("name", ["resnet50_v1", "resnet18", "xception_71"])
def test_backbones_that_keras_does_not_have_are_refused(name):
    with pytest.raises(InputError, match=f"Keras has no weights for {name}, only for mobilenet_v2, resnet50_keras"):
        imagenet.weights_path(BackboneConfig(name))


def test_widths_that_keras_does_not_have_are_refused():
    with pytest.raises(InputError, match=r"MobileNetV2 in the widths 0.35, 0.5, 0.75, 1.0, 1.3 .*, not 0.2"):
        imagenet.weights_path(BackboneConfig("mobilenet_v2", width_multiplier=0.2))
