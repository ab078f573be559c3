"""The config of DeeperLab: its network, with the settings of its targets, losses and fusion as parts."""

import dataclasses

from tfseg.backbones import BackboneConfig
from tfseg.data.panoptic_targets import PanopticTargetConfig
from tfseg.errors import InputError
from tfseg.losses.panoptic import PanopticLossConfig
from tfseg.models.segmenter import SegmenterConfig
from tfseg.postprocess.fusion_config import FusionThresholds

REFERENCE_STRIDE = 16
DECODERS = ("space_to_depth", "bilinear", "none")
LOSS_WEIGHTS = ("semantic_weight", "heatmap_weight", "short_weight", "middle_weight", "long_weight")
# Field of an earlier version's config -> (part, field) of today's config.
EARLIER_FIELDS = {
    "graph": ("targets", "graph"),
    "radius": ("targets", "radius"),
    "geometry": ("targets", "geometry"),
    "target_stride": ("targets", "stride"),
    "small_instance_area": ("targets", "small_instance_area"),
    "small_instance_weight": ("targets", "small_instance_weight"),
    "hard_pixel_fraction": ("losses", "hard_pixel_fraction"),
    "is_weight_in_hardness": ("losses", "is_weight_in_hardness"),
    "peak_threshold": ("fusion", "peak_threshold"),
    "instance_score_min": ("fusion", "instance_score_min"),
}


def _default_backbone():
    return BackboneConfig("xception_71", padding="symmetric")


@dataclasses.dataclass
class DeeperLabConfig(SegmenterConfig):
    """Backbone, context, decoder and five heads. The default is the paper's largest network.

    The paper's other networks have the backbone `BackboneConfig("mobilenet_v2", kernel_size=k, stem_kernel_size=k,
    padding="symmetric")` with k = 3, or 5 for Wider MobileNetV2; Light Wider also has `kernel_size=3, width=128`.

    Attributes:
      backbone: the feature network; its padding is "symmetric", so that cell i of a map sits on pixel stride * i.
      low_level: which map of stride 4 the decoder reads: "inner" (Xception: 256 channels, MobileNetV2: 144) or
        "block_output" (256 and 24), see `tfseg.backbones.build`.
      has_aspp: whether the context comes from an atrous spatial pyramid; otherwise from a 1x1 convolution alone.
      is_aspp_separable: whether the pyramid's 3x3 convolutions are depthwise separable.
      atrous_rates: dilations of the pyramid's 3x3 convolutions at output stride 16; at 8 they double, at 32 they halve.
      aspp_width: number of channels of the context and of each branch of the pyramid.
      dropout_rate: share of the context's values that are set to zero in a training step.
      decoder: "space_to_depth" (S2D), "bilinear" (BU), or "none": then the heads read the context, and their maps are
        enlarged.
      enlargement: factor by which small images are enlarged before the backbone: 1, 2 or 4. The maps then have stride
        4, 2 or 1.
      low_level_width: number of channels to which the low-level map is reduced before it joins the context.
      width: number of channels of the decoded map and of the semantic head; 128 in the light form.
      kernel_size: side of the depthwise kernels in the decoder and the heads: 7 (large kernels, LK) or 3.
      has_deeper_heads: whether each head has a separable convolution before its 1x1 convolution (DH).
      instance_width: number of channels of that separable convolution in the four instance heads.
      targets: what the instance heads are trained on. Its graph and radius also say what the heads' maps mean: the
        graph gives the number of keypoints and edges, the radius the unit in which the offset heads count.
      losses: how the five losses are computed and added.
      fusion: thresholds with which the maps become instances.
    """

    backbone: BackboneConfig = dataclasses.field(default_factory=_default_backbone)
    low_level: str = "inner"
    has_aspp: bool = True
    is_aspp_separable: bool = True
    atrous_rates: tuple[int, ...] = (6, 12, 18)
    aspp_width: int = 256
    dropout_rate: float = 0.1
    decoder: str = "space_to_depth"
    enlargement: int = 1
    low_level_width: int = 32
    width: int = 256
    kernel_size: int = 7
    has_deeper_heads: bool = True
    instance_width: int = 64
    targets: PanopticTargetConfig = dataclasses.field(default_factory=PanopticTargetConfig)
    losses: PanopticLossConfig = dataclasses.field(default_factory=PanopticLossConfig)
    fusion: FusionThresholds = dataclasses.field(default_factory=FusionThresholds)

    def __post_init__(self):
        choices = {"low_level": ("inner", "block_output"), "decoder": DECODERS}
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("aspp_width", "low_level_width", "width", "instance_width"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; at least 1")
        if any(rate < 1 for rate in self.atrous_rates):
            raise InputError(f"atrous_rates are at least 1, not {self.atrous_rates}")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise InputError(f"kernel_size is odd, 7 or 3 in the paper, not {self.kernel_size}")
        if self.enlargement not in (1, 2, 4):
            raise InputError(f"enlargement is 1, 2 or 4, not {self.enlargement}")
        if not 0 <= self.dropout_rate < 1:
            raise InputError(f"dropout_rate is at least 0 and below 1, not {self.dropout_rate}")
        if self.backbone.padding != "symmetric":
            raise InputError(
                f"backbone.padding is {self.backbone.padding!r}, but DeeperLab's offsets start from cells on pixel "
                "4 * i: set it to symmetric"
            )

    def rates(self) -> tuple[int, ...]:
        """Returns the dilations at the backbone's output stride."""
        return tuple(max(rate * REFERENCE_STRIDE // self.backbone.output_stride, 1) for rate in self.atrous_rates)

    def check(self, data):
        super().check(data)
        if self.targets.geometry == "full" and data.rotation:
            raise InputError(
                f"config: data.rotation is {data.rotation}; keypoints of geometry=full cannot be turned: 0"
            )

    @classmethod
    def current_fields(cls, values):
        """Moves fields into their parts: earlier versions stored the fields of the parts beside the network's own."""
        values, parts = dict(values), {"targets": {}, "losses": {}, "fusion": {}}
        for name, (part, field) in EARLIER_FIELDS.items():
            if name in values:
                parts[part][field] = values.pop(name)
        parts["losses"] |= dict(zip(LOSS_WEIGHTS, values.pop("loss_weights", ()), strict=False))
        return values | {part: fields | values.get(part, {}) for part, fields in parts.items()}
