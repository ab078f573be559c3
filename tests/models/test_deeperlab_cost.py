"""What DeeperLab's networks weigh and multiply, against counts made from the paper's tables alone."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tfseg.backbones import BackboneConfig
from tfseg.models.deeperlab import DeeperLab
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.models.deeperlab_decoder import Decoder
from tfseg.profiling import flops

NUM_CLASSES = 66


def mobilenet(side, **fields):
    """With kernels of side x side: 3 is MobileNetV2, 5 the wider one."""
    backbone = BackboneConfig("mobilenet_v2", kernel_size=side, stem_kernel_size=side, padding="symmetric")
    return DeeperLabConfig(backbone, **fields)


CONFIGS = {
    "Xception-71": DeeperLabConfig(),
    "MNV2 3x3": mobilenet(3),
    "Wider MNV2": mobilenet(5),
    "MNV2 7x7": mobilenet(7),
    "Light Wider": mobilenet(5, kernel_size=3, width=128),
    "Wider, BU+DH+LK": mobilenet(5, decoder="bilinear"),
    "Wider, BU+DH": mobilenet(5, decoder="bilinear", kernel_size=3),
    "Wider, S2D+DH": mobilenet(5, kernel_size=3),
    "Wider, S2D only": mobilenet(5, kernel_size=3, has_deeper_heads=False),
    "Wider, none": mobilenet(5, decoder="none", has_deeper_heads=False),
    "Xception-71, BU+DH+LK": DeeperLabConfig(decoder="bilinear"),
}
# Kernels and biases; normalised channels; 10^9 multiply-accumulates at 721 x 721 and at 1441 x 1441.
COSTS = {
    "Xception-71": (63_478_067, 122_048, 173.36, 681.06),
    "MNV2 3x3": (22_905_387, 33_152, 56.08, 220.02),
    "Wider MNV2": (23_021_099, 33_152, 56.76, 222.70),
    "MNV2 7x7": (23_194_667, 33_152, 57.78, 226.73),
    "Light Wider": (8_505_003, 26_240, 21.53, 84.52),
    "Wider, BU+DH+LK": (3_025_739, 21_152, 19.54, 77.37),
    "Wider, BU+DH": (2_952_779, 21_152, 17.15, 67.86),
    "Wider, S2D+DH": (22_775_339, 33_152, 54.67, 214.42),
    "Wider, S2D only": (22_640_619, 31_360, 50.26, 196.86),
    "Wider, none": (2_669_291, 18_272, 7.02, 27.58),
    "Xception-71, BU+DH+LK": (43_482_707, 110_048, 136.13, 535.73),
}
IN_THE_DEFAULT_SUITE = ("Xception-71", "Wider MNV2", "Light Wider", "Wider, BU+DH", "Wider, none")


def variants(names=COSTS):
    marks = {name: () if name in IN_THE_DEFAULT_SUITE else pytest.mark.slow for name in names}
    return [pytest.param(name, marks=mark, id=name) for name, mark in marks.items()]


@pytest.fixture(scope="module", params=variants())
def network(request):
    """(name, network, traced at 721): tracing makes the weights and computes nothing."""
    built = DeeperLab(CONFIGS[request.param], NUM_CLASSES)
    return request.param, built, flops.trace(built, (721, 721), 1)


def count(weights):
    return sum(int(np.prod(weight.shape)) for weight in weights)


def num_normalised(layer):
    return count(weight for weight in layer.weights if weight.name.endswith("/gamma:0"))


def test_weights_are_those_counted_by_hand(network):
    name, built, _ = network
    kernels_and_biases, normalised, _, _ = COSTS[name]
    assert num_normalised(built) == normalised
    assert count(built.trainable_weights) == kernels_and_biases + 2 * normalised
    assert count(built.weights) == kernels_and_biases + 4 * normalised


def test_multiplications_are_those_counted_by_hand(network):
    """Within 0.5 %: dilated depthwise convolutions run on maps padded to a multiple of their rate."""
    name, built, at_721 = network
    assert flops.gmacs(flops.count(at_721)) == pytest.approx(COSTS[name][2], rel=5e-3)
    at_1441 = flops.trace(built, (1441, 1441), 1)
    assert flops.gmacs(flops.count(at_1441)) == pytest.approx(COSTS[name][3], rel=5e-3)


# Encoder, context, decoder, heads: kernels and biases.
PARTS = {
    "Xception-71": (40_090_760, 3_004_416, 20_169_472, 213_419),
    "Wider MNV2": (1_895_872, 745_920, 20_165_888, 213_419),
    "MNV2 3x3": (1_780_160, 745_920, 20_165_888, 213_419),
    "MNV2 7x7": (2_069_440, 745_920, 20_165_888, 213_419),
}


def test_each_part_weighs_what_was_counted_by_hand(network):
    name, built, _ = network
    heads = [built.semantic_head, built.heatmap_head, *built.offset_heads.values()]
    parts = [[built.backbone], [built.context], [built.decoder] if built.decoder else [], heads]
    weights = [sum(count(p.trainable_weights) - 2 * num_normalised(p) for p in layers) for layers in parts]
    assert sum(weights) == COSTS[name][0]
    if name in PARTS:
        assert tuple(weights) == PARTS[name]
    if name == "Wider MNV2":
        # Low-level 1x1, depthwise 7x7, 768 -> 4096, depthwise 7x7, 4096 -> 4096.
        assert weights[2] == 144 * 32 + 49 * 768 + 768 * 4096 + 49 * 4096 + 4096**2
        assert num_normalised(built.backbone) == 15_776
    if name == "Xception-71":
        assert num_normalised(built.backbone) == 99_488


def test_one_more_class_adds_a_filter_of_256_and_a_bias():
    def weights(num_classes):
        narrow = dataclasses.replace(CONFIGS["Wider, BU+DH"].backbone, width_multiplier=0.1)
        built = DeeperLab(dataclasses.replace(CONFIGS["Wider, BU+DH"], backbone=narrow), num_classes)
        flops.trace(built, (33, 33), 1)
        return count(built.weights)

    assert weights(66) - weights(65) == 257


@pytest.mark.parametrize(("side", "bilinear", "space_to_depth"), [(721, 53.47, 30.30), (1441, 212.68, 118.65)])
def test_space_to_depth_needs_less_memory_than_upsampling(side, bilinear, space_to_depth):
    """10^6 elements of the decoder: what its convolutions put out, the enlarged context, the concatenation."""
    found = {}
    for kind in ("bilinear", "space_to_depth"):
        decoder = Decoder(kind, 256, 7, block=4)
        fine, coarse = -(-side // 4), -(-side // 16)
        shapes = [1, coarse, coarse, 256], [1, fine, fine, 144]
        graph = tf.function(decoder).get_concrete_function(*map(tf.TensorSpec, shapes)).graph
        operations = list(called_operations(graph))
        kernels = [op for op in operations if op.type in ("Conv2D", "DepthwiseConv2dNative")]
        joined = next(op.inputs[0] for op in kernels if op.type == "DepthwiseConv2dNative")
        elements = sum(op.outputs[0].shape.num_elements() for op in kernels) + joined.shape.num_elements()
        if kind == "bilinear":
            elements += 256 * fine**2
            assert joined.shape == (1, fine, fine, 288)
        else:
            assert joined.shape == (1, coarse, coarse, 768)
        found[kind] = elements / 1e6
    assert found["bilinear"] == pytest.approx(bilinear, abs=0.005)
    assert found["space_to_depth"] == pytest.approx(space_to_depth, abs=0.005)


def called_operations(graph):
    """All operations of a graph, those of the functions it calls not included: layers are traced inline."""
    operations = graph.get_operations()
    assert not [op for op in operations if op.type in ("PartitionedCall", "StatefulPartitionedCall")]
    return operations
