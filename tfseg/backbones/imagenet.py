"""Published ImageNet weights by name: the files of Keras applications, which Keras downloads and keeps."""

import os

from tensorflow import keras

from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError, listed, shortened

NAME = "imagenet"
ADDRESS = "https://storage.googleapis.com/tensorflow/keras-applications"
MOBILENET_WIDTHS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)
# The md5 sums that Keras compares. It has none for MobileNetV2.
RESNETS = {
    "resnet50_keras": ("resnet50", "4d473c1dd8becc155b73f8504c6f6626"),
    "resnet101_keras": ("resnet101", "88cf7a10940856eca736dc7b7e228a21"),
}


def weights_path(config: BackboneConfig) -> str:
    """Returns the path of the ImageNet weights of a backbone, without classifier, after downloading them if need be.

    The file is kept where Keras keeps it: in ~/.keras/models, or in models/ of the folder that KERAS_HOME names.

    Raises:
      InputError: there are none for this backbone, or the download fails; the message has the address, and where to put
        the file.
    """
    url, md5 = _address(config)
    name = url.rpartition("/")[2]
    folder = os.path.join(os.environ.get("KERAS_HOME") or os.path.expanduser("~/.keras"), "models")
    try:
        return keras.utils.get_file(
            name, url, file_hash=md5, hash_algorithm="md5", cache_subdir="models", cache_dir=os.path.dirname(folder)
        )
    except Exception as error:  # Keras raises a bare Exception for every failed download
        reason = shortened(str(error).rpartition(": ")[2] or type(error).__name__, 40)
        raise InputError(
            f"cannot download {url} ({reason}); put this file into {folder}, or give --init_backbone_from=none, "
            "or zoo:NAME of a trained model with this backbone"
        ) from None


def _address(config):
    """Returns (URL, md5 or None)."""
    if config.name in RESNETS:
        model, md5 = RESNETS[config.name]
        return f"{ADDRESS}/resnet/{model}_weights_tf_dim_ordering_tf_kernels_notop.h5", md5
    if config.name != "mobilenet_v2":
        raise InputError(
            f"--init_backbone_from={NAME}: Keras has no weights for {config.name}, only for mobilenet_v2, "
            f"{', '.join(RESNETS)}; give a file, or none"
        )
    if config.width_multiplier not in MOBILENET_WIDTHS:
        raise InputError(
            f"--init_backbone_from={NAME}: Keras has MobileNetV2 in the widths {listed(MOBILENET_WIDTHS)}, not "
            f"{config.width_multiplier}; give a file, or none"
        )
    name = f"mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(config.width_multiplier)}_224_no_top.h5"
    return f"{ADDRESS}/mobilenet_v2/{name}", None
