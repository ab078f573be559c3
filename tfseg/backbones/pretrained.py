"""Loads published weights into a backbone by name: TF-Slim's, DeepLab's, Model Garden's, Keras' and torchvision's."""

import collections
import contextlib
import dataclasses
import re

import numpy as np
import tensorflow as tf

from tfseg.backbones import model_garden, resnet_weights
from tfseg.backbones.mobilenet_v2 import center_padded
from tfseg.backbones.resnet import ResNet
from tfseg.errors import InputError, listed, shortened
from tfseg.formats.object_graph import GRAPH
from tfseg.formats.weight_files import open_weights

# What a file may hold besides the backbone: classifiers, DeepLab's head, the optimizer's state.
IRRELEVANT = re.compile(
    r"(^|/)(global_step|beta[12]_power|mean_rgb|logits|Logits|predictions|AuxLogits|Conv_1|Conv_1_bn|aspp\d\w*"
    r"|image_pooling|concat_projection|decoder)(/|$)|/(Momentum|Adam|Adam_1|RMSProp|RMSProp_1|ExponentialMovingAverage)$"
    r"|(^|\.)(fc\.weight|fc\.bias|num_batches_tracked)$"
)
CLASSIFIER = "logits/semantic"
MAX_LISTED_CHARACTERS = 100  # of a kind of problem in a message
STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclasses.dataclass(frozen=True)
class Report:
    """What was read from a weights file.

    Attributes:
      path: the file's path.
      loaded: {name in the file: shape} of the arrays that were loaded.
      skipped: {name in the file: shape} of the arrays that were left out.
      num_padded: number of loaded kernels that were centred in a larger kernel of zeros.
    """

    path: str
    loaded: dict[str, tuple[int, ...]]
    skipped: dict[str, tuple[int, ...]]
    num_padded: int = 0

    def summary(self) -> str:
        """Returns one line of counts."""
        values = sum(int(np.prod(shape)) for shape in self.loaded.values())
        padded = f", {self.num_padded} kernels centred in larger ones" if self.num_padded else ""
        return (
            f"{self.path}: {len(self.loaded)} arrays loaded ({values:,} values){padded}, {len(self.skipped)} left out"
        )

    def __str__(self):
        rows = [f"  loaded    {list(shape)!s:<20} {name}" for name, shape in self.loaded.items()]
        rows += [f"  left out  {list(shape)!s:<20} {name}" for name, shape in self.skipped.items()]
        return "\n".join([self.summary(), *rows])


def load_backbone(backbone, path, calibration_images=None) -> Report:
    """Loads a file's weights into `backbone`; nothing is changed unless every array fits.

    Names may be TF-Slim's (`MobilenetV2/expanded_conv_3/expand/weights`,
    `resnet_v1_101/block1/unit_1/bottleneck_v1/conv1/weights`, with any prefix), Keras applications'
    (`block_3_expand/kernel`, `conv2_block1_1_conv/kernel`) or, of a `ResNet`, torchvision's (`layer1.0.conv1.weight`).
    In a checkpoint of objects Model Garden's backbone is looked for, see `model_garden`.

    Except in a `ResNet` and in Model Garden's, batch normalisation may be folded into kernel and bias (`/biases`,
    `/bias`). It is then unfolded with statistics measured on the calibration images, see `unfold_batch_norm`.

    Args:
      backbone: a layer from `tfseg.backbones.build`; its weights are created if they do not exist yet.
      path: see `open_weights`.
      calibration_images: RGB [batch, height, width, 3], 0 to 255: 8 to 32 images like those that training will see, at
        training size. Only a folded file needs them.
    Raises:
      InputError: arrays are missing, unknown, wrongly shaped or not finite (the message names them); or the file is
        folded and there are no images.
    """
    file, namings, left_out = open_weights(path), NAMINGS, {}
    if GRAPH in file.shapes:
        file, left_out = model_garden.arranged(file, backbone)
        namings = (model_garden.naming,)
    elif model_garden.is_made_for(backbone):
        other = f"resnet{backbone.depth}_v1_5" if isinstance(backbone, ResNet) else "mobilenet_v2"
        raise InputError(f"{path} is no checkpoint of Model Garden, which this backbone takes: try --backbone={other}")
    elif isinstance(backbone, ResNet):
        file, namings = resnet_weights.arranged(file, backbone), (resnet_weights.naming(backbone.origin),)
    if not backbone.built:
        backbone(tf.zeros([1, 33, 33, 3]))
    convolutions = backbone.convolutions()
    targets, is_folded = _match_names(convolutions, file, namings)
    if is_folded and calibration_images is None:
        raise InputError(f"{path}: batch normalisation is folded into its kernels; unfolding it needs images")
    report = assign(file, targets)
    if is_folded:
        _switch_off(convolutions)
        unfold_batch_norm(backbone, calibration_images)
    return dataclasses.replace(report, skipped=report.skipped | left_out)


def load_network(network, file) -> Report:
    """Loads a DeepLab file into a whole network for inference; nothing is changed unless every array fits.

    Folded batch normalisation stays folded: the network's own is set to do nothing. Such a network cannot be trained
    further.

    Args:
      network: has `convolutions()` with DeepLab's scopes, and `classifier`, which the file calls logits/semantic.
      file: a `WeightFile`.
    Raises:
      InputError: see `load_backbone`.
    """
    convolutions = network.convolutions()
    targets, is_folded = _match_names(convolutions, file, NAMINGS)
    targets |= {f"{CLASSIFIER}/weights": network.classifier.kernel, f"{CLASSIFIER}/biases": network.classifier.bias}
    report = assign(file, targets)
    if is_folded:
        _switch_off(convolutions)
    return report


def _switch_off(convolutions):
    """Makes batch normalisation the identity, except for its shift."""
    for layer in convolutions.values():
        layer.bn.gamma.assign(tf.ones_like(layer.bn.gamma))
        layer.bn.moving_mean.assign(tf.zeros_like(layer.bn.gamma))
        layer.bn.moving_variance.assign(tf.fill(layer.bn.gamma.shape, 1 - layer.bn.epsilon))


def assign(file, targets) -> Report:
    """Reads the arrays of a file into variables: all of them, or none if one does not fit.

    A kernel of at least 3x3 also fits into a wider one, see `center_padded`.

    Args:
      file: a `WeightFile`.
      targets: {name: variable}; a name is what `canonical_name` returns when the first part of the name is a root.
    Raises:
      InputError: see `load_backbone`. Shapes are compared before anything is read.
    """
    found = _canonical_names(file, {name.split("/")[0] for name in targets})
    chosen = {name: found[name][0] for name in targets if name in found}
    unused = [source for name, sources in found.items() if name not in targets for source in sources]
    wrong = [name for name, source in chosen.items() if not _fits(file.shapes[source], tuple(targets[name].shape))]
    problems = {
        "missing": [name for name in targets if name not in found],
        "unknown": [source for source in unused if not IRRELEVANT.search(source)],
        "held twice": [name for name in chosen if len(found[name]) > 1],
        "of another shape": [f"{n} {list(file.shapes[chosen[n]])}, not {targets[n].shape.as_list()}" for n in wrong],
    }
    _refuse(file.path, problems)
    values = {name: file.read(source) for name, source in chosen.items()}
    _refuse(file.path, {"not finite": [name for name, array in values.items() if not np.isfinite(array).all()]})
    padded = [name for name, array in values.items() if array.shape != tuple(targets[name].shape)]
    for name, array in values.items():
        targets[name].assign(center_padded(array, targets[name].shape[0]) if name in padded else array)
    loaded = {source: file.shapes[source] for source in chosen.values()}
    return Report(file.path, loaded, {source: file.shapes[source] for source in unused}, len(padded))


def _fits(shape, wanted):
    """Whether an array fits a variable, either as it is or centred in zeros."""
    if shape == wanted:
        return True
    if not len(shape) == len(wanted) == 4 or shape[2:] != wanted[2:]:
        return False
    (height, width), (side, other) = shape[:2], wanted[:2]
    return side == other > height == width >= 3 and (side - height) % 2 == 0


def canonical_name(name, roots=()) -> str:
    """Returns the one spelling that stands for all names of the same array.

    TF-Slim: anything before a scope in `roots` is dropped, and `depthwise_weights` becomes `weights`. Keras h5:
    `Conv1/Conv1/kernel:0` becomes `Conv1/kernel`, and `depthwise_kernel` becomes `kernel`.
    """
    if name.endswith(":0"):
        name = "/".join(name[:-2].split("/")[-2:])
    parts = name.split("/")
    parts[-1] = {"depthwise_weights": "weights", "depthwise_kernel": "kernel"}.get(parts[-1], parts[-1])
    starts = [i for i, part in enumerate(parts) if part in roots]
    return "/".join(parts[starts[0] :] if starts else parts)


def unfold_batch_norm(backbone, images):
    """Sets the moving statistics to those of `images`, and scale and shift so that the network computes the same.

    One pass in inference mode measures the mean m and the variance v of every convolution's output. With the previous
    scale s = gamma / sqrt(moving_variance + eps), the new values are gamma = s * sqrt(v + eps),
    beta += s * (m - moving_mean), moving_mean = m and moving_variance = v. Training then starts with batch statistics
    near the moving ones. With mean 0 and variance 1, as folding leaves them, its first steps would rescale every
    channel.

    Args:
      backbone: a backbone with its weights loaded.
      images: RGB [batch, height, width, 3], 0 to 255.
    """
    layers = list(backbone.convolutions().values())
    with _measured([layer.bn for layer in layers]) as moments:
        backbone(tf.convert_to_tensor(images, tf.float32), training=False)
    for layer, (mean, variance) in zip(layers, moments, strict=True):
        bn = layer.bn
        scale = bn.gamma / tf.sqrt(bn.moving_variance + bn.epsilon)
        bn.beta.assign(bn.beta + scale * (mean - bn.moving_mean))
        bn.gamma.assign(scale * tf.sqrt(variance + bn.epsilon))
        bn.moving_mean.assign(mean)
        bn.moving_variance.assign(variance)


@contextlib.contextmanager
def _measured(batch_norms):
    """Yields a list; one eager call fills it with (mean, variance) per channel of each layer's input, in order."""
    moments = [None] * len(batch_norms)

    def measuring(i, call):
        def measure_then_call(inputs, training=False):
            moments[i] = tf.nn.moments(tf.cast(inputs, tf.float32), [0, 1, 2])
            return call(inputs, training)

        return measure_then_call

    for i, layer in enumerate(batch_norms):
        layer.call = measuring(i, layer.call)
    try:
        yield moments
    finally:
        for layer in batch_norms:
            del layer.call


def _match_names(convolutions, file, namings):
    """Returns ({canonical name: variable}, whether batch norm is folded) for the naming that fits the file best."""
    forms = (False, True)
    candidates = [(_targets(convolutions, naming, folded), folded) for naming in namings for folded in forms]
    root = next(iter(convolutions)).split("/")[0]
    found = _canonical_names(file, {root})
    targets, is_folded = max(candidates, key=lambda candidate: sum(name in found for name in candidate[0]))
    if not any(name in found for name in targets):
        raise InputError(
            f"{file.path} holds no array of {root}; expected names like {next(iter(targets))}, "
            f"found {listed(file.shapes) or 'none'}"
        )
    return targets, is_folded


def _targets(convolutions, naming, is_folded):
    targets = {}
    for scope, layer in convolutions.items():
        kernel, bias, norm = naming(scope)
        conv = layer.conv
        targets[kernel] = conv.kernel if hasattr(conv, "kernel") else conv.depthwise_kernel
        if is_folded:
            targets[bias] = layer.bn.beta
        else:
            targets.update({name: getattr(layer.bn, statistic) for statistic, name in norm.items()})
    return targets


def _slim_names(scope):
    return f"{scope}/weights", f"{scope}/biases", _statistics(f"{scope}/BatchNorm")


def _keras_names(scope):
    """`keras.applications.MobileNetV2` names: MobilenetV2/Conv is Conv1, expanded_conv_3/expand is block_3_expand."""
    name = scope.replace("MobilenetV2/", "").replace("expanded_conv_", "block_").replace("/", "_")
    if name == "Conv":
        return "Conv1/kernel", "Conv1/bias", _statistics("bn_Conv1")
    return f"{name}/kernel", f"{name}/bias", _statistics(f"{name}_BN")


def _statistics(norm):
    return {statistic: f"{norm}/{statistic}" for statistic in STATISTICS}


NAMINGS = (_slim_names, _keras_names)


def _canonical_names(file, roots):
    names = collections.defaultdict(list)
    for source in file.shapes:
        names[canonical_name(source, roots)].append(source)
    return names


def _refuse(path, problems):
    """Raises one line that lists every kind of problem with a few names."""
    parts = [f"{len(names)} {kind} ({_few(names)})" for kind, names in problems.items() if names]
    if parts:
        raise InputError(f"{path} does not fit this network: arrays " + "; ".join(parts))


def _few(names):
    """The names if they are few and short, else the first, whole, and how many more there are."""
    text = listed(names)
    if len(names) > 1 and len(text) <= MAX_LISTED_CHARACTERS:
        return text
    return shortened(names[0], MAX_LISTED_CHARACTERS) + (f" and {len(names) - 1} more" if len(names) > 1 else "")
