"""What a frame of a video costs, also where it goes through the network in tiles."""

import pytest

from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.inference import views
from tfseg.models.fcn import FCNConfig
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import frame_cost


def test_iterations_add_up_and_a_state_costs_its_products():
    network = architectures.build(RNNConfig(tiny(), iterations=3, widths=(8, 4), canvas_stride=8), 3)
    cost = frame_cost.of_segmenter(network, (64, 96))
    assert cost.gflops(1, False) == cost.first < cost.seeded == cost.gflops(1, True)
    assert cost.gflops(4, True) == pytest.approx(cost.seeded + 3 * cost.iteration)


def test_a_frame_that_is_cut_costs_all_its_tiles_and_starts_afresh():
    tiling = views.tiling_of((1600, 1600))
    assert len(tiling.corners) > 1
    for config in (FCNConfig(tiny()), RNNConfig(tiny(), iterations=3, widths=(8, 4), canvas_stride=8)):
        network = architectures.build(config, 3)
        cost, of_tile = (frame_cost.of_segmenter(network, size) for size in ((1600, 1600), tiling.tile))
        assert cost.first == pytest.approx(len(tiling.corners) * of_tile.first)
        assert cost.iteration == pytest.approx(len(tiling.corners) * of_tile.iteration)
        assert cost.seeded == cost.first
