"""The thresholds of the fusion, in one place."""

import dataclasses

from tfseg.errors import InputError
from tfseg.postprocess.keypoint_graphs import GRAPHS, KeypointGraph

LONG_VOTES = ("thing", "all")
DISTANCES = ("squared_l2", "sum_l2")
# Seeds so near each other, in radii of the keypoints' disks, are one instance: 10 pixels at the paper's radius of 25.
PROXIMITY = 0.4
# What a network knows about the fusion of its maps: how it was trained, and thresholds chosen on a validation split.
NETWORK_FIELDS = ("graph", "radius", "peak_threshold", "instance_score_min")


@dataclasses.dataclass
class FusionThresholds:
    """The thresholds of the fusion that stand in a network's config: for use, not for training.

    Choose them on a validation split.

    Attributes:
      peak_threshold, instance_score_min: see `FusionConfig`.
    """

    peak_threshold: float = 0.02
    instance_score_min: float = 0.1


@dataclasses.dataclass(frozen=True)
class FusionConfig:
    """How instance maps become instances. Only `radius` is fixed by the paper (arXiv:1902.05093).

    Attributes:
      graph: "star" (corners and centre of mass) or "rectangle" (corners).
      radius: of the disks round keypoints in which the network was trained, input pixels.
      refine_steps: times an offset is corrected by the short-range offset where it points.
      refine_min_probability: heatmap probability below which short-range offsets correct nothing.
      refine_long_by_long: correct long-range offsets once by the long-range offset where they point, before that.
      vote_min_probability: heatmap probability above which a cell votes by its short-range offset.
      long_votes: whose long-range offsets vote: cells of a "thing", or "all".
      short_weight, long_weight: of the two kinds of votes in the score.
      smooth_sigma: of the Gaussian over the score, cells; 0 for none.
      peak_window: a keypoint is the largest score of a square of so many cells; odd.
      peak_threshold: and above this.
      oks_sigma: of the Gaussian that weighs the votes round a keypoint, as a share of `radius`.
      keypoint_score_min: keypoints below it are not seeds.
      max_keypoints: seeds of each kind of keypoint, the best ones.
      proximity: a seed so near the same keypoint of an instance is that instance, input pixels.
      instance_score_min: instances below it are dropped.
      nms_iou: of two instances whose boxes overlap more, the better one stays.
      distance: between the keypoints a pixel points to and those of an instance: "squared_l2" of all coordinates
        together or "sum_l2", the sum over keypoints of their distances.
      normalize_by_scale: divide that distance by the side of the instance's box (its area for "squared_l2").
    """

    graph: str = "star"
    radius: float = 25.0
    refine_steps: int = 2
    refine_min_probability: float = 0.5
    refine_long_by_long: bool = False
    vote_min_probability: float = 0.01
    long_votes: str = "thing"
    short_weight: float = 1.0
    long_weight: float = 0.5
    smooth_sigma: float = 1.0
    peak_window: int = 3
    peak_threshold: float = 0.02
    oks_sigma: float = 0.5
    keypoint_score_min: float = 0.05
    max_keypoints: int = 1000
    proximity: float = 10.0
    instance_score_min: float = 0.1
    nms_iou: float = 0.6
    distance: str = "squared_l2"
    normalize_by_scale: bool = False

    def __post_init__(self):
        for field, choices in (("graph", tuple(GRAPHS)), ("long_votes", LONG_VOTES), ("distance", DISTANCES)):
            if getattr(self, field) not in choices:
                raise InputError(f"fusion {field} is {getattr(self, field)!r}; one of {', '.join(choices)}")
        for field in ("radius", "oks_sigma", "max_keypoints"):
            if not getattr(self, field) > 0:
                raise InputError(f"fusion {field} is {getattr(self, field)}; it has to be above 0")
        for field in ("refine_steps", "short_weight", "long_weight", "smooth_sigma", "peak_threshold", "proximity"):
            if not getattr(self, field) >= 0:
                raise InputError(f"fusion {field} is {getattr(self, field)}; it has to be 0 or more")
        if self.peak_window < 3 or self.peak_window % 2 == 0:
            raise InputError(f"fusion peak_window is {self.peak_window}; an odd number of cells from 3")

    @classmethod
    def of_network(cls, graph: str, radius: float, **thresholds: float) -> "FusionConfig":
        """The thresholds for a network that was trained with this graph and radius, in input pixels.

        Args:
          thresholds: further fields, those of NETWORK_FIELDS.
        """
        return cls(graph=graph, radius=radius, proximity=PROXIMITY * radius, **thresholds)

    @property
    def keypoint_graph(self) -> KeypointGraph:
        return GRAPHS[self.graph]


def network_fields(config: FusionConfig) -> dict:
    """{field: value} of NETWORK_FIELDS, for `FusionConfig.of_network`."""
    return {name: getattr(config, name) for name in NETWORK_FIELDS}
