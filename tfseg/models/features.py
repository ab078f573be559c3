"""What the heads of the segmentation networks read from a backbone."""

import tensorflow as tf

from tfseg.errors import InputError


def backbone_features(backbone, config, images, training):
    """The maps a head sees, for each of `feature_strides(config)`.

    Args:
      config: a model config with `backbone.output_stride` and `feature_strides`.
    Returns:
      List of [batch, ceil(H / stride), ceil(W / stride), channels].
    Raises:
      InputError: the backbone has no map of a stride.
    """
    endpoints = backbone(images, training=training)
    for stride in config.feature_strides:
        if f"stride_{stride}" not in endpoints:
            known = sorted(int(key[7:]) for key in endpoints if key.startswith("stride_"))
            raise InputError(f"feature_strides names {stride}; this backbone has maps of stride {known}")
    return [*(endpoints[f"stride_{stride}"] for stride in config.feature_strides), endpoints["last"]]


def feature_strides(config):
    """Strides of the maps a head sees, the backbone's last one last."""
    return (*config.feature_strides, config.backbone.output_stride)


def map_size(images, stride):
    """(height, width) of the map of a stride: Python numbers where known."""
    static = images.shape[1:3]
    dynamic = tf.shape(images)[1:3]
    return tuple(
        -(-static[axis] // stride) if static[axis] is not None else (dynamic[axis] + stride - 1) // stride
        for axis in range(2)
    )
