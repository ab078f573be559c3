"""Multiply-accumulates of the executed graph, against counts by hand."""

import pytest

from tfseg import architectures, flops
from tfseg.backbones import BackboneConfig
from tfseg.models.fcn import FCNConfig
from tfseg.models.rnn import RNNConfig

BACKBONE = BackboneConfig("mobilenet_v2", output_stride=16, width_multiplier=0.35)


@pytest.mark.parametrize("widths", [(8, 6), (16, 6)])
def test_an_iteration_costs_the_three_gate_products_at_every_position(widths):
    network = architectures.build(RNNConfig(BACKBONE, widths=widths), 5)
    counts = flops.executed_gmacs(network, (64, 96), 3)
    first, second = widths
    # 4 gates a map over [canvas 5 | h1], [h1 | h2], [h2 | h3] at 4 x 6 positions.
    iteration = 24 * 4 * (first * (5 + first) + second * (first + second) + 5 * (second + 5))
    assert counts[1] - counts[0] == pytest.approx(iteration / 1e9, rel=1e-6)
    assert counts[2] - counts[1] == pytest.approx(iteration / 1e9, rel=1e-6)


def test_a_hand_counted_network():
    """The first iteration skips the products with the zero canvas and the zero h."""
    network = architectures.build(RNNConfig(BACKBONE, widths=(8, 6)), 5)
    [first] = flops.executed_gmacs(network, (64, 96), 1)
    feed_forward = architectures.build(FCNConfig(BACKBONE, widths=(32,)), 5)
    [other] = flops.executed_gmacs(feed_forward, (64, 96), 1)
    # The same backbone and the same projection to 32 channels; then gates of layers 2 and 3 here, 32 -> 5 logits there.
    assert first - other == pytest.approx(24 * (4 * (6 * 8 + 5 * 6) - 32 * 5) / 1e9, rel=1e-6)


def test_features_are_multiplied_once_and_only_once():
    """Two widths of the first layer differ by the hoisted product, 128 features into 4 gates a map."""
    costs = []
    for width in (8, 16):
        network = architectures.build(RNNConfig(BACKBONE, widths=(width, 6)), 5)
        first = flops.executed_gmacs(network, (64, 96), 1)[0]
        costs.append(first - 24 * 4 * (6 * width + 5 * 6) / 1e9)
    channels = network.projection.kernels[0].shape[2]
    assert costs[1] - costs[0] == pytest.approx(24 * 4 * 8 * channels / 1e9, rel=1e-6)


def test_a_feed_forward_network_has_one_cost():
    network = architectures.build(FCNConfig(BACKBONE, widths=(8, 8)), 5)
    [cost] = flops.executed_gmacs(network, (64, 96), 6)
    assert cost > 0
