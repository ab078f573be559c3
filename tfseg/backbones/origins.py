"""Whose weights a backbone takes, and what those expect of the network around them."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Origin:
    """What published weights expect of the network around them.

    Attributes:
      name: whose weights they are.
      mean, deviation: RGB, 0 to 255: the input is (image - mean) / deviation.
      epsilon: batch normalisation's epsilon.
      strides_first: whether a bottleneck's stride is in its first 1x1 convolution instead of its 3x3 one ("v1.5").
      dilates_at_once: whether a block whose stride becomes a dilation is dilated itself, not only the blocks after it.
    """

    name: str
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    epsilon: float
    strides_first: bool = False
    dilates_at_once: bool = False


IMAGENET_MEAN, IMAGENET_DEVIATION = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
TORCHVISION = Origin("torchvision", IMAGENET_MEAN, IMAGENET_DEVIATION, 1e-5)
KERAS = Origin("Keras applications", (123.68, 116.779, 103.939), (1.0, 1.0, 1.0), 1.001e-5, strides_first=True)
SLIM = Origin("TF-Slim and Keras applications", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5), 1e-3)
MODEL_GARDEN = Origin("Model Garden", IMAGENET_MEAN, IMAGENET_DEVIATION, 1e-3, dilates_at_once=True)
