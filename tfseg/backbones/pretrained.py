"""Weights from outside into a backbone, by name: TF-Slim, DeepLab and Keras applications' files, array archives."""

import collections
import contextlib
import dataclasses
import re

import numpy as np
import tensorflow as tf

from tfseg.backbones.mobilenet_v2 import center_padded
from tfseg.errors import InputError
from tfseg.formats.weight_files import open_weights

# What a file may hold beside the backbone: classifiers, DeepLab's head, the optimizer's state.
IRRELEVANT = re.compile(
    r"(^|/)(global_step|beta[12]_power|mean_rgb|logits|Logits|predictions|AuxLogits|Conv_1|Conv_1_bn|aspp\d\w*"
    r"|image_pooling|concat_projection|decoder)(/|$)|/(Momentum|Adam|Adam_1|RMSProp|RMSProp_1|ExponentialMovingAverage)$"
)
CLASSIFIER = "logits/semantic"
STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")


@dataclasses.dataclass(frozen=True)
class Report:
    """What was read from a weights file: {name in the file: shape} of the arrays used, and of those left out.

    `num_padded` of those used are in the middle of a larger kernel of zeros.
    """

    path: str
    loaded: dict[str, tuple[int, ...]]
    skipped: dict[str, tuple[int, ...]]
    num_padded: int = 0

    def summary(self) -> str:
        """One line: counts."""
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
    """Gives `backbone` the weights of a file; nothing is changed unless all of it fits.

    Names may be TF-Slim's (`MobilenetV2/expanded_conv_3/expand/weights`,
    `resnet_v1_101/block1/unit_1/bottleneck_v1/conv1/weights`, with any prefix) or Keras applications'
    (`block_3_expand/kernel`; MobileNetV2 only). Either may have its batch normalisation folded into kernel and bias
    (`/biases`, `/bias`): such a file is unfolded by measurement on the calibration images, see `unfold_batch_norm`.

    Args:
      backbone: of `tfseg.backbones.build`; its weights are created if they do not exist yet.
      path: see `open_weights`.
      calibration_images: RGB [batch, height, width, 3], 0 to 255, of the kind that training will see: 8 to 32 of them,
        at training size. Used with a folded file alone.
    Raises:
      InputError: with the names of missing, unknown, wrongly shaped or non-finite arrays; or a folded file and no
        images.
    """
    file = open_weights(path)
    if not backbone.built:
        backbone(tf.zeros([1, 33, 33, 3]))
    convolutions = backbone.convolutions()
    targets, is_folded = _match_names(convolutions, file)
    if is_folded and calibration_images is None:
        raise InputError(f"{path}: batch normalisation is folded into its kernels; unfolding it needs images")
    report = assign(file, targets)
    if is_folded:
        _switch_off(convolutions)
        unfold_batch_norm(backbone, calibration_images)
    return report


def load_network(network, file) -> Report:
    """Gives a whole network the weights of a DeepLab file, for use; nothing is changed unless all of it fits.

    Folded batch normalisation stays folded: the network's is set to do nothing. It is not fit for training so.

    Args:
      network: has `convolutions()` with DeepLab's scopes, and `classifier`, called logits/semantic there.
      file: a `WeightFile`.
    Raises:
      InputError: as `load_backbone`.
    """
    convolutions = network.convolutions()
    targets, is_folded = _match_names(convolutions, file)
    targets |= {f"{CLASSIFIER}/weights": network.classifier.kernel, f"{CLASSIFIER}/biases": network.classifier.bias}
    report = assign(file, targets)
    if is_folded:
        _switch_off(convolutions)
    return report


def _switch_off(convolutions):
    """Makes batch normalisation the identity, but for its shift."""
    for layer in convolutions.values():
        layer.bn.gamma.assign(tf.ones_like(layer.bn.gamma))
        layer.bn.moving_mean.assign(tf.zeros_like(layer.bn.gamma))
        layer.bn.moving_variance.assign(tf.fill(layer.bn.gamma.shape, 1 - layer.bn.epsilon))


def assign(file, targets) -> Report:
    """Reads the arrays of a file into variables, all or none.

    A kernel of 3x3 or more fits into a wider one, see `center_padded`.

    Args:
      file: a `WeightFile`.
      targets: {name: variable}; names as `canonical_name` writes them for the first part of a target's name.
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
    """Whether an array fits a variable, as it is or in the middle of zeros."""
    if shape == wanted:
        return True
    if not len(shape) == len(wanted) == 4 or shape[2:] != wanted[2:]:
        return False
    (height, width), (side, other) = shape[:2], wanted[:2]
    return side == other > height == width >= 3 and (side - height) % 2 == 0


def canonical_name(name, roots=()) -> str:
    """One spelling for the names of one array.

    TF-Slim: what stands before a scope of `roots` is dropped, `depthwise_weights` is called `weights`. Keras h5:
    `Conv1/Conv1/kernel:0` becomes `Conv1/kernel`, `depthwise_kernel` becomes `kernel`.
    """
    if name.endswith(":0"):
        name = "/".join(name[:-2].split("/")[-2:])
    parts = name.split("/")
    parts[-1] = {"depthwise_weights": "weights", "depthwise_kernel": "kernel"}.get(parts[-1], parts[-1])
    starts = [i for i, part in enumerate(parts) if part in roots]
    return "/".join(parts[starts[0] :] if starts else parts)


def unfold_batch_norm(backbone, images):
    """Sets batch statistics to those of `images` and changes scale and shift so that the function stays the same.

    Every convolution's output mean m and variance v are measured in one pass in inference mode, then with the scale
    s = gamma / sqrt(moving_variance + eps) in use before: gamma = s * sqrt(v + eps), beta += s * (m - moving_mean),
    moving_mean = m, moving_variance = v. Training then starts with batch statistics near the moving ones; with mean 0
    and variance 1, as folding leaves them, its first steps would rescale every channel.

    Args:
      backbone: with its weights loaded.
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
    """Yields a list that receives each layer's input (mean, variance) per channel during one eager call, in order."""
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


def _match_names(convolutions, file):
    """({canonical name: variable}, whether batch normalisation is folded) for the naming that fits the file best."""
    candidates = [(_targets(convolutions, naming, folded), folded) for naming in NAMINGS for folded in (False, True)]
    root = next(iter(convolutions)).split("/")[0]
    found = _canonical_names(file, {root})
    targets, is_folded = max(candidates, key=lambda candidate: sum(name in found for name in candidate[0]))
    if not any(name in found for name in targets):
        raise InputError(
            f"{file.path}: no array of {root} in it; expected names like {next(iter(targets))}, "
            f"found {', '.join(list(file.shapes)[:3]) or 'none'}"
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
            targets.update({f"{norm}/{statistic}": getattr(layer.bn, statistic) for statistic in STATISTICS})
    return targets


def _slim_names(scope):
    return f"{scope}/weights", f"{scope}/biases", f"{scope}/BatchNorm"


def _keras_names(scope):
    """`keras.applications.MobileNetV2` calls MobilenetV2/Conv Conv1, expanded_conv_3/expand block_3_expand."""
    name = scope.replace("MobilenetV2/", "").replace("expanded_conv_", "block_").replace("/", "_")
    if name == "Conv":
        return "Conv1/kernel", "Conv1/bias", "bn_Conv1"
    return f"{name}/kernel", f"{name}/bias", f"{name}_BN"


NAMINGS = (_slim_names, _keras_names)


def _canonical_names(file, roots):
    names = collections.defaultdict(list)
    for source in file.shapes:
        names[canonical_name(source, roots)].append(source)
    return names


def _refuse(path, problems):
    """One line for all that is wrong; at most six names of a kind."""
    parts = [
        f"{len(names)} {kind} ({', '.join(names[:6])}{', ...' if len(names) > 6 else ''})"
        for kind, names in problems.items()
        if names
    ]
    if parts:
        raise InputError(f"{path} does not fit this network: arrays " + "; ".join(parts))
