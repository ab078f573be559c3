"""Turns a trained and evaluated run into a model zoo folder: small weights, figures, the curve and a model card."""

import dataclasses
import hashlib
import io
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tfseg.config import ExperimentConfig
from tfseg.data.datasets.table import DATASETS
from tfseg.errors import InputError
from tfseg.evaluation.model_card import model_card
from tfseg.formats.weight_files import open_weights
from tfseg.runs.run_directory import load_run, read_config, write_config
from tfseg.runs.training_log import read_log, since_best
from tfseg.system.checksums import check_sha256_beside
from tfseg.system.files import file_sha256, locked, whole_folder
from tfseg.system.small_files import AtLeastOne, Open, Sha256, check_seal, damage_named, read_json, typed

WEIGHTS = "weights.npz"
PICTURES = ("curve.png",)
# These show images of the data set, which may be published if it is a generated one, or if its licence says so.
PICTURES_OF_IMAGES = ("panoptic.png", "strip.png")
# Config fields that may hold a path on the machine of the run; the zoo keeps only the path's last part.
PATH_FIELDS = (
    "data.data_dir",
    "training.init_from",
    "training.init_backbone_from",
    "training.few_images_from",
    "training.class_weights",
)


def publish(workdir, report_dir, target, summary: Callable[[dict], str], overwrite=False, with_images=False) -> Path:
    """Writes a model zoo folder, which appears only when it is whole and `load_run` can read it.

    Example:
      target = publish("runs/scenes_rnn", "runs/scenes_rnn/report", "model_zoo/scenes_rnn", report.summary)
      predictor = tfseg.load(target)

    Args:
      workdir: the run directory.
      report_dir: the run's report, as evaluate.py wrote it; the weights it was measured with are published.
      target: the new folder; its name becomes the model's name.
      summary: content of metrics.json -> Markdown tables of the scores, e.g. `report.summary`.
      overwrite: whether to replace a model of that name.
      with_images: whether the licence of the images allows to publish pictures that show some; those of generated data
        are published in any case.
    Returns:
      The path `target`.
    Raises:
      InputError: there is no run; the report is missing, covers too few iterations or belongs to other weights; or the
        folder exists.
    """
    workdir, report_dir, target = Path(workdir), Path(report_dir), Path(target)
    _check_target(target, overwrite)
    config, info = read_config(workdir)
    metrics = _read_metrics(workdir, report_dir)
    weights = _weights_of(workdir, metrics)
    log = workdir / "metrics.csv"
    if not log.is_file() or not log.stat().st_size:
        raise InputError(f"{workdir}: no {log.name}, the log of the training")

    def refuse():
        raise InputError(f"{target}: another publish.py is writing it; wait for it, or take another --name") from None

    lock = target.with_name(f".{target.name}.lock")
    with locked(lock, refuse), whole_folder(target, may_replace=True) as partial:
        config = without_paths(config)
        write_config(partial, config, info)
        write_half_weights(weights, partial / WEIGHTS)
        pictures = [*PICTURES, *_pictures_of_images(report_dir, metrics, with_images)]
        for source in (report_dir / "metrics.json", log, *(report_dir / name for name in pictures)):
            shutil.copyfile(source, partial / source.name)
        _, _, network = load_run(partial)
        facts = training_facts(config, log, weights.stem)
        facts |= {"parameters": network.count_params(), "weights_sha256": file_sha256(partial / WEIGHTS)}
        card = model_card(target.name, config, info, metrics, facts, summary(metrics), pictures)
        (partial / "README.md").write_text(card)
    return target


def without_paths(config: ExperimentConfig) -> ExperimentConfig:
    """The config with every path cut to its last part, so that it says nothing about the machine of the run."""
    values = config.to_dict()
    for field in PATH_FIELDS:
        part, name = field.split(".")
        if values[part][name]:
            values[part][name] = Path(values[part][name]).name
    return ExperimentConfig.from_dict(values)


def write_half_weights(source, path):
    """Writes the arrays of `source` as compressed float16, and the file's sha256 beside it.

    An array with values beyond float16's range (65504) stays float32.
    """
    file = open_weights(source)
    arrays = {}
    for name in file.shapes:
        array = file.read(name)
        with np.errstate(over="ignore"):
            half = array.astype(np.float16)
        arrays[name] = half if np.isfinite(half).all() else array
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    data = buffer.getvalue()
    path.write_bytes(data)
    Path(f"{path}.sha256").write_text(f"{hashlib.sha256(data).hexdigest()}  {path.name}\n")


def training_facts(config, log, weights_name) -> dict:
    """Reads facts about the training from its log.

    Args:
      config: the run's ExperimentConfig.
      log: path of metrics.csv.
      weights_name: "best" for the weights of the validation with the highest mIoU; any other name for those of the
        last update.
    Returns:
      "steps" and "images" that the weights have seen, and "hours" of training on the machine of the run, without
      validation and start-up; "hours" is None if the log does not tell.
    """
    training = config.training
    rows = read_log(log)
    steps = training.total_steps
    validated = [(row.val_miou, -row.step) for row in rows if row.val_miou is not None]
    ended_early = training.patience and since_best([miou for miou, _ in validated]) >= training.patience
    if validated and (weights_name == "best" or ended_early):
        steps = -max(validated)[1]
    seconds, last = 0.0, 0
    for row in rows:
        if row.images_per_second and row.step <= steps:
            seconds += (row.step - last) * training.global_batch_size / row.images_per_second
            last = row.step
    hours = seconds * steps / last / 3600 if last else None
    return {"steps": steps, "images": steps * training.global_batch_size, "hours": hours}


def _pictures_of_images(report_dir, metrics, with_images):
    dataset = DATASETS.get(metrics["protocol"]["dataset"])
    if not (with_images or (dataset and dataset.is_generated)):
        return []
    return [name for name in PICTURES_OF_IMAGES if (report_dir / name).exists()]


def _check_target(target, overwrite):
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", target.name):
        raise InputError(f"--name={target.name}: letters, digits, '_', '-' and '.' only")
    if not target.exists():
        return
    if not (target / WEIGHTS).exists():
        raise InputError(f"{target}: exists and is no published model; take another --name")
    if not overwrite:
        raise InputError(f"{target}: exists already; take another --name, or --overwrite")


@dataclasses.dataclass(frozen=True)
class _Protocol(Open):
    """What is read of a report's protocol."""

    dataset: str
    weights: str
    weights_sha256: Sha256


@dataclasses.dataclass(frozen=True)
class _Report(Open):
    """What is read of a report's metrics.json; the model card shows the rest."""

    protocol: _Protocol
    iterations: list[dict]
    trained_iterations: AtLeastOne


def _read_metrics(workdir, report_dir):
    """The content of metrics.json. Raises InputError if the report is not whole."""
    again = f"evaluate the run: python evaluate.py --model={workdir} --report_dir={report_dir}"
    for name in ("metrics.json", *PICTURES):
        if not (report_dir / name).exists():
            raise InputError(f"{report_dir}: no {name}; {again}")
    with damage_named(report_dir / "metrics.json", again):
        metrics = read_json(report_dir / "metrics.json", 64 << 20)
        report = typed(_Report, metrics)
        check_seal(metrics)
    scored, trained = len(report.iterations), report.trained_iterations
    if scored < trained:
        raise InputError(f"{report_dir}: scores {scored} iterations, the model was trained with {trained}; {again}")
    return metrics


def _weights_of(workdir, metrics):
    """The weights that the report was measured with. Raises InputError if they have changed since."""
    path = workdir / metrics["protocol"]["weights"]
    if not path.exists():
        raise InputError(f"{path}: missing; the report was measured with these weights")
    check_sha256_beside(path)
    if file_sha256(path) != metrics["protocol"]["weights_sha256"]:
        raise InputError(f"{path}: not the weights of the report any more; evaluate the run again")
    return path
