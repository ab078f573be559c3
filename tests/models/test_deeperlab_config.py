"""DeeperLab's configuration: what follows from it, and what is refused."""

import dataclasses

import pytest

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig
from tfseg.data.panoptic_targets import PanopticTargetConfig
from tfseg.errors import InputError
from tfseg.losses.panoptic import PanopticLossConfig
from tfseg.models.deeperlab import DeeperLab
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.postprocess.fusion_config import FusionThresholds

NUM_CLASSES = 6
MOBILENET = BackboneConfig("mobilenet_v2", width_multiplier=0.1, padding="symmetric")


def toy(**fields):
    return DeeperLabConfig(**{"backbone": MOBILENET, "aspp_width": 8, "atrous_rates": (1, 2)} | fields)


def test_atrous_rates_grow_as_the_map_does():
    strides = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}
    for stride, rates in strides.items():
        backbone = dataclasses.replace(MOBILENET, output_stride=stride)
        config = DeeperLabConfig(backbone)
        assert config.rates() == rates
        network = DeeperLab(config, NUM_CLASSES)
        assert tuple(branch.depthwise.conv.dilation for branch in network.context.branches[1:]) == rates


def test_the_pyramid_names_its_separable_branches_as_deeplabs_checkpoints_do():
    network = DeeperLab(toy(), NUM_CLASSES)
    assert list(network.context.convolutions()) == [
        "image_pooling",
        "aspp0",
        "aspp1_depthwise",
        "aspp1_pointwise",
        "aspp2_depthwise",
        "aspp2_pointwise",
        "concat_projection",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": BackboneConfig("xception_71")}, "backbone.padding is 'same', but .* set it to symmetric"),
        ({"decoder": "s2d"}, "decoder is one of space_to_depth, bilinear, none, not 's2d'"),
        ({"low_level": "depthwise"}, "low_level is one of inner, block_output"),
        ({"kernel_size": 4}, "kernel_size is odd, 7 or 3 in the paper, not 4"),
        ({"width": 0}, "width is 0; at least 1"),
        ({"atrous_rates": (6, 0)}, "atrous_rates are at least 1"),
        ({"dropout_rate": 1.0}, "dropout_rate is at least 0 and below 1, not 1.0"),
        ({"enlargement": 3}, "enlargement is 1, 2 or 4, not 3"),
    ],
)
def test_a_field_out_of_range_is_an_input_error(changes, message):
    with pytest.raises(InputError, match=message):
        toy(**changes)


def test_a_resnet_has_no_inner_map_but_block_outputs():
    resnet = BackboneConfig("resnet50_v1", padding="symmetric")
    with pytest.raises(InputError, match="no inner maps: use block_output"):
        DeeperLab(toy(backbone=resnet), NUM_CLASSES)
    assert DeeperLab(toy(backbone=resnet, low_level="block_output"), NUM_CLASSES).backbone.output_stride == 16


def test_keypoints_of_whole_instances_cannot_be_turned():
    config = toy(targets=PanopticTargetConfig(geometry="full"))
    config.check(DataConfig())
    with pytest.raises(InputError, match="keypoints of geometry=full cannot be turned"):
        config.check(DataConfig(rotation=5.0))


def test_a_flat_config_of_an_earlier_version_is_read_into_its_parts():
    earlier = {
        "name": "deeperlab",
        "width": 64,
        "radius": 10.0,
        "graph": "rectangle",
        "target_stride": 2,
        "peak_threshold": 0.1,
        "hard_pixel_fraction": 0.0,
        "loss_weights": [2.0, 4.0, 1.0, 0.5, 1.0],
    }
    config = ExperimentConfig.from_dict({"model": earlier}).model
    assert config == DeeperLabConfig(
        width=64,
        targets=PanopticTargetConfig("rectangle", radius=10.0, stride=2),
        losses=PanopticLossConfig(middle_weight=0.5, long_weight=1.0, hard_pixel_fraction=0.0),
        fusion=FusionThresholds(peak_threshold=0.1),
    )
    assert ExperimentConfig.from_dict(ExperimentConfig(config).to_dict()).model == config
