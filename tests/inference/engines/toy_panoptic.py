"""A small DeeperLab with random weights, and what its exports say of themselves."""

import numpy as np

from tests.tiny_backbone import tiny
from tfseg.data.panoptic_targets import PanopticTargetConfig
from tfseg.formats.export_manifest import FORMAT
from tfseg.labels import DatasetInfo, default_colors
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.postprocess.fusion_config import FusionThresholds

INFO = DatasetInfo("toy", ("grass", "ball", "cube"), default_colors(3), thing_ids=frozenset({1, 2}))
CONFIG = DeeperLabConfig(
    tiny(padding="symmetric"),
    aspp_width=8,
    width=6,
    instance_width=4,
    low_level_width=3,
    atrous_rates=(1, 2),
    targets=PanopticTargetConfig(radius=9.0),
    fusion=FusionThresholds(peak_threshold=0.01, instance_score_min=0.05),
)
FUSION = {"graph": "star", "radius": 9.0, "peak_threshold": 0.01, "instance_score_min": 0.05}
SIZE, OTHER = (65, 97), (50, 83)


def photo(*size):
    return np.random.default_rng(size[0]).integers(0, 256, [*size, 3]).astype(np.uint8)


def description(kind, **changed):
    return {
        "format": FORMAT,
        "name": "toy",
        "classes": INFO.to_dict(),
        "is_recurrent": False,
        "iterations": 1,
        "max_iterations": 1,
        "size": None if kind == "savedmodel" else list(SIZE),
        "padding": "symmetric",
        "stride": 4,
        "kind": kind,
        "precision": "fp32",
        "fusion": FUSION,
    } | changed
