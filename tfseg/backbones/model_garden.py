"""Backbones in checkpoints of Model Garden (tf-models-official), named as our layers need them.

Its MobileNetV2 and ResNets are Keras models whose layers with weights are the stem and one layer a block; inside a
block the convolutions and normalisations are attributes (`layer_with_weights-3/_conv1/kernel`). These names do not
depend on what a program built before, unlike those of Keras' layers (`conv2d_7/kernel`).
"""

import dataclasses
import itertools
import re

import numpy as np

from tfseg.backbones.mobilenet_v2 import MobileNetV2
from tfseg.backbones.origins import MODEL_GARDEN
from tfseg.backbones.residual import UNITS
from tfseg.backbones.resnet import ResNet
from tfseg.errors import InputError, listed
from tfseg.formats import garden_params
from tfseg.formats.object_graph import GRAPH, read_graph
from tfseg.formats.weight_files import WeightFile

MOBILENET = "mobilenet_v2_model_garden"
RESNETS = {50: "resnet50_model_garden", 101: "resnet101_model_garden"}
MOBILENET_SCOPE = re.compile(r"MobilenetV2/(?:expanded_conv(?:_(\d+))?/)?(\w+)")
RESNET_SCOPE = re.compile(r"resnet(\d+)/(?:stage_(\d)/unit_(\d+)/)?(\w+)")
# Convolutions of the layers of MobileNetV2: stem, first block, other blocks, and the one before the classifier.
MOBILENET_LAYERS = [{"_conv0"}, {"_conv1", "_conv2"}, *[{"_conv0", "_conv1", "_conv2"}] * 16, {"_conv0"}]
BOTTLENECK = {"_conv1", "_conv2", "_conv3"}
NUM_STEM_LAYERS = 2  # of a ResNet: convolution and normalisation
KERNELS = ("kernel", "depthwise_kernel")


@dataclasses.dataclass(frozen=True)
class Found:
    """A backbone in a checkpoint.

    Attributes:
      description: what it is, for messages.
      backbone: name of the backbone that takes it; None if none does.
      layers: for each layer with weights, {path from the layer: name of the array in the checkpoint}.
    """

    description: str
    backbone: str | None
    layers: list[dict[str, str]]


def is_made_for(backbone) -> bool:
    """Whether a backbone takes Model Garden's weights."""
    return isinstance(backbone, MobileNetV2 | ResNet) and backbone.origin is MODEL_GARDEN


def naming(scope):
    """Returns the names of kernel, bias and statistics of a scope of `MobileNetV2` or `ResNet`, see `arranged`."""
    if match := MOBILENET_SCOPE.fullmatch(scope):
        block, conv = match.groups()
        number = {"Conv": 0, "expand": 0, "depthwise": 1, "project": 2}[conv]
        layer = "layer_with_weights-0" if conv == "Conv" else f"layer_with_weights-{int(block or 0) + 1}"
        return _names(f"{layer}/_conv{number}", f"{layer}/_norm{number}")
    depth, stage, unit, conv = RESNET_SCOPE.fullmatch(scope).groups()
    if stage is None:
        return _names("layer_with_weights-0", "layer_with_weights-1")
    layer = f"layer_with_weights-{NUM_STEM_LAYERS + sum(UNITS[int(depth)][: int(stage) - 1]) + int(unit) - 1}"
    number = "0" if conv == "shortcut" else conv.removeprefix("conv")
    return _names(f"{layer}/_{conv}", f"{layer}/_norm{number}")


def _names(conv, norm):
    statistics = ("gamma", "beta", "moving_mean", "moving_variance")
    return f"{conv}/kernel", f"{conv}/bias", {statistic: f"{norm}/{statistic}" for statistic in statistics}


def arranged(file: WeightFile, backbone) -> tuple[WeightFile, dict[str, tuple[int, ...]]]:
    """Returns a view of the backbone in a checkpoint, and {name: shape} of all other arrays.

    Names in the view are those in the checkpoint, from the backbone on. If params.yaml beside the checkpoint notes
    another epsilon than the backbone has, scale and variance are changed so that both compute the same.

    Args:
      file: a checkpoint with a graph of objects.
      backbone: a layer from `tfseg.backbones.build`.
    Raises:
      InputError: there is no backbone of Model Garden in it, there are several, or it is another network.
    """
    found = _find(file)
    if not is_made_for(backbone) or found.backbone != _name_of(backbone):
        advice = f"take --backbone={found.backbone}" if found.backbone else "no backbone here is built like that"
        raise InputError(f"{file.path} holds {found.description} of Model Garden, not this backbone: {advice}")
    params = garden_params.read_beside(file.path)
    if isinstance(backbone, ResNet) and params.activation not in (None, "relu"):
        raise InputError(
            f"{file.path}: this ResNet was trained with {params.activation} ({garden_params.NAME} beside it), and "
            "backbones here have relu"
        )
    # The last layer of MobileNetV2 belongs to the classifier.
    layers = found.layers[:-1] if isinstance(backbone, MobileNetV2) else found.layers
    sources = {f"layer_with_weights-{i}/{path}": name for i, layer in enumerate(layers) for path, name in layer.items()}
    view = WeightFile(
        file.path,
        {name: file.shapes[source] for name, source in sources.items() if _is_weight(name)},
        lambda name: file.reader(sources[name]),
    )
    used = set(sources.values()) | {GRAPH}
    left_out = {name: shape for name, shape in file.shapes.items() if name not in used}
    return _with_epsilon(view, params.epsilon or MODEL_GARDEN.epsilon), left_out


def _is_weight(name):
    return name.rpartition("/")[2] in (*KERNELS, "bias", "gamma", "beta", "moving_mean", "moving_variance")


def _name_of(backbone):
    return RESNETS.get(backbone.depth) if isinstance(backbone, ResNet) else MOBILENET


def _find(file):
    graph = read_graph(file)
    places = graph.places()
    models = {place: graph.layers_of(index) for index, place in places.items()}
    candidates = {place: _recognized([graph.arrays_below(i) for i in layers]) for place, layers in models.items()}
    found = {place: candidate for place, candidate in candidates.items() if candidate}
    if not found:
        roots = listed(graph.objects[0].children) or "nothing"
        raise InputError(
            f"{file.path}: no backbone of Model Garden in this checkpoint, whose root has {roots}; MobileNetV2, "
            "ResNet-50 and ResNet-101 are read"
        )
    if len(found) > 1:
        raise InputError(f"{file.path}: {len(found)} backbones in this checkpoint, {listed(found)}; save one of them")
    return next(iter(found.values()))


def _recognized(layers):
    """What a Keras model is, from the convolutions in its layers with weights; None for no backbone of these two."""
    convolutions = [{path.rpartition("/")[0] for path in layer if path.endswith(KERNELS)} for layer in layers]
    blocks = list(itertools.dropwhile(lambda names: names <= {""}, convolutions))
    if len(layers) < 4 or not blocks:
        return None
    if convolutions[0] == {"_conv0"}:
        is_v2 = convolutions == MOBILENET_LAYERS
        return Found("MobileNetV2" if is_v2 else "another MobileNet than V2", MOBILENET if is_v2 else None, layers)
    if convolutions[0] != {""} or not all({"_conv1", "_conv2"} <= names for names in blocks):
        return None
    units = _units(blocks)
    depth = next((depth for depth in RESNETS if units == UNITS[depth]), None)
    if len(layers) - len(blocks) != NUM_STEM_LAYERS:
        return Found(f"a ResNet with a stem of several convolutions and {listed(units)} units", None, layers)
    if depth is None or not all(BOTTLENECK <= names <= BOTTLENECK | {"_shortcut"} for names in blocks):
        return Found(f"a ResNet of another form, with {listed(units)} units", None, layers)
    return Found(f"ResNet-{depth}", RESNETS[depth], layers)


def _units(blocks):
    """Numbers of units of a ResNet's stages; each starts with a shortcut that is a convolution."""
    starts = [i for i, names in enumerate(blocks) if names & {"_shortcut", "_shortcut1"}]
    return tuple(end - start for start, end in itertools.pairwise([*starts, len(blocks)]))


def _with_epsilon(file, epsilon):
    """Returns a view whose normalisation, with the epsilon of `MODEL_GARDEN`, computes what it did with another.

    gamma / sqrt(variance + epsilon) stays the same. A variance changes by the difference, as far as it does not become
    negative, and gamma takes the rest.
    """
    if epsilon == MODEL_GARDEN.epsilon:
        return file

    def read(name):
        norm, _, statistic = name.rpartition("/")
        if statistic not in ("gamma", "moving_variance"):
            return file.read(name)
        variance = file.read(f"{norm}/moving_variance")
        moved = np.maximum(variance + epsilon - MODEL_GARDEN.epsilon, 0)
        if statistic == "moving_variance":
            return moved
        return file.read(name) * np.sqrt((moved + MODEL_GARDEN.epsilon) / (variance + epsilon))

    return WeightFile(file.path, file.shapes, read)
