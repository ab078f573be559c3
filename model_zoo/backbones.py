"""Backbones for recipes. Each call gives a new config, which the recipe may change."""

from tfseg.backbones import BackboneConfig


def mobilenet_v2(width_multiplier: float = 1.0, padding: str = "same", output_stride: int = 16) -> BackboneConfig:
    """MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381, Table 2). DeeperLab's padding is "symmetric"."""
    return BackboneConfig("mobilenet_v2", output_stride, width_multiplier=width_multiplier, padding=padding)


def wider_mobilenet_v2() -> BackboneConfig:
    """DeeperLab's Wider MobileNetV2: kernels of 5x5 instead of 3x3 (Yang et al. 2019, arXiv:1902.05093, Sec. 3)."""
    return BackboneConfig("mobilenet_v2", output_stride=16, kernel_size=5, stem_kernel_size=5, padding="symmetric")


def resnet101(has_beta_stem: bool = False) -> BackboneConfig:
    """ResNet-V1-101 at stride 16 with multi-grid 1, 2, 4 (Chen et al. 2017, arXiv:1706.05587, Sec. 3.2.1)."""
    name = "resnet101_v1_beta" if has_beta_stem else "resnet101_v1"
    return BackboneConfig(name, output_stride=16, multi_grid=(1, 2, 4), padding="symmetric")


def torchvision_resnet(name: str) -> BackboneConfig:
    """A ResNet of torchvision at stride 32, not dilated: resnet18, resnet34, resnet50_v1_5 or resnet101_v1_5."""
    return BackboneConfig(name, output_stride=32, padding="symmetric")


def xception_71() -> BackboneConfig:
    """Xception-71 (after Chen et al. 2018, arXiv:1802.02611) at stride 16, DeeperLab's largest backbone."""
    return BackboneConfig("xception_71", output_stride=16, padding="symmetric")
