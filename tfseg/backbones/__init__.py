"""Feature extractors: they take RGB images (0 to 255) and return a dict of feature maps by stride."""

import dataclasses

from tfseg.backbones.mobilenet_v2 import MobileNetV2
from tfseg.backbones.origins import KERAS, MODEL_GARDEN, SLIM, TORCHVISION
from tfseg.backbones.resnet import ResNet
from tfseg.backbones.resnet_v1 import ResNetV1
from tfseg.backbones.xception import Xception71
from tfseg.errors import InputError, listed


@dataclasses.dataclass
class BackboneConfig:
    """Which backbone to build, and how dense its feature maps are.

    Attributes:
      name: a key of `BACKBONES`.
      output_stride: input pixels per pixel of the last feature map: 8, 16 or 32.
      width_multiplier: factor on the channel counts of MobileNetV2 and Xception.
      kernel_size: kernel side of MobileNetV2's depthwise convolutions: 3, 5 or 7.
      multi_grid: factors on the dilation of the three units of a ResNet-V1's last block.
      padding: padding mode of strided convolutions, which also decides how maps are resized: "same" (MobileNetV2 of
        Keras and TF-Slim, all networks of Model Garden) resizes with half-pixel centres; "symmetric" (ResNets of
        TF-Slim, torchvision and Keras) puts cell i on pixel stride * i, which aligns the corners at sizes of 16 n + 1.
      stem_kernel_size: kernel side of MobileNetV2's first convolution: 3, 5 or 7.
      first_expansion: whether MobileNetV2's first block has a 1x1 convolution, too, as in some PyTorch code. Weights of
        Keras and TF-Slim have none.
    """

    name: str = "resnet101_v1"
    output_stride: int = 16
    width_multiplier: float = 1.0
    kernel_size: int = 3
    multi_grid: tuple[int, int, int] = (1, 2, 4)
    padding: str = "same"
    stem_kernel_size: int = 3
    first_expansion: bool = False

    def has_weights_like(self, other: "BackboneConfig") -> bool:
        """Whether both have the same weights, which another stride, dilation or padding does not change."""
        places = {field: getattr(self, field) for field in ("output_stride", "multi_grid", "padding")}
        return self == dataclasses.replace(other, **places)


def _mobilenet_v2(origin):
    def construct(config, name, endpoints):
        _refuse_unused(config, "multi_grid")
        for field in ("kernel_size", "stem_kernel_size"):
            if getattr(config, field) not in (3, 5, 7):
                raise InputError(f"backbone.{field} must be 3, 5 or 7, not {getattr(config, field)}")
        _check_width_multiplier(config)
        kernels = {"kernel_size": config.kernel_size, "stem_kernel_size": config.stem_kernel_size}
        shared = {"padding": config.padding, "endpoints": endpoints, "origin": origin, "name": name}
        shared["first_expansion"] = config.first_expansion
        return MobileNetV2(config.output_stride, config.width_multiplier, **kernels, **shared)

    return construct


def _xception_71(config, name, endpoints):
    _refuse_unused(config, "kernel_size", "multi_grid", "stem_kernel_size", "first_expansion")
    _check_width_multiplier(config)
    return Xception71(config.output_stride, config.width_multiplier, config.padding, endpoints, name=name)


def _check_width_multiplier(config):
    if not 0 < config.width_multiplier <= 4:
        raise InputError(f"backbone.width_multiplier must be above 0 and at most 4, not {config.width_multiplier}")


def _resnet_v1(depth, has_beta_stem):
    def construct(config, name, endpoints):
        _refuse_unused(config, "width_multiplier", "kernel_size", "stem_kernel_size", "first_expansion")
        _refuse_inner(config, endpoints)
        if len(config.multi_grid) != 3 or min(config.multi_grid) < 1:
            raise InputError(f"backbone.multi_grid must be three factors of at least 1, not {config.multi_grid}")
        return ResNetV1(depth, config.output_stride, config.multi_grid, has_beta_stem, config.padding, name=name)

    return construct


def _resnet(depth, origin):
    def construct(config, name, endpoints):
        _refuse_unused(config, "width_multiplier", "kernel_size", "multi_grid", "stem_kernel_size", "first_expansion")
        _refuse_inner(config, endpoints)
        return ResNet(depth, config.output_stride, config.padding, origin, name=name)

    return construct


BACKBONES = {
    "resnet18": _resnet(18, TORCHVISION),
    "resnet34": _resnet(34, TORCHVISION),
    "resnet50_v1_5": _resnet(50, TORCHVISION),
    "resnet101_v1_5": _resnet(101, TORCHVISION),
    "resnet50_keras": _resnet(50, KERAS),
    "resnet101_keras": _resnet(101, KERAS),
    "resnet50_model_garden": _resnet(50, MODEL_GARDEN),
    "resnet101_model_garden": _resnet(101, MODEL_GARDEN),
    "resnet50_v1": _resnet_v1(50, has_beta_stem=False),
    "resnet101_v1": _resnet_v1(101, has_beta_stem=False),
    "resnet50_v1_beta": _resnet_v1(50, has_beta_stem=True),
    "resnet101_v1_beta": _resnet_v1(101, has_beta_stem=True),
    "mobilenet_v2": _mobilenet_v2(SLIM),
    "mobilenet_v2_model_garden": _mobilenet_v2(MODEL_GARDEN),
    "xception_71": _xception_71,
}


def build(config: BackboneConfig, name: str = "backbone", endpoints: str = "block_output"):
    """Returns the backbone layer that `config` describes; its class documents the outputs.

    Args:
      config: the backbone's name and options.
      name: the layer's name.
      endpoints: where the maps of stride 2, 4, 8 and 16 are taken: "block_output", before the block that leaves the
        stride, or "inner", at a convolution inside a block (MobileNetV2 and Xception only).
    Raises:
      InputError: the name is unknown, a value is out of range, or a field is set that this backbone does not have.
    """
    if config.name not in BACKBONES:
        raise InputError(f"backbone.name {config.name!r} is unknown; one of {listed(BACKBONES)}")
    if config.output_stride not in (8, 16, 32):
        raise InputError(f"backbone.output_stride must be 8, 16 or 32, not {config.output_stride}")
    if config.padding not in ("same", "symmetric"):
        raise InputError(f"backbone.padding must be 'same' or 'symmetric', not {config.padding!r}")
    if endpoints not in ("block_output", "inner"):
        raise ValueError(f"endpoints must be 'block_output' or 'inner', not {endpoints!r}")
    return BACKBONES[config.name](config, name, endpoints)


def _refuse_inner(config, endpoints):
    if endpoints != "block_output":
        raise InputError(f"{config.name} returns only the outputs of blocks, no inner maps: use block_output")


def _refuse_unused(config, *fields):
    for field in dataclasses.fields(config):
        if field.name in fields and getattr(config, field.name) != field.default:
            raise InputError(f"backbone.{field.name} does not apply to {config.name}: leave it at {field.default}")
