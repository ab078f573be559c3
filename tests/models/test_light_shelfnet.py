"""Light-weight ShelfNet at its real sizes, counted and traced, and narrow ones that run."""

import dataclasses

import numpy as np
import pytest
from tensorflow import keras

from tests.backbones.random_weights import images, randomize
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.resize import resize_bilinear
from tfseg.models.light_shelfnet import LightShelfNet, LightShelfNetConfig
from tfseg.profiling import flops
from tfseg.profiling.paths import count_paths, shelf_graph

RESNET18 = LightShelfNetConfig(BackboneConfig("resnet18", output_stride=32))
RESNET34 = LightShelfNetConfig(
    BackboneConfig("resnet34", output_stride=32), width=128, has_reduction=False, dropout_rate=0.0
)
NARROW = LightShelfNetConfig(tiny(32), width=4)


def built(config):
    network = LightShelfNet(config, 19)
    network(keras.Input([64, 64, 3]))
    return network


def parameters(network):
    return sum(np.prod(variable.shape) for variable in network.trainable_variables)


@pytest.mark.parametrize(("config", "count"), [(RESNET18, 14_320_256), (RESNET34, 33_132_736)])
def test_parameters_and_paths_are_those_of_the_authors_with_19_classes(config, count):
    network = built(config)
    assert parameters(network) == count
    assert count_paths(shelf_graph(network)) == 13


@pytest.mark.parametrize(("width", "count"), [(64, 243_328), (128, 464_512)])
def test_auxiliary_heads_have_the_authors_parameters(width, count):
    """They read levels, so that they are the same on any backbone."""
    configs = [dataclasses.replace(NARROW, width=width, pairs=1, auxiliary_weight=weight) for weight in (0.0, 1.0)]
    without, with_heads = (parameters(built(config)) for config in configs)
    assert with_heads - without == count


@pytest.mark.parametrize(("config", "gmacs"), [(RESNET18, 98.7), pytest.param(RESNET34, 240.8, marks=pytest.mark.slow)])
def test_multiply_accumulates_at_1024x2048_are_those_of_the_authors_network(config, gmacs):
    network = built(config)
    assert flops.gmacs(flops.count(flops.trace(network, (1024, 2048), 1))) == pytest.approx(gmacs, rel=0.02)


def test_logits_have_stride_8_at_any_size_and_the_heads_of_training_too():
    network = architectures.build(dataclasses.replace(NARROW, auxiliary_weight=1.0), 3)
    for size in ((96, 64), (50, 375)):
        outputs = network(images(*size))
        shape = (1, -(-size[0] // 8), -(-size[1] // 8), 3)
        assert outputs["semantic_logits"].shape == shape
        assert [logits.shape for logits in outputs["auxiliary_logits"]] == [shape, shape]
        assert set(network.encode(images(*size))) == {"canvas"}


def test_both_auxiliary_losses_have_the_weight():
    network = architectures.build(dataclasses.replace(NARROW, auxiliary_weight=0.75), 3)
    losses = architectures.architecture_of(NARROW).losses(
        {"label": np.zeros([1, 64, 64], np.int32)},
        network(images(64, 64)),
        network.config,
        upsample=resize_bilinear,
        ignore_label=255,
    )
    assert [(name, weight) for name, (weight, *_) in losses.items()] == [
        ("cross_entropy", 1.0),
        ("auxiliary_1", 0.75),
        ("auxiliary_2", 0.75),
    ]


def test_without_reduction_the_first_column_is_the_backbones():
    network = LightShelfNet(
        dataclasses.replace(NARROW, has_reduction=False, backbone=BackboneConfig("resnet18", 32), width=128), 3
    )
    image = images(32, 64)
    nodes = network.nodes(image)
    for level in "BCD":
        np.testing.assert_array_equal(nodes[f"{level}0"], nodes[f"{level}1"])


def test_maps_that_are_no_levels_need_the_reduction():
    message = r"resnet18 has maps of \(128, 256, 512\) channels, but width 64 makes levels of \(64, 128, 256\); set has"
    with pytest.raises(InputError, match=message):
        built(dataclasses.replace(RESNET18, has_reduction=False))


def test_training_depends_on_the_seed_and_use_does_not():
    network, image = architectures.build(NARROW, 3), images(64, 64)
    randomize(network)
    np.testing.assert_array_equal(network.encode(image)["canvas"], network.encode(image)["canvas"])
    first, second = (network(image, training=True, seed=[0, step])["semantic_logits"] for step in (1, 2))
    assert np.abs(first - second).max() > 1e-3
