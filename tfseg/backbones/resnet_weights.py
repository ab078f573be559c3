"""Files of torchvision's and Keras applications' ResNets, arranged as our layers hold their weights."""

import re

import numpy as np

from tfseg.backbones.origins import KERAS, TORCHVISION
from tfseg.backbones.resnet import ResNet
from tfseg.errors import InputError
from tfseg.formats.weight_files import WeightFile

SCOPE = re.compile(r"resnet\d+/(?:stage_(\d)/unit_(\d+)/)?(\w+)")
TORCHVISION_MARK = "layer1.0.conv1.weight"
KERAS_STEM = re.compile(r"(?:^|/)conv1_conv/(?:.*/)?kernel(?::0)?$")
BACKBONE_OF = {
    TORCHVISION: {50: "resnet50_v1_5", 101: "resnet101_v1_5"},
    KERAS: {50: "resnet50_keras", 101: "resnet101_keras"},
}


def naming(origin):
    """Returns the function from a scope of `ResNet.convolutions` to the names of its kernel, bias and statistics."""
    return {TORCHVISION: _torchvision_names, KERAS: _keras_names}[origin]


def _torchvision_names(scope):
    stage, unit, conv = SCOPE.fullmatch(scope).groups()
    place = f"layer{stage}.{int(unit) - 1}." if stage else ""
    kernel, norm = ("downsample.0", "downsample.1") if conv == "shortcut" else (conv, conv.replace("conv", "bn"))
    names = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var"}
    statistics = {ours: f"{place}{norm}.{name}" for ours, name in names.items()}
    return f"{place}{kernel}.weight", f"{place}{kernel}.bias", statistics


def _keras_names(scope):
    stage, unit, conv = SCOPE.fullmatch(scope).groups()
    number = 0 if conv == "shortcut" else conv.removeprefix("conv")
    place = f"conv{int(stage) + 1}_block{unit}_{number}" if stage else "conv1"
    statistics = ("gamma", "beta", "moving_mean", "moving_variance")
    return f"{place}_conv/kernel", f"{place}_conv/bias", {name: f"{place}_bn/{name}" for name in statistics}


def arranged(file: WeightFile, backbone: ResNet) -> WeightFile:
    """Returns a view of a file whose arrays have the layout and meaning that the backbone's own have.

    Kernels of torchvision, [out, in, height, width], become [height, width, in, out], and a prefix before all names is
    dropped. The biases that Keras applications' convolutions have are subtracted from the moving means that follow
    them, which changes nothing: normalisation subtracts the mean. Their stem reads BGR; its kernel is turned to RGB.

    Raises:
      InputError: the weights are made for the stride in another place of the unit than this backbone's.
    """
    marks = [name for name in file.shapes if re.search(rf"(?:^|\.){re.escape(TORCHVISION_MARK)}$", name)]
    is_keras = any(KERAS_STEM.search(name) for name in file.shapes)
    found = TORCHVISION if marks else KERAS if is_keras else backbone.origin
    if found is not backbone.origin:
        advice = BACKBONE_OF[found].get(backbone.depth)
        advice = f"take --backbone={advice}" if advice else f"{found.name} has none of this depth"
        raise InputError(f"{file.path} holds weights of {found.name}, which this backbone does not fit: {advice}")
    if is_keras:
        return _without_biases(file)
    return _channels_last(file, marks[0].removesuffix(TORCHVISION_MARK)) if marks else file


def _channels_last(file, prefix):
    sources = {name.removeprefix(prefix): name for name in file.shapes}
    shapes = {}
    for name, source in sources.items():
        shape = file.shapes[source]
        shapes[name] = tuple(shape[axis] for axis in (2, 3, 1, 0)) if len(shape) == 4 else shape

    def read(name):
        values = file.read(sources[name])
        return np.transpose(values, (2, 3, 1, 0)) if values.ndim == 4 else values

    return WeightFile(file.path, shapes, read)


def _without_biases(file):
    biases = {}
    for name, shape in file.shapes.items():
        bias = name.replace("_bn/", "_conv/").replace("moving_mean", "bias")
        if bias != name and bias.rpartition("/")[2].startswith("bias") and file.shapes.get(bias) == shape:
            biases[name] = bias
    shapes = {name: shape for name, shape in file.shapes.items() if name not in biases.values()}

    def read(name):
        values = file.read(name)
        if name in biases:
            return values - file.read(biases[name])
        return values[:, :, ::-1] if KERAS_STEM.search(name) else values

    return WeightFile(file.path, shapes, read)
