"""Runs a training, from its config to its weights."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable
from pathlib import Path

import tensorflow as tf
from tensorflow import keras

from tfseg import architectures
from tfseg.backbones import imagenet
from tfseg.backbones import pretrained as backbone_weights
from tfseg.config import ExperimentConfig
from tfseg.data import pipeline
from tfseg.data.opening import Split, cache_dir, open_split
from tfseg.errors import InputError, listed
from tfseg.layers.conv import BatchNorm
from tfseg.layers.resize import upsample
from tfseg.runs import zoo
from tfseg.runs.run_directory import (
    assign_weights,
    load_backbone_of_run,
    locked,
    read_config,
    save_weights,
    weights_file,
    write_config,
)
from tfseg.runs.training_log import recovered_rows, since_best
from tfseg.system.checksums import check_sha256_beside
from tfseg.system.download import local_path
from tfseg.system.files import write_atomically
from tfseg.system.progress import say
from tfseg.training import callbacks, schedule, validation
from tfseg.training.averaging import WeightAverage
from tfseg.training.checkpoints import Checkpoints
from tfseg.training.frame_motion import with_motion
from tfseg.training.interruption import Interruption
from tfseg.training.loss_options import loss_options
from tfseg.training.planning import planned
from tfseg.training.strategy import build_strategy, is_chief, set_precision
from tfseg.training.trainer import Trainer

CALIBRATION_IMAGES = 8
NO_WEIGHTS = "none"
# Fields that may change between a run and its continuation, because the weights do not depend on them.
FREE_FIELDS = {"data.data_dir", "training.log_every", "training.checkpoint_every", "training.validate_every"}


@dataclasses.dataclass(frozen=True)
class RunOptions:
    """Options for one start of a run, which are not part of the experiment.

    Attributes:
      strategy, tpu: see `build_strategy`.
      override: whether to continue although the config differs from the one the run was started with.
    """

    strategy: str = "auto"
    tpu: str = ""
    override: bool = False


def train(config: ExperimentConfig, workdir, options: RunOptions | None = None, draw=None):
    """Starts or continues the run in `workdir`.

    Writes config.json, checkpoints/, weights/{last,best}.npz, metrics.csv and tensorboard/. If it is called again after
    a kill, it continues from the last checkpoint as if nothing had happened.

    Example:
      from model_zoo.scenes.rnn_mobilenet_v2 import get_config  # in the root of the repository

      train(get_config(), "runs/scenes_rnn")
      predictor = tfseg.load("runs/scenes_rnn")

    Args:
      config: the experiment, e.g. that of a recipe in model_zoo/.
      workdir: the run directory; it is made if missing.
      options: a RunOptions; None means its defaults.
      draw: draws TensorBoard's validation pictures, see `validation.validator`; None for no pictures.
    Raises:
      InputError: the config or the data are bad, the directory is in use, or it holds a run with another config.
      RunError: too many updates in a row were not finite, or the disk is full.
    """
    options = options or RunOptions()
    workdir = Path(workdir)
    was_started = _has_checkpoints(workdir)
    if was_started:
        config.check()  # what it started from is not read again
    else:
        check_config(config)
        _download(config)  # a download that fails shall do so before anything is read
    strategy = build_strategy(options.strategy, options.tpu)
    chief = is_chief(strategy)
    with locked(workdir) if chief else contextlib.nullcontext():
        split = open_split(config.data.dataset, config.data.data_dir, config.data.train_split, fold=config.data.fold)
        config, lines = planned(config, split.num_examples, split.usual_size)
        for line in lines:
            say(line)
        if lines and not was_started:
            _download(config)  # what was chosen just now
        if chief and not options.override:
            _refuse_other_config(workdir, config, split.info)
        precision = set_precision(config.training.precision, warn=say)
        keras.utils.set_random_seed(config.training.seed)
        with strategy.scope():
            trainer = build_trainer(config, split.manifest, precision)
            saved = Checkpoints(workdir, trainer, chief)
            step = saved.restore(warn=say)
        if step == 0:
            _initialize(trainer.network, config, split)
            trainer.average.restart()
        else:
            say(f"going on from step {step} of {config.training.total_steps}")
        if chief:
            write_config(workdir, config, split.info)
        patience = config.training.patience
        mious = _validated_before(workdir, step) if patience and step else []
        has_ended_early = bool(patience) and since_best(mious) >= patience
        if step < config.training.total_steps and not has_ended_early:
            _fit(trainer, config, workdir, saved, _Data(split, draw), step, mious)
            has_ended_early = trainer.stop_training
            if not isinstance(strategy, tf.distribute.TPUStrategy):
                batches = _batches(config, split, config.training.total_steps, _batch_size(config.training))
                validation.warn_of_other_statistics(trainer, batches, split.info.ignore_label)
        saved.close()
        last = workdir / "weights" / "last.npz"
        if has_ended_early:
            say(f"ended early: {patience} validations without a better one; the weights of the best one are kept")
            if chief:
                write_atomically(last, (workdir / "weights" / "best.npz").read_bytes())
            return
        with trainer.average.applied():
            save_weights(last, trainer.network, chief)


def _download(config):
    """Downloads published weights, if the run starts from such and they are not there yet."""
    if config.training.init_backbone_from == imagenet.NAME:
        imagenet.weights_path(config.model.backbone)


def _validated_before(workdir, step):
    """Returns the mIoUs of the validations of a run that goes on from `step`; later ones do not count."""
    return [float(row["val_miou"]) for row in recovered_rows(workdir, step) if row.get("val_miou")]


@dataclasses.dataclass(frozen=True)
class _Data:
    split: Split
    draw: Callable | None


def build_trainer(config, manifest, precision) -> Trainer:
    """Returns the compiled trainer with all its variables. Call this in the strategy's scope."""
    info = manifest.info
    architecture = architectures.architecture_of(config.model)
    network = architectures.build(config.model, info.num_classes)
    if config.training.freeze_batch_norm:
        for layer in network.submodules:
            if isinstance(layer, BatchNorm):
                layer.trainable = False
    losses = functools.partial(
        architecture.losses,
        config=config.model,
        upsample=functools.partial(upsample, stride=network.canvas_stride, padding=network.padding),
        ignore_label=info.ignore_label,
        **loss_options(config.training, manifest, config.data.train_split),
    )
    trainer = Trainer(
        network,
        architecture.training_outputs,
        losses,
        WeightAverage(network, config.training.average_decay),
        clip_norm=config.training.clip_norm,
        seed=config.training.seed,
        accumulated_batches=config.training.accumulated_batches,
    )
    of_backbone = [one for layer in network.backbone_layers() for one in layer.trainable_variables]
    trainer.compile(optimizer=schedule.build_optimizer(config.training, precision, of_backbone))
    return trainer


def check_config(config: ExperimentConfig):
    """Raises InputError for values that no new run can use. It is called before anything is read or written."""
    config.check()
    init_from = config.training.init_from
    if init_from and "#" not in init_from and not zoo.resolved(init_from).exists():
        raise InputError(f"--init_from={init_from}: no such run directory, model zoo folder or file")


def _refuse_other_config(workdir, config, info):
    """Raises InputError if the run to be continued has another config; a run without a checkpoint just starts anew."""
    if not _has_checkpoints(workdir):
        return
    old, old_info = read_config(workdir)
    differences = _differences(old.to_dict(), config.to_dict())
    if old_info.label_hash() != info.label_hash():
        differences.append(f"classes: {len(old_info.class_names)} -> {len(info.class_names)} or other names")
    if differences:
        raise InputError(
            f"{workdir}: was started with another config ({listed(differences, '; ')}); "
            "take another --workdir, the old values, or --override"
        )


def _has_checkpoints(workdir):
    return any((workdir / "checkpoints").glob("step-*"))


def _differences(old, new, prefix=""):
    lines = []
    for key in sorted(set(old) | set(new)):
        path = f"{prefix}{key}"
        if isinstance(old.get(key), dict) and isinstance(new.get(key), dict):
            lines += _differences(old[key], new[key], f"{path}.")
        elif old.get(key) != new.get(key) and path not in FREE_FIELDS:
            lines.append(f"{path}: {json.dumps(old.get(key))} -> {json.dumps(new.get(key))}")
    return lines


def _initialize(network, config, split):
    """Loads the weights that `init_backbone_from` and `init_from` name, and prints what was loaded."""
    training, cache = config.training, cache_dir()
    if training.init_backbone_from not in (None, NO_WEIGHTS):
        say(f"backbone: {_load_backbone(network, config, split)}")
    if training.init_from:
        path = zoo.resolved(local_path(training.init_from, cache))
        weights = path if path.is_file() else weights_file(path)
        if not path.is_file():
            check_sha256_beside(weights)
        lines = assign_weights(network, weights, skip_mismatched=True)
        network.weights_were_loaded({line.split(":")[0] for line in lines})
        say(f"{weights}: {len(lines)} weights left as they were" + "".join(f"\n  {line}" for line in lines))


def _load_backbone(network, config, split):
    """Loads the weights that `init_backbone_from` names; returns a line that says what was loaded.

    The statistics of batch normalisation become those of the run's own images, without a change of what the backbone
    computes: with those of other images, the first updates would rescale every channel.
    """
    source = config.training.init_backbone_from
    images = functools.partial(_calibration_images, config, split)
    if source == imagenet.NAME:
        path = imagenet.weights_path(config.model.backbone)
    elif (folder := zoo.resolved(source)).is_dir() and (folder / "config.json").exists():
        line = load_backbone_of_run(network, folder)
        backbone_weights.unfold_batch_norm(network.backbone, images())
        return line
    else:
        path = local_path(source, cache_dir())
    return backbone_weights.load_backbone(network.backbone, path, images()).summary()


def _calibration_images(config, split):
    return next(iter(_batches(config, split, 0, CALIBRATION_IMAGES)))["image"]


def _batch_size(training):
    """The number of images that go through the network at once, on all replicas together."""
    return training.global_batch_size // training.accumulated_batches


def _batches(config, split, start_update, batch_size, input_context=None):
    """Batches from that of update `start_update` on (from 0)."""
    architecture = architectures.architecture_of(config.model)
    targets = functools.partial(architecture.targets, info=split.info, config=config.model)
    num_previous = config.model.frames_before if config.data.frame_gap else 0
    needs_motion = config.model.carry is not None and config.model.carry.with_motion
    return pipeline.train_batches(
        split.files,
        split.info,
        config.data,
        batch_size=batch_size,
        seed=config.training.seed,
        start_step=start_update * config.training.accumulated_batches,
        make_targets=(lambda example: targets(with_motion(example))) if num_previous and needs_motion else targets,
        num_previous=num_previous,
        with_instances=architecture.is_panoptic,
        num_examples=split.num_examples,
        input_context=input_context,
    )


def _fit(trainer, config, workdir, saved, data, first_step, mious):
    strategy = trainer.distribute_strategy
    training = config.training
    is_tpu = isinstance(strategy, tf.distribute.TPUStrategy)
    batch_size = _batch_size(training)
    if is_tpu and batch_size % strategy.num_replicas_in_sync:
        raise InputError(
            f"--batch_size={training.global_batch_size}: on a TPU, each batch of an update ({batch_size} images) must "
            f"be a multiple of the {strategy.num_replicas_in_sync} replicas"
        )

    def make_dataset(context):
        batches = _batches(config, data.split, first_step, batch_size, context)
        return batches.map(_without_filenames) if is_tpu else batches

    dataset = strategy.distribute_datasets_from_function(make_dataset)
    chief = is_chief(strategy)
    log = callbacks.MetricsLog(
        workdir,
        first_step=first_step,
        log_every=training.log_every,
        global_batch_size=training.global_batch_size,
        is_chief=chief,
    )
    steps = [callbacks.BadSteps(training.max_bad_steps, say), log]
    if is_tpu:
        say("no validation while training on a TPU: run evaluate.py afterwards")
    elif training.validate_every:
        evaluate = validation.validator(data.split.other(config.data.validation_split), data.draw)
        every, patience = training.validate_every, training.patience
        steps.append(callbacks.Validation(evaluate, every, log, saved, workdir, patience, mious))
    if chief:
        steps.append(callbacks.Progress(first_step, training.total_steps, training.global_batch_size))
    interruption = Interruption()
    steps.append(callbacks.Saving(saved, training.checkpoint_every, training.total_steps, interruption))
    is_panoptic = architectures.architecture_of(config.model).is_panoptic
    with interruption, data.split.damage_named(needs_labels=True, with_instances=is_panoptic):
        trainer.fit(dataset, steps_per_epoch=training.total_steps - first_step, callbacks=steps, verbose=0)


def _without_filenames(batch):
    """The batch without its file names, because TPUs take no strings."""
    return {name: value for name, value in batch.items() if name != "filename"}
