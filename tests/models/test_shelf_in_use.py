"""ShelfNet and its light form are trained, scored, used and exported in every precision like any other network."""

import csv
import json

import numpy as np
import pytest

from tests.tiny_backbone import tiny
from tfseg import architectures
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
HEADS = {"shelfnet": ("auxiliary", "presence"), "light_shelfnet": ("auxiliary",)}  # that serve training alone


def trained(name, steps, toy_records, folder):
    """A run on the toy images with its report."""
    training = TrainingConfig(
        total_steps=steps, global_batch_size=4, optimizer="adamw", learning_rate=1e-2, validate_every=0, log_every=1
    )
    data = DataConfig("folder", str(toy_records), crop_size=SIZE, min_scale=1.0, max_scale=1.0)
    train(ExperimentConfig(MODELS[name], data, training), folder / name)
    report.evaluate_run(folder / name, report.ReportOptions(), flops.executed_gmacs)
    return folder / name


def exported(run, formats, folder):
    """(folder of exports, what was compared)."""
    options = ExportOptions(formats=formats, output_dir=str(folder))
    rows = exporting.export_model(run, options, lambda path: Predictor.load(path, trust=True), lambda _: None)
    return folder / run.name, rows


@pytest.fixture(scope="module", params=["shelfnet", pytest.param("light_shelfnet", marks=pytest.mark.slow)])
def run(request, toy_records, tmp_path_factory):
    """A run of 4 updates."""
    return trained(request.param, 4, toy_records, tmp_path_factory.mktemp("runs"))


def test_a_run_has_its_losses_its_score_and_its_cost(run):
    with open(run / "metrics.csv") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert len(losses) == 4 and np.isfinite(losses).all()
    [entry] = json.loads((run / "report" / "metrics.json").read_text())["iterations"]
    assert 0 <= entry["miou"] <= 1
    assert entry["gmacs"] == flops.executed_gmacs(load_run(run)[2], SIZE, 1)[0]


def test_an_image_of_any_size_is_segmented(run):
    image = np.random.default_rng(0).integers(0, 256, [37, 51, 3]).astype(np.uint8)
    assert Predictor.load(run).predict(image).class_ids.shape == (37, 51)


def test_exports_agree_with_the_network_and_count_what_it_counts(run, tmp_path):
    folder, rows = exported(run, ("savedmodel", "tflite"), tmp_path)
    assert [row.is_good for row in rows] == [True, True, True]
    assert min(row.agreement for row in rows) > 0.999
    listed = export_manifest.read(folder)
    [cost] = listed["cost"]
    for row in rows:
        [counted] = listed["artifacts"][row.path]["gflops"]
        assert counted["gflops"] == pytest.approx(cost["gflops"], rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_trained_network_keeps_its_classes_in_16_and_8_bits(name, toy_records, tmp_path):
    run = trained(name, 200, toy_records, tmp_path / "runs")
    [entry] = json.loads((run / "report" / "metrics.json").read_text())["iterations"]
    assert entry["miou"] > 0.8
    _, rows = exported(run, ("tflite_fp16", "tflite_int8"), tmp_path / "exports")
    assert [(row.precision, row.is_good) for row in rows] == [("fp16", True), ("int8", True)]


@pytest.mark.parametrize(("name", "heads"), HEADS.items())
def test_what_is_exported_is_the_same_function_without_the_heads_of_training(name, heads):
    network = architectures.build(MODELS[name], num_classes=3)
    exported = network.exported()
    image = np.random.default_rng(0).integers(0, 256, [1, 64, 96, 3]).astype(np.float32)
    np.testing.assert_array_equal(exported.encode(image)["canvas"], network.encode(image)["canvas"])
    left_out = [part for head in heads for part in np.atleast_1d(getattr(network, head))]
    assert exported.count_params() == network.count_params() - sum(part.count_params() for part in left_out) > 0
