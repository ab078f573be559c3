"""The thresholds of the fusion."""

import dataclasses

from tfseg.errors import InputError
from tfseg.postprocess.keypoint_graphs import GRAPHS, KeypointGraph

LONG_VOTES = ("thing", "all")
DISTANCES = ("squared_l2", "sum_l2")
# Seeds within this distance, in radii of the keypoints' disks, are one instance: 10 pixels at the paper's radius of 25.
PROXIMITY = 0.4
# Fields that a network sets for its fusion: how it was trained, and thresholds chosen on a validation split.
NETWORK_FIELDS = ("graph", "radius", "peak_threshold", "keypoint_score_min", "instance_score_min", "nms_iou")
# Models that were exported by an earlier version do not say these, and use the defaults.
LATER_FIELDS = ("keypoint_score_min", "nms_iou")


@dataclasses.dataclass
class FusionThresholds:
    """The thresholds of the fusion that a network's config holds. They are for use, not for training.

    Choose them on a validation split.

    Attributes:
      peak_threshold, keypoint_score_min, instance_score_min, nms_iou: see `FusionConfig`.
    """

    peak_threshold: float = 0.02
    keypoint_score_min: float = 0.05
    instance_score_min: float = 0.1
    nms_iou: float = 0.6


@dataclasses.dataclass(frozen=True)
class FusionConfig:
    """How instance maps become instances. The paper (arXiv:1902.05093) fixes only `radius`.

    Attributes:
      graph: key of `keypoint_graphs.GRAPHS`: "star" (corners and centre of mass), "rectangle" (corners) or "cross"
        (points on the sides, and the centre of mass).
      radius: radius of the disks around keypoints that the network was trained with, in input pixels.
      refine_steps: how often an offset is corrected by the short-range offset at the place it points to.
      refine_min_probability: heatmap probability below which short-range offsets correct nothing.
      refine_long_by_long: whether long-range offsets are first corrected once by the long-range offset at the place
        they point to.
      vote_min_probability: heatmap probability above which a cell votes by its short-range offset.
      long_votes: which cells vote by their long-range offsets: those of a "thing", or "all".
      short_weight, long_weight: weights of the two kinds of votes in the score.
      smooth_sigma: standard deviation of the Gaussian that smooths the score, in cells; 0 for none.
      peak_window: side of the square, in cells, in which a keypoint must have the largest score; odd.
      peak_threshold: score that a keypoint must exceed.
      oks_sigma: standard deviation of the Gaussian that weighs the votes around a keypoint, as a share of `radius`.
      keypoint_score_min: keypoints with a lower score are not seeds.
      max_keypoints: largest number of seeds of each kind of keypoint; the best ones are taken.
      proximity: a seed belongs to an instance if it is within this distance of the instance's keypoint of the same
        kind, in input pixels.
      instance_score_min: instances with a lower score are dropped.
      nms_iou: if the boxes of two instances overlap by more than this IoU, only the better instance is kept.
      distance: how the keypoints that a pixel points to are compared with those of an instance: "squared_l2", the
        squared distance over all coordinates together, or "sum_l2", the sum of the keypoints' distances.
      normalize_by_scale: whether to divide that distance by the side of the instance's box (its area for "squared_l2").
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
                raise InputError(f"fusion {field} is {getattr(self, field)}; it must be above 0")
        at_least_0 = ("refine_steps", "short_weight", "long_weight", "smooth_sigma", "peak_threshold", "proximity")
        for field in (*at_least_0, "keypoint_score_min", "instance_score_min", "nms_iou"):
            if not getattr(self, field) >= 0:
                raise InputError(f"fusion {field} is {getattr(self, field)}; it must be 0 or more")
        if self.peak_window < 3 or self.peak_window % 2 == 0:
            raise InputError(f"fusion peak_window is {self.peak_window}; it must be an odd number of cells, at least 3")

    @classmethod
    def of_network(cls, graph: str, radius: float, **thresholds: float) -> "FusionConfig":
        """Returns the thresholds for a network that was trained with this graph and radius.

        Args:
          graph: see `FusionConfig`.
          radius: see `FusionConfig`, in input pixels.
          thresholds: the other fields in NETWORK_FIELDS.
        """
        return cls(graph=graph, radius=radius, proximity=PROXIMITY * radius, **thresholds)

    @property
    def keypoint_graph(self) -> KeypointGraph:
        return GRAPHS[self.graph]


def network_fields(config: FusionConfig) -> dict:
    """Returns {field: value} for NETWORK_FIELDS, the arguments of `FusionConfig.of_network`."""
    return {name: getattr(config, name) for name in NETWORK_FIELDS}
