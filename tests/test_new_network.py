"""A network without a backbone joins by one file, one row and one recipe; all else then works with it as it is."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.enet import ENet, ENetConfig
from tfseg import architectures
from tfseg.architectures import ARCHITECTURES, Architecture
from tfseg.commands import experiment_flags
from tfseg.config import ExperimentConfig
from tfseg.errors import InputError
from tfseg.evaluation import report
from tfseg.evaluation.publish import publish
from tfseg.export import exporting
from tfseg.export.plan import ExportOptions
from tfseg.formats import export_manifest
from tfseg.inference.predictor import Predictor
from tfseg.profiling import flops, profile
from tfseg.runs.run_directory import load_run, read_config
from tfseg.training.train import train

pytestmark = pytest.mark.usefixtures("warm_children")

ROOT = Path(__file__).resolve().parent.parent
SIZE = (48, 64)  # of the toy images
RECIPE = """
from tests.enet import ENetConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig


def get_config():
    return ExperimentConfig(
        model=ENetConfig(widths=(8, 8, 16), depth=0, dilations=(2, 4), sections=1),
        data=DataConfig(dataset="folder", data_dir={records!r}, crop_size=(48, 64)),
        training=TrainingConfig(
            total_steps=4, global_batch_size=4, learning_rate=1e-2,
            validate_every=2, checkpoint_every=2, log_every=1,
        ),
    )
"""
# A command with the row put in, as a program of somebody else would do it.
WITH_ENET = """
import runpy, sys
from pathlib import Path

from tests.enet import ENet, ENetConfig
from tfseg.architectures import ARCHITECTURES, Architecture
from tfseg.commands import experiment_flags

ARCHITECTURES["enet"] = Architecture(ENetConfig, ENet)
experiment_flags.RECIPES = Path(sys.argv[1])
sys.argv = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def parameters(num_classes):
    """Weights of the recipe's network, those of batch normalisation and PReLU among them (3 a channel), by hand."""
    initial = 9 * 3 * 5 + 3 * 8  # 3x3 of 3 -> 8 - 3
    ends = 2 * 3  # scale, shift and slope of the 2 channels inside a bottleneck of 8 or, twice as many, of 16
    to_stride_4 = 4 * 8 * 2 + ends + 9 * 2 * 2 + ends + 2 * 8 + 3 * 8
    to_stride_8 = 4 * 8 * 4 + 2 * ends + 9 * 4 * 4 + 2 * ends + 4 * 16 + 3 * 16
    square = 16 * 4 + 2 * ends + 9 * 4 * 4 + 2 * ends + 4 * 16 + 3 * 16  # dilated or not
    asymmetric = square - 9 * 4 * 4 + 2 * 5 * 4 * 4
    # Of dilations 2 and 4: square and dilated, asymmetric and dilated.
    return initial + to_stride_4 + to_stride_8 + 3 * square + asymmetric + 17 * num_classes


@pytest.fixture(scope="module", autouse=True)
def row():
    """The row, as long as the tests of this file run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "enet", Architecture(ENetConfig, ENet))
        yield


@pytest.fixture(scope="module")
def zoo(toy_records, tmp_path_factory):
    """A folder of recipes, of which one is there: folder/enet.py, named without a backbone."""
    folder = tmp_path_factory.mktemp("recipes")
    (folder / "folder").mkdir()
    (folder / "folder" / "enet.py").write_text(RECIPE.format(records=str(toy_records)))
    return folder


@pytest.fixture(scope="module")
def config(zoo):
    """What the recipe says, found by its model's name and its data set."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(experiment_flags, "RECIPES", zoo)
        [_, found, *_] = experiment_flags.with_default_recipe(["train.py", "--model=enet", "--dataset=folder"])
    assert found == f"--config={zoo / 'folder' / 'enet.py'}"
    return experiment_flags._load_recipe(found.removeprefix("--config="))


@pytest.fixture(scope="module")
def run(config, tmp_path_factory):
    """A run of 4 updates with its report."""
    workdir = tmp_path_factory.mktemp("runs") / "enet"
    train(config, workdir)
    report.evaluate_run(workdir, report.ReportOptions(), flops.executed_gmacs)
    return workdir


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    """(folder of exports, what was compared)."""
    options = ExportOptions(formats=("savedmodel", "tflite"), output_dir=str(tmp_path_factory.mktemp("exports")))
    rows = exporting.export_model(run, options, lambda path: Predictor.load(path, trust=True), lambda _: None)
    return Path(options.output_dir) / "enet", rows


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, [*SIZE, 3]).astype(np.uint8)


def test_the_network_has_its_stride_at_odd_sizes_and_the_parameters_counted_by_hand(config):
    network = architectures.build(config.model, 5)
    assert network(tf.zeros([2, 33, 49, 3]))["semantic_logits"].shape == (2, 5, 7, 5)
    assert sum(np.prod(variable.shape) for variable in network.trainable_variables) == parameters(5)


def test_a_config_goes_through_json_and_comes_back(config, run):
    values = json.loads(json.dumps(config.to_dict()))
    assert values["model"] == {"name": "enet", "widths": [8, 8, 16], "depth": 0, "dilations": [2, 4], "sections": 1}
    assert ExperimentConfig.from_dict(values) == config == read_config(run)[0]
    with pytest.raises(InputError, match="model has no field 'depht'; did you mean 'depth'"):
        ExperimentConfig.from_dict({"model": {"name": "enet", "depht": 2}})


def test_training_logs_losses_and_scores_and_keeps_the_best_weights(run):
    with open(run / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    losses = [float(line["loss"]) for line in rows if line["loss"]]
    assert len(losses) == 4 and np.isfinite(losses).all()
    assert [int(line["step"]) for line in rows if line["val_miou"]] == [2, 4]
    assert (run / "weights" / "best.npz").exists()


@pytest.mark.parametrize("step", [pytest.param(2, marks=pytest.mark.slow), 4])
def test_a_run_goes_on_from_its_last_checkpoint_to_the_same_weights(config, run, tmp_path, capsys, step):
    """The unbroken run has checkpoints of updates 2 and 4, the last."""
    again = shutil.copytree(run, tmp_path / "again")
    for file in (again / "checkpoints").glob("step-4*") if step == 2 else ():
        file.unlink()
    (again / "weights" / "last.npz").unlink()
    train(config, again)
    assert f"going on from step {step} of 4" in capsys.readouterr().err
    expected = np.load(run / "weights" / "last.npz")
    for name, ours in np.load(again / "weights" / "last.npz").items():
        np.testing.assert_array_equal(ours, expected[name], err_msg=name)


def test_the_report_has_one_iteration_with_its_score_and_its_cost(run):
    metrics = json.loads((run / "report" / "metrics.json").read_text())
    [entry] = metrics["iterations"]
    assert 0 <= entry["miou"] <= 1 and entry["milliseconds"] > 0
    assert entry["gmacs"] == flops.executed_gmacs(load_run(run)[2], SIZE, 1)[0]
    assert (run / "report" / "report.md").read_text().startswith("# enet on folder val")
    assert len((run / "report" / "curve.csv").read_text().splitlines()) == 2


def test_an_image_of_any_size_is_segmented(run, image):
    predictor = Predictor.load(run)
    answer = predictor.predict(image[:37, :51])
    assert (answer.class_ids.shape, answer.iterations) == ((37, 51), 1)
    [only] = predictor.predict_iterations(image[:37, :51])
    np.testing.assert_array_equal(only, answer.class_ids)
    with pytest.raises(InputError, match="iters is 2; this model is not recurrent and runs once"):
        predictor.predict(image, iters=2)


def test_exports_agree_with_the_network_and_count_what_it_counts(exports, run, image):
    folder, rows = exports
    assert [(row.path, row.is_good) for row in rows] == [
        ("serving/enet/1", True),
        ("enet_segment_1_fp32.tflite", True),
        ("enet_class_map_1_fp32.tflite", True),
    ]
    listed = export_manifest.read(folder)
    [cost] = listed["cost"]
    for row in rows:
        assert row.agreement > 0.999
        [counted] = listed["artifacts"][row.path]["gflops"]
        assert counted["gflops"] == pytest.approx(cost["gflops"], rel=1e-6)
    expected = Predictor.load(run).predict(image).class_ids
    for row in rows:
        agreement = np.mean(Predictor.load(folder / row.path).predict(image).class_ids == expected)
        assert agreement > 0.999


def test_the_cost_is_counted_in_one_row(config):
    [cost] = profile.profile(config.model, 3, SIZE, range(1, 4), rounds=0)
    assert (cost.iterations, cost.parameters) == (1, parameters(3))
    # At stride 2, 4 and 8 the toy images have 24 x 32, 12 x 16 and 6 x 8 positions, their largest layers here.
    layers = {row["operation"]: row["executed_gmacs"] for row in profile.layers(config.model, 3, SIZE, 1)}
    assert sum(layers.values()) == pytest.approx(cost.executed_gmacs)
    assert 24 * 32 * 9 * 3 * 5 / 1e9 in layers.values()
    assert 6 * 8 * 16 * 3 / 1e9 in layers.values()


def test_the_model_card_does_not_speak_of_a_backbone(run, tmp_path):
    folder = publish(run, run / "report", tmp_path / "zoo" / "enet_toy", report.summary)
    card = (folder / "README.md").read_text()
    assert "Model `enet`, for the 3 classes of folder: bright, dark, green." in card
    assert "after 1 iteration, on folder val" in card
    assert "backbone" not in card and "stride" not in card
    assert Predictor.load(folder).info.class_names == ("bright", "dark", "green")


def test_without_a_recipe_the_model_is_known_but_needs_one(tmp_path, monkeypatch):
    monkeypatch.setattr(experiment_flags, "RECIPES", tmp_path)
    with pytest.raises(InputError, match="--model=enet has no recipe for --dataset=folder; give one: --config=FILE"):
        experiment_flags.with_default_recipe(["train.py", "--model=enet", "--dataset=folder"])


def test_no_other_output_stride_is_loaded(run):
    with pytest.raises(InputError, match="--output_stride=16: .*enet has no backbone with an output stride"):
        load_run(run, output_stride=16)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--backbone=mobilenet_v2"], "--backbone: this model has no backbone"),
        (["--output_stride=16"], "--output_stride: this model has no backbone"),
        (
            ["--init_backbone_from=resnet.npz"],
            "--init_backbone_from=resnet.npz: enet has no backbone; --init_from takes whole models",
        ),
        (["--config.model.backbone.name=mobilenet_v2"], "config: model has no field 'backbone'"),
        (["--iters=3"], "--iters: this model has no iterations"),
        (["--config.model.widths=(2,8,16)"], "widths is (2, 8, 16); at least 4"),
    ],
)
def test_what_a_network_without_a_backbone_does_not_have_is_one_line(command, zoo, words, message):
    script = command.folder / "with_enet.py"
    script.write_text(WITH_ENET)
    done = command(script, zoo, ROOT / "train.py", "--model=enet", "--dataset=folder", "--workdir=run", *words)
    assert (done["code"], done["out"], done["err"].count("\n")) == (2, "", 1)
    assert done["err"].startswith("error: ") and message in done["err"]
    assert not (command.folder / "run").exists()
