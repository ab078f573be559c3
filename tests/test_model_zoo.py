"""Recipes build; trained models are whole."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from tfseg import architectures
from tfseg.config import ExperimentConfig
from tfseg.data import opening, pipeline, tfrecord
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import camvid
from tfseg.evaluation.semantic import evaluate
from tfseg.runs.run_directory import load_run
from tfseg.training.train import check_config

ZOO = Path(__file__).resolve().parent.parent / "model_zoo"
RECIPES = sorted(ZOO.glob("*/*_*.py"))
MODELS = sorted(path.parent for path in ZOO.glob("*/config.json"))


def recipe(path):
    return runpy.run_path(str(path))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_a_recipe_is_a_valid_experiment_on_its_data_set_and_says_how_to_run_it(path):
    config = recipe(path)["get_config"]()
    check_config(config)
    assert ExperimentConfig.from_dict(config.to_dict()) == config
    assert config.data.dataset == path.parent.name
    assert config.data.dataset in opening.DATASETS
    assert "python train.py" in recipe(path)["__doc__"]


def test_there_are_recipes_for_every_data_set():
    assert {path.parent.name for path in RECIPES} == set(opening.DATASETS)


@pytest.mark.parametrize("dataset", ["voc2012", "cityscapes"])
def test_the_papers_recipes_have_the_papers_numbers(dataset):
    config = recipe(ZOO / dataset / "rnn_resnet101.py")["get_config"]()
    model, training = config.model, config.training
    assert (model.iterations, model.widths, model.kernel_size, model.loss_at) == (6, (512, 256), 1, ())
    assert (model.backbone.name, model.backbone.output_stride) == ("resnet101_v1", 16)
    assert (training.total_steps, training.global_batch_size) == (30_000, 16)
    assert (training.optimizer, training.momentum) == ("sgd", 0.95)
    assert (training.learning_rate, training.end_learning_rate, training.power) == (1e-3, 1e-6, 0.9)


@pytest.mark.parametrize(
    ("name", "backbone", "kernel_size", "width", "batch_size"),
    [
        ("mobilenet_v2", (5, 5), 7, 256, 28),
        ("mobilenet_v2_light", (5, 5), 3, 128, 28),
        ("xception_71", None, 7, 256, 16),
    ],
)
def test_deeperlabs_recipes_have_the_papers_numbers(name, backbone, kernel_size, width, batch_size):
    config = recipe(ZOO / "mapillary" / f"deeperlab_{name}.py")["get_config"]()
    model, training = config.model, config.training
    assert model.backbone.name == name.removesuffix("_light")
    if backbone:
        assert (model.backbone.kernel_size, model.backbone.stem_kernel_size) == backbone
    assert (model.kernel_size, model.width, model.radius, model.graph) == (kernel_size, width, 25.0, "star")
    assert (model.small_instance_weight, model.hard_pixel_fraction) == (3.0, 0.15)
    assert config.data.crop_size == (721, 721)
    assert (training.total_steps, training.global_batch_size) == (500_000, batch_size)
    assert (training.optimizer, training.learning_rate, training.power) == ("sgd", 1e-2, 0.9)


def test_the_feed_forward_recipe_on_scenes_has_the_parameters_and_the_training_of_the_recurrent_one():
    ours, theirs = (recipe(ZOO / "scenes" / f"{name}_mobilenet_v2.py")["get_config"]() for name in ("rnn", "fcn"))
    counts = [architectures.build(config.model, 10).count_params() for config in (ours, theirs)]
    assert counts[1] == pytest.approx(counts[0], rel=0.01)
    assert (ours.data, ours.training) == (theirs.data, theirs.training)
    assert ours.model.backbone == theirs.model.backbone
    assert ours.model.feature_strides == theirs.model.feature_strides


def test_the_papers_form_on_camvid_is_trained_like_ours():
    names = ("rnn_mobilenet_v2", "rnn_mobilenet_v2_stride16")
    ours, paper = (recipe(ZOO / "camvid" / f"{name}.py")["get_config"]() for name in names)
    assert (ours.data, ours.training) == (paper.data, paper.training)
    assert (paper.model.widths, paper.model.kernel_size, paper.model.canvas_stride) == ((512, 256), 1, None)
    assert paper.model.feature_strides == ()


@pytest.mark.parametrize("folder", MODELS, ids=lambda folder: folder.name)
def test_a_trained_model_loads_and_its_card_has_its_figures(folder):
    _, info, network = load_run(folder)
    assert network.num_classes == info.num_classes
    assert all(np.isfinite(variable.numpy()).all() for variable in network.variables)
    metrics = json.loads((folder / "metrics.json").read_text())
    card = (folder / "README.md").read_text()
    score = metrics["iterations"][network.default_iterations - 1]["miou"]
    assert f"{100 * score:.1f}" in card


def test_the_camvid_model_knows_real_frames(camvid_dir, tmp_path):
    """Six val frames across the sequences; on all 101 it has the score on its card."""
    found = camvid.list_examples(Path(camvid_dir), ConvertOptions())
    written = tfrecord.write_split(tmp_path, "val", found.splits["val"][::18], found.encode)
    examples = pipeline.eval_examples([str(tmp_path / shard.file) for shard in written.shards], camvid.INFO)
    _, info, network = load_run(ZOO / "camvid_rnn_mobilenet_v2")
    result = evaluate(network, examples, info, 6, num_examples=written.num_examples)
    scores = [entry["miou"] for entry in result["iterations"]]
    assert scores[5] > 0.5
    assert scores[5] > scores[0]
