"""ShelfNet and its light form are trained, scored, used and exported in every precision like any other network."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from tests.tiny_backbone import tiny
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.evaluation import report
from tfseg.export import exporting
from tfseg.export.plan import ExportOptions
from tfseg.formats import export_manifest
from tfseg.inference.predictor import Predictor
from tfseg.models.light_shelfnet import LightShelfNetConfig
from tfseg.models.shelfnet import ShelfNetConfig
from tfseg.profiling import flops
from tfseg.runs.run_directory import load_run
from tfseg.training.train import train

pytestmark = pytest.mark.usefixtures("warm_children")
SIZE = (48, 64)  # of the toy images
MODELS = {
    "shelfnet": ShelfNetConfig(tiny(32), width=8, auxiliary_weight=0.5, presence_weight=0.2),
    "light_shelfnet": LightShelfNetConfig(tiny(32), width=8, auxiliary_weight=1.0),
}


@pytest.fixture(scope="module", params=MODELS)
def run(request, toy_records, tmp_path_factory):
    """A run on the toy images with its report."""
    workdir = tmp_path_factory.mktemp("runs") / request.param
    training = TrainingConfig(
        total_steps=60, global_batch_size=4, optimizer="adamw", learning_rate=1e-2, validate_every=0, log_every=10
    )
    data = DataConfig("folder", str(toy_records), crop_size=(48, 64), min_scale=1.0, max_scale=1.0)
    train(ExperimentConfig(MODELS[request.param], data, training), workdir)
    report.evaluate_run(workdir, report.ReportOptions(), flops.executed_gmacs)
    return workdir


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    """(folder of exports, what was compared)."""
    formats = ("savedmodel", "tflite", "tflite_fp16", "tflite_int8")
    options = ExportOptions(formats=formats, output_dir=str(tmp_path_factory.mktemp("exports")))
    rows = exporting.export_model(run, options, lambda path: Predictor.load(path, trust=True), lambda _: None)
    return Path(options.output_dir) / run.name, rows


def test_all_losses_of_training_are_logged_and_what_was_learned_shows(run):
    with open(run / "metrics.csv") as file:
        rows = [row for row in csv.DictReader(file) if row["loss"]]
    losses = [float(row["loss"]) for row in rows]
    assert np.isfinite(losses).all() and losses[-1] < losses[0] / 2
    [entry] = json.loads((run / "report" / "metrics.json").read_text())["iterations"]
    assert entry["miou"] > 0.8
    assert entry["gmacs"] == flops.executed_gmacs(load_run(run)[2], SIZE, 1)[0]


def test_an_image_of_any_size_is_segmented(run):
    image = np.random.default_rng(0).integers(0, 256, [37, 51, 3]).astype(np.uint8)
    assert Predictor.load(run).predict(image).class_ids.shape == (37, 51)


def test_files_of_every_precision_agree_with_the_network_and_count_what_it_counts(exports):
    folder, rows = exports
    assert [(row.precision, row.is_good) for row in rows] == [
        ("fp32", True),
        ("fp32", True),
        ("fp16", True),
        ("int8", True),
    ]
    assert min(row.agreement for row in rows if row.precision == "fp32") > 0.999
    listed = export_manifest.read(folder)
    [cost] = listed["cost"]
    for row in rows:
        [counted] = listed["artifacts"][row.path]["gflops"]
        assert counted["gflops"] == pytest.approx(cost["gflops"], rel=1e-6)
