"""Runs and weights: config, weights, checkpoints, logs, reports."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.backbones.garden_files import arrays_of, write_objects
from tests.fuzz.kind import Kind, Target
from tests.training.toy_run import toy_config
from tfseg import architectures, backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.pretrained import load_backbone
from tfseg.data.manifest import Manifest, Split
from tfseg.errors import InputError
from tfseg.formats.weight_files import open_weights
from tfseg.labels import DatasetInfo, default_colors
from tfseg.runs.run_directory import (
    assign_weights,
    load_run,
    save_weights,
    weight_arrays,
    write_config,
)
from tfseg.system.checksums import check_sha256_beside
from tfseg.training import loss_options, train
from tfseg.training.callbacks import MetricsLog
from tfseg.training.checkpoints import Checkpoints

INFO = DatasetInfo("folder", ("bright", "dark", "green"), default_colors(3))
MANIFEST = Manifest(INFO, {"train": Split(4, [60, 30, 10], 0, [4, 4, 2], [])})
BACKBONE = BackboneConfig("mobilenet_v2", width_multiplier=0.1)
STEPS = (2, 4)  # of the checkpoints
LOG = {"first_step": STEPS[-1], "log_every": 1, "global_batch_size": 4}


def _config():
    return toy_config("records", {})


def _network():
    return architectures.build(_config().model, INFO.num_classes)


def _run(folder):
    """Writes config and weights of a run."""
    write_config(folder / "run", _config(), INFO)
    save_weights(folder / "run" / "weights" / "last.npz", _network())


def _loaded_run(prepared, path):
    config, info, network = load_run("run")
    return {"config": config.to_dict(), "info": info.to_dict(), "weights": weight_arrays(network)}


def _cleared(network):
    """The network with ones as weights, so that nothing is left of the file read before."""
    for variable in network.variables:
        variable.assign(tf.ones_like(variable))
    return network


def _assigned(network, path):
    weights = "run/weights/last.npz"
    check_sha256_beside(weights)
    assign_weights(_cleared(network), weights)
    return weight_arrays(network)


def _started_from(network, path):
    """What `--init_from=FILE` does."""
    assign_weights(_cleared(network), path)
    return weight_arrays(network)


def _keras_weights(folder):
    model = keras.Sequential([keras.Input([8, 8, 3]), keras.layers.Conv2D(4, 3), keras.layers.BatchNormalization()])
    model.save_weights(folder / "toy.h5")
    model.save(folder / "toy.keras")


def _arrays(prepared, path):
    file = open_weights(path)
    return {name: file.read(name) for name in sorted(file.shapes)}


def _safetensors(folder):
    """Writes the network's weights as safetensors."""
    header, buffer = {}, b""
    for name, array in weight_arrays(_network()).items():
        offsets = [len(buffer), len(buffer) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        buffer += array.astype("<f4").tobytes()
    content = json.dumps(header).encode()
    (folder / "arrays.safetensors").write_bytes(len(content).to_bytes(8, "little") + content + buffer)


def _backbone():
    backbone = backbones.build(BACKBONE)
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


def _slim_checkpoint(folder):
    """Writes the backbone's weights under TF-Slim's names."""
    arrays = {}
    for scope, layer in _backbone().convolutions().items():
        arrays[f"{scope}/weights"] = layer.conv.weights[0]
        for statistic in ("gamma", "beta", "moving_mean", "moving_variance"):
            arrays[f"{scope}/BatchNorm/{statistic}"] = getattr(layer.bn, statistic)
    names, tensors = list(arrays), [tf.convert_to_tensor(array) for array in arrays.values()]
    tf.raw_ops.SaveV2(
        prefix=str(folder / "model.ckpt"), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
    )


def _garden_backbone():
    backbone = backbones.build(dataclasses.replace(BACKBONE, name="mobilenet_v2_model_garden"))
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


def _garden_checkpoint(folder):
    """Writes the backbone's weights as Model Garden does, with the last layer and params.yaml."""
    last = {"layer_with_weights-18/_conv0/kernel": np.zeros([1, 1, 32, 8], np.float32)}
    write_objects(
        folder / "model.ckpt", {f"backbone/{k}": v for k, v in (arrays_of(_garden_backbone()) | last).items()}
    )
    (folder / "params.yaml").write_text("task: {model: {norm_activation: {norm_epsilon: 0.001, activation: relu}}}\n")


def _loaded_backbone(backbone, path):
    load_backbone(_cleared(backbone), "model.ckpt")
    return [variable.numpy() for variable in backbone.variables]


@dataclasses.dataclass(frozen=True)
class Resumed:
    """What reads checkpoints.

    Attributes:
      trainer: the trainer that is restored.
      by_step: {step: the variables that its checkpoint holds}.
    """

    trainer: object
    by_step: dict[int, list[np.ndarray]]


def _trainer():
    return train.build_trainer(_config(), MANIFEST, "float32")


def _values(trainer):
    return [variable.numpy() for variable in (*trainer.network.variables, *trainer.optimizer.variables)]


def _checkpoints(folder):
    trainer = _trainer()
    saved = Checkpoints(folder / "run", trainer)
    for step in STEPS:
        trainer.optimizer.iterations.assign(step)
        for variable in trainer.network.variables:
            variable.assign_add(tf.ones_like(variable))
        saved.save()


def _prepared_resume():
    trainer, by_step = _trainer(), {}
    saved = Checkpoints("run", trainer)
    for step in STEPS:
        saved._checkpoint.restore(f"run/checkpoints/step-{step}").assert_existing_objects_matched()
        by_step[step] = _values(trainer)
    return Resumed(trainer, by_step)


def _restored(resumed, path):
    """Restores as a continued training does. Going on from the checkpoint before counts as refusing the newest one."""
    notes = []
    _cleared(resumed.trainer.network)
    step = Checkpoints("run", resumed.trainer).restore(warn=notes.append)
    values = _values(resumed.trainer)
    wanted = resumed.by_step.get(step, [])
    is_whole = len(wanted) == len(values) and all(map(np.array_equal, wanted, values))
    if notes and is_whole:
        raise InputError(notes[0])
    return {"step": step, "values": values}


def _log(folder):
    log = MetricsLog(folder / "run", **(LOG | {"first_step": 0}))
    for step in range(1, STEPS[-1] + 1):
        log.write(step, {"loss": 1 / step, "learning_rate": 0.001})


def _continued_log(prepared, path):
    """Goes on with the log of a run; returns the log."""
    MetricsLog("run", **LOG).write(STEPS[-1] + 1, {"loss": 0.125, "learning_rate": 0.001})
    return Path("run/metrics.csv").read_bytes()


def _arrays_file(folder):
    np.savez(folder / "arrays.npz", **weight_arrays(_network()))


CONFIG = Kind(
    "config",
    (Target("run/config.json", "json"),),
    _run,
    _loaded_run,
    known_as=("last.npz",),  # whose weights do not fit a network of another size
)
WEIGHTS = Kind(
    "weights",
    (Target("run/weights/last.npz", has_checksum=True), Target("run/weights/last.npz.sha256", "text")),
    _run,
    _assigned,
    prepare=_network,
)
ARRAYS = Kind("npz", (Target("arrays.npz", has_checksum=True),), _arrays_file, _started_from, prepare=_network)
KERAS = Kind("Keras weights", (Target("toy.h5"), Target("toy.keras", has_checksum=True)), _keras_weights, _arrays)
# It has no checksum: a changed byte among the arrays passes for another weight.
SAFETENSORS = Kind("safetensors", (Target("arrays.safetensors"),), _safetensors, _arrays)
SLIM = Kind(
    "TF-Slim weights",
    tuple(Target(f"model.ckpt.{part}", has_checksum=True) for part in ("index", "data-00000-of-00001")),
    _slim_checkpoint,
    _loaded_backbone,
    prepare=_backbone,
    known_as=("model.ckpt",),
)
GARDEN = Kind(
    "Model Garden weights",
    (
        *(Target(f"model.ckpt.{part}", has_checksum=True) for part in ("index", "data-00000-of-00001")),
        Target("params.yaml", "text"),
    ),
    _garden_checkpoint,
    _loaded_backbone,
    prepare=_garden_backbone,
    known_as=("model.ckpt",),
)
CHECKPOINTS = Kind(
    "checkpoints",
    (
        *(
            Target(f"run/checkpoints/step-{STEPS[-1]}.{part}", has_checksum=True)
            for part in ("index", "data-00000-of-00001")
        ),
        Target("run/checkpoints/checkpoint", "text"),
    ),
    _checkpoints,
    _restored,
    prepare=_prepared_resume,
    known_as=(f"step-{STEPS[-1]}", "run/checkpoints"),
)
CLASS_WEIGHTS = Kind(
    "class weights",
    (Target("weights.txt", "text"),),
    lambda folder: (folder / "weights.txt").write_text("0.5\n1\n2.25\n"),
    lambda prepared, path: loss_options.class_weights(path, MANIFEST, "train"),
)
METRICS = Kind("metrics.csv", (Target("run/metrics.csv", "log"),), _log, _continued_log)
KINDS = (CONFIG, WEIGHTS, ARRAYS, KERAS, SAFETENSORS, SLIM, GARDEN, CHECKPOINTS, CLASS_WEIGHTS, METRICS)
