"""Thresholds that make no sense are refused by name."""

import dataclasses

import pytest

from tfseg.errors import InputError
from tfseg.postprocess.fusion_config import FusionConfig, FusionThresholds, network_fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("graph", "triangle"),
        ("long_votes", "stuff"),
        ("distance", "l1"),
        ("radius", 0.0),
        ("max_keypoints", 0),
        ("refine_steps", -1),
        ("peak_threshold", float("nan")),
        ("peak_window", 4),
        ("peak_window", 1),
    ],
)
def test_a_bad_value_is_named_with_its_field(field, value):
    with pytest.raises(InputError, match=rf"^fusion {field} is '?{value}'?; [^\n]+$"):
        FusionConfig(**{field: value})


def test_the_graph_has_its_keypoints():
    assert FusionConfig(graph="star").keypoint_graph.num_keypoints == 5
    assert FusionConfig(graph="rectangle").keypoint_graph.num_keypoints == 4


def test_a_networks_fields_are_the_thresholds_of_its_config_with_graph_and_radius():
    thresholds = dataclasses.asdict(FusionThresholds(nms_iou=0.3))
    config = FusionConfig.of_network("cross", 4.0, **thresholds)
    assert network_fields(config) == {"graph": "cross", "radius": 4.0, **thresholds}
    assert network_fields(FusionConfig()) == {"graph": "star", "radius": 25.0, **dataclasses.asdict(FusionThresholds())}
