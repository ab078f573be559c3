"""Models for recipes: a backbone in, the model's config out. Each call gives a new one, which the recipe may change."""

import dataclasses

from tfseg.backbones import BackboneConfig
from tfseg.data.panoptic_targets import PanopticTargetConfig
from tfseg.losses.panoptic import PanopticLossConfig
from tfseg.models.arch2 import Arch2Config
from tfseg.models.arch2_video import Arch2VideoConfig
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.fcn import FCNConfig
from tfseg.models.light_shelfnet import LightShelfNetConfig
from tfseg.models.pspnet import PSPNetConfig
from tfseg.models.rnn import RNNConfig
from tfseg.models.seeding import SeedingConfig
from tfseg.models.segmenter import CarryConfig
from tfseg.models.shelfnet import ShelfNetConfig
from tfseg.postprocess.fusion_config import FusionThresholds


def rnn(backbone: BackboneConfig) -> RNNConfig:
    """The paper's recurrent segmenter: 6 iterations, 1x1 kernels (McIntosh et al. 2018, arXiv:1711.10151)."""
    return RNNConfig(backbone, iterations=6, widths=(512, 256), kernel_size=1)


def fine_rnn(backbone: BackboneConfig, widths: tuple[int, int], iterations_range: tuple[int, ...] = ()) -> RNNConfig:
    """Our recurrent segmenter: canvas at stride 8, features of strides 4 and 8 as well, 3x3 kernels, narrow layers."""
    return RNNConfig(
        backbone,
        iterations=6,
        iterations_range=iterations_range,
        widths=widths,
        kernel_size=3,
        canvas_stride=8,
        feature_strides=(4, 8),
    )


def video(model: RNNConfig) -> RNNConfig:
    """The same network with a gate on what is taken over, trained to start frames from the one before.

    Chosen on the generated `val_clips`, without blending (mIoU, TC with one iteration a frame; mIoU with two; with as
    many as settle): these values 47.5 90.1; 48.8; 49.5. Without the gate, at scale 0.5: 46.0 91.0; 48.5; 49.6, at scale
    0.25 with two frames 45.6 89.5; 47.6; 49.7, at scale 1 with two frames 46.6 92.2; 47.2; 42.4. The gate alone: 45.9
    90.7; 47.4; 47.3. Not trained for it: 44.0 88.0; 45.3; 42.5. From zero, six iterations have 49.1 to 49.6.
    Since wrong canvases are among the seeds, and with blending: 47.4 92.0; 48.8; 50.3.
    """
    carry = CarryConfig(scale=1.0, has_gate=True)
    return dataclasses.replace(model, carry=carry, seeding=SeedingConfig(rate=0.75, frames=3, iterations=(1, 4)))


def fine_fcn(backbone: BackboneConfig, widths: tuple[int, ...]) -> FCNConfig:
    """A feed-forward head on the features of `fine_rnn`, at its stride and with its kernels."""
    return FCNConfig(backbone, widths=widths, kernel_size=3, canvas_stride=8, feature_strides=(4, 8))


def deeplabv3(
    backbone: BackboneConfig, atrous_rates: tuple[int, ...] = (6, 12, 18), width: int = 256
) -> DeepLabV3Config:
    """DeepLabV3 with its whole pyramid (Chen et al. 2017, arXiv:1706.05587, Sec. 3.3)."""
    return DeepLabV3Config(backbone, atrous_rates=atrous_rates, width=width)


def mobile_deeplabv3(backbone: BackboneConfig) -> DeepLabV3Config:
    """DeepLabV3 in its mobile form: image pooling and 1x1 alone (Sandler et al. 2018, arXiv:1801.04381, Sec. 6.3)."""
    return deeplabv3(backbone, atrous_rates=())


def arch2(backbone: BackboneConfig) -> Arch2Config:
    """arch2 with its auxiliary heads (Nekrasov et al. 2020, arXiv:1904.02371, Sec. 3 and 6)."""
    return Arch2Config(backbone)


def arch2_video(backbone: BackboneConfig, genotype: str = "cell1_like", frames: int = 3) -> Arch2VideoConfig:
    """arch2, which stays as it is, and a dynamic cell that learns on clips (arXiv:1904.02371, Sec. 4).

    The default cell is one of ours with the published number of weights; `search.py` finds others.
    """
    return Arch2VideoConfig(backbone, genotype=genotype, frames=frames)


def whole_arch2_video(backbone: BackboneConfig, genotype: str = "cell1_like", frames: int = 3) -> Arch2VideoConfig:
    """arch2 and its dynamic cell, which learn together; arch2 keeps its statistics of batch normalisation."""
    return dataclasses.replace(arch2_video(backbone, genotype, frames), trains_static=True)


def pspnet(backbone: BackboneConfig, width: int = 512) -> PSPNetConfig:
    """PSPNet (Zhao et al. 2017, arXiv:1612.01105, Sec. 3.2)."""
    return PSPNetConfig(backbone, width=width)


def shelfnet(backbone: BackboneConfig, width: int = 64) -> ShelfNetConfig:
    """ShelfNet as in its paper (Zhuang et al. 2018, arXiv:1811.11254): two pairs of columns, four levels."""
    return ShelfNetConfig(backbone, width=width)


def light_shelfnet(backbone: BackboneConfig, width: int = 64) -> LightShelfNetConfig:
    """The authors' light-weight ShelfNet (ICCV Workshops 2019): three levels. Both auxiliary heads weigh 1."""
    return LightShelfNetConfig(backbone, width=width, auxiliary_weight=1.0)


def deeperlab(backbone: BackboneConfig, kernel_size: int = 7, width: int = 256) -> DeeperLabConfig:
    """DeeperLab as in its paper (Yang et al. 2019, arXiv:1902.05093); its light form is kernel_size=3, width=128.

    What the paper does not print has the defaults of `DeeperLabConfig`.
    """
    return DeeperLabConfig(backbone, kernel_size=kernel_size, width=width)


def crowds_deeperlab(backbone: BackboneConfig) -> DeeperLabConfig:
    """DeeperLab for the crowded streets; their recipe says how its numbers were chosen."""
    return dataclasses.replace(
        _small_deeperlab(backbone, aspp_width=128, instance_width=64),
        targets=PanopticTargetConfig(radius=10.0, small_instance_area=256),
        losses=PanopticLossConfig(middle_weight=0.5, long_weight=1.0, hard_pixel_fraction=0.0),
        fusion=FusionThresholds(peak_threshold=0.1, instance_score_min=0.15),
    )


def scenes_deeperlab(backbone: BackboneConfig) -> DeeperLabConfig:
    """DeeperLab for the generated scenes: maps of stride 2, since things are small."""
    return dataclasses.replace(
        _small_deeperlab(backbone, aspp_width=96, instance_width=32),
        decoder="bilinear",
        enlargement=2,
        targets=PanopticTargetConfig(radius=8.0, stride=2, small_instance_area=128),
    )


def round_deeperlab(backbone: BackboneConfig) -> DeeperLabConfig:
    """DeeperLab for small round objects that touch; their recipe says how its numbers were chosen."""
    return dataclasses.replace(
        _small_deeperlab(backbone, aspp_width=128, instance_width=64),
        kernel_size=3,
        has_deeper_heads=False,
        enlargement=2,
        targets=PanopticTargetConfig(graph="cross", radius=4.0, stride=2, small_instance_area=256),
        losses=PanopticLossConfig(middle_weight=0.5, long_weight=1.0, hard_pixel_fraction=0.0),
        fusion=FusionThresholds(peak_threshold=0.05, keypoint_score_min=0.05, instance_score_min=0.08, nms_iou=0.3),
    )


def _small_deeperlab(backbone, aspp_width, instance_width):
    """For images of 100 to 300 pixels: smaller rates and kernels, fewer channels, no dropout."""
    return DeeperLabConfig(
        backbone,
        atrous_rates=(2, 4, 6),
        aspp_width=aspp_width,
        dropout_rate=0.0,
        width=64,
        kernel_size=5,
        instance_width=instance_width,
    )
