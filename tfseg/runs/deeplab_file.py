"""Loads models from DeepLab's weights files: a checkpoint, or an archive of arrays under DeepLab's names."""

from pathlib import Path

from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.backbones.pretrained import CLASSIFIER, load_network
from tfseg.config import DataConfig, ExperimentConfig
from tfseg.data.datasets import voc2012
from tfseg.errors import InputError
from tfseg.formats.weight_files import open_weights
from tfseg.labels import DatasetInfo, default_colors
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.runs.run_directory import load_run

LAST_CONVOLUTION, LAST_CHANNELS = "MobilenetV2/expanded_conv_16/project/weights", 320  # at width 1

TRAINED_STRIDE = 16
KERAS = (".keras", ".h5", ".hdf5")


def load_model(path, which="last", output_stride=None):
    """Loads the model of a run directory, a model zoo folder or a weights file; see `load_run` and `load_deeplab`."""
    if Path(path).is_file():
        return load_deeplab(path, output_stride or TRAINED_STRIDE)
    return load_run(path, which, output_stride)


def load_deeplab(path, output_stride=TRAINED_STRIDE):
    """Loads DeepLabV3 on MobileNetV2 in its mobile form, from a file with DeepLab's names (`deeplabv3_mnv2_pascal`).

    Args:
      path: see `open_weights`. Batch normalisation may be folded into kernels and biases.
      output_stride: 8, 16 or 32.
    Returns:
      (ExperimentConfig, DatasetInfo, network). If there are 21 classes, they are taken to be those of PASCAL VOC 2012;
      otherwise the classes are named class_0, class_1, ...
    Raises:
      InputError: it is another kind of file, or arrays are missing, wrongly shaped or not finite.
    """
    if Path(path).suffix.lower() in KERAS and Path(path).is_file():
        raise InputError(
            f"{path}: a Keras file, from which no network is rebuilt because that can run code; save it in Keras as a "
            "SavedModel, model.export(FOLDER), and give segment.py the folder, with --trust"
        )
    file = open_weights(str(path))
    last, logits = (_shape(file, name) for name in (LAST_CONVOLUTION, f"{CLASSIFIER}/weights"))
    if last is None or logits is None:
        raise InputError(
            f"{path}: neither a run directory nor a folder of the model zoo, nor DeepLab on MobileNetV2 (it has no "
            f"{LAST_CONVOLUTION if last is None else CLASSIFIER + '/weights'})"
        )
    backbone = BackboneConfig("mobilenet_v2", output_stride, width_multiplier=last[3] / LAST_CHANNELS)
    model = DeepLabV3Config(backbone, atrous_rates=(), width=logits[2])
    network = architectures.build(model, logits[3])
    load_network(network, file)
    return ExperimentConfig(model, DataConfig(dataset="voc2012")), _labels(logits[3]), network


def _shape(file, name):
    """Returns the shape of the array whose path in the file ends with `name`; None if there is none."""
    return next((shape for found, shape in file.shapes.items() if f"/{found}".endswith(f"/{name}")), None)


def _labels(num_classes):
    if num_classes == voc2012.INFO.num_classes:
        return voc2012.INFO
    return DatasetInfo("deeplab", tuple(f"class_{index}" for index in range(num_classes)), default_colors(num_classes))
