"""Recipes build, are short, and say how to run them; trained models are whole."""

import ast
import dataclasses
import json
import re
import runpy
import shlex
from pathlib import Path

import numpy as np
import pytest

from tfseg import architectures
from tfseg.config import ExperimentConfig
from tfseg.data import pipeline, tfrecord
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import camvid
from tfseg.data.datasets.table import DATASETS
from tfseg.evaluation.semantic import evaluate
from tfseg.runs.run_directory import load_run
from tfseg.training import schedule
from tfseg.training.train import check_config

ROOT = Path(__file__).resolve().parent.parent
ZOO = ROOT / "model_zoo"
PARTS = sorted(ZOO.glob("[!_]*.py"))
RECIPES = sorted(ZOO.glob("*/*.py"))
MODELS = sorted(path.parent for path in ZOO.glob("*/config.json"))
MAX_CODE_LINES = 25
# Arguments: the repository, one of its commands, and that command's flags. For train.py it shows what they make.
PARSE_ONLY = """
import importlib, json, os, sys
from absl import flags
from ml_collections import config_flags
from tfseg.commands import entry

os.chdir(sys.argv.pop(1))
script = sys.argv.pop(1)
command = importlib.import_module(f"tfseg.commands.{script.removesuffix('.py')}")
command.define_flags()

def show(argv):
    if script == "train.py":
        from tfseg.commands import experiment_flags
        config = experiment_flags.experiment_config().to_dict()
        print(json.dumps({"recipe": config_flags.get_config_filename(flags.FLAGS["config"]), "config": config}))

entry.run(show, command.prepare)
"""
each_recipe = pytest.mark.parametrize("path", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")


def recipe(path):
    return runpy.run_path(str(path))


def groups(config):
    """A config and every config inside it."""
    yield config
    for field in dataclasses.fields(config):
        if dataclasses.is_dataclass(getattr(config, field.name)):
            yield from groups(getattr(config, field.name))


@pytest.fixture(scope="module")
def parsed(command):
    """parsed("train.py", "--steps=5") -> what a command of the repository makes of its flags, without running it."""
    script = command.folder / "parse_only.py"
    script.write_text(PARSE_ONLY)

    def parse(*words):
        done = command(script, ROOT, *words)
        assert done["code"] == 0, done["err"]
        return json.loads(done["out"] or "null")

    return parse


@each_recipe
def test_a_recipe_is_a_valid_experiment_on_its_data_set(path):
    config = recipe(path)["get_config"]()
    check_config(config)
    assert ExperimentConfig.from_dict(config.to_dict()) == config
    assert config.data.dataset == path.parent.name
    assert config.data.dataset in DATASETS


@each_recipe
def test_a_recipe_gives_a_new_config_on_each_call(path):
    get_config = recipe(path)["get_config"]
    first, second = get_config(), get_config()
    assert first == second
    assert not {id(group) for group in groups(first)} & {id(group) for group in groups(second)}


@each_recipe
def test_the_commands_in_a_recipes_docstring_can_be_given_and_train_that_recipe(parsed, path):
    commands = re.findall(r"python (\w+\.py .*)", recipe(path)["__doc__"].replace("\\\n", " "))
    shown = [parsed(*shlex.split(words)) for words in commands]
    assert [ROOT / given["recipe"] for given in shown if given] == [path]


@each_recipe
def test_a_recipe_is_short_and_takes_parts_but_no_other_recipe(path):
    text = path.read_text()
    docstring, *code = ast.parse(text).body
    assert sum(bool(line.strip()) for line in text.splitlines()[docstring.end_lineno :]) <= MAX_CODE_LINES
    modules = {node.module for node in code if isinstance(node, ast.ImportFrom)}
    assert {module for module in modules if module.startswith("model_zoo")} == {"model_zoo"}


@pytest.mark.parametrize("path", PARTS, ids=lambda path: path.stem)
def test_every_part_says_what_it_is_and_is_in_use(path):
    text, recipes = path.read_text(), "".join(file.read_text() for file in RECIPES)
    parts = [node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)]
    assert [part.name for part in parts if not ast.get_docstring(part)] == []
    calls = set(re.findall(rf"\b{path.stem}\.(\w+)\(", recipes)) | set(re.findall(r"(?<!def )\b(\w+)\(", text))
    assert {part.name for part in parts} - calls == set()


def test_a_recipe_of_ones_own_takes_parts_in_any_folder(command, parsed):
    source, mine = ZOO / "camvid" / "rnn_mobilenet_v2.py", command.folder / "mine.py"
    mine.write_text(source.read_text())
    assert parsed("train.py", f"--config={mine}")["config"] == recipe(source)["get_config"]().to_dict()
    from_its_folder = command("train.py", "--config=mine.py", "--batch_size=0")
    assert from_its_folder["err"] == "error: config: training.global_batch_size is 0; it must be above 0\n"


def test_there_are_recipes_for_every_data_set():
    assert {path.parent.name for path in RECIPES} == set(DATASETS)


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
    assert (model.kernel_size, model.width) == (kernel_size, width)
    assert (model.targets.radius, model.targets.graph) == (25.0, "star")
    assert (model.targets.small_instance_weight, model.losses.hard_pixel_fraction) == (3.0, 0.15)
    assert config.data.crop_size == (721, 721)
    assert (training.total_steps, training.global_batch_size) == (500_000, batch_size)
    assert (training.optimizer, training.learning_rate, training.power) == ("sgd", 1e-2, 0.9)


@pytest.mark.parametrize(
    ("name", "images", "epochs", "learning_rate", "batch_size", "side", "split"),
    [
        ("coco_voc/shelfnet_resnet50", 92_500, 30, 1e-2, 12, 512, "train"),
        ("voc2012/shelfnet_resnet50", 10_582, 50, 1e-2, 12, 512, "train_aug"),
        ("voc2012/shelfnet_resnet50_fine", 1464, 50, 1e-3, 12, 512, "train"),
        ("pascal_context/shelfnet_resnet50", 4998, 80, 1e-3, 12, 512, "train"),
        ("pascal_context_60/shelfnet_resnet50", 4998, 80, 1e-3, 12, 512, "train"),
        ("cityscapes/shelfnet_resnet50_coarse", 22_973, 30, 1e-2, 6, 768, "train_coarse"),
        ("cityscapes/shelfnet_resnet50", 2975, 500, 5e-3, 6, 768, "train"),
    ],
)
def test_the_stages_of_shelfnets_training_have_its_papers_numbers(
    name, images, epochs, learning_rate, batch_size, side, split
):
    config = recipe(ZOO / f"{name}.py")["get_config"]()
    data, training = config.data, config.training
    assert (data.train_split, data.crop_size, training.global_batch_size) == (split, (side, side), batch_size)
    assert (data.flip, data.min_scale, data.max_scale, data.rotation) == (True, 0.5, 2.0, 10.0)
    known = DATASETS[data.dataset].info.split_sizes.get(split, images)
    assert known == images and training.total_steps == images * epochs // batch_size
    assert (training.optimizer, training.momentum, training.weight_decay) == ("sgd", 0.9, 1e-4)
    rate = schedule.build_optimizer(training, "off").inner_optimizer._learning_rate
    middle, last = training.total_steps // 2, training.total_steps
    # Half-way, the rate has fallen to 0.5^0.9 = 0.535887 of the first.
    assert float(rate(0)) == pytest.approx(learning_rate)
    assert float(rate(middle)) == pytest.approx(0.535887 * learning_rate, rel=1e-3)
    assert float(rate(last)) == 0.0
    assert 0 < float(rate(last - 1)) < 1e-3 * learning_rate


@pytest.mark.parametrize(
    ("name", "num_images", "epochs", "batch_size", "crop_size"),
    [
        ("camvid/arch2_mobilenet_v2_paper", 367, 2000, 32, (600, 600)),
        ("camvid/arch2_video_mobilenet_v2_paper", 367, 10, 16, (400, 480)),
        ("camvid/arch2_video_mobilenet_v2_joint_paper", 367, 100, 16, (400, 480)),
        ("cityscapes/arch2_mobilenet_v2", 2975, 1000, 28, (800, 800)),
        ("cityscapes/arch2_video_mobilenet_v2", 2975, 200, 16, (769, 769)),
        ("cityscapes/arch2_video_mobilenet_v2_joint", 2975, 200, 16, (769, 769)),
    ],
)
def test_the_stages_of_training_dynamic_cells_have_their_papers_numbers(
    name, num_images, epochs, batch_size, crop_size
):
    config = recipe(ZOO / f"{name}.py")["get_config"]()
    training, of_camvid = config.training, config.data.dataset == "camvid"
    assert (training.total_steps, training.global_batch_size) == (num_images * epochs // batch_size, batch_size)
    assert (config.data.crop_size, config.data.fill, config.data.color_jitter) == (crop_size, "mean", 0.0)
    if "video" not in name:  # the encoder's rate is 5e-2, and falls like the decoder's; three further losses weigh 0.3
        assert (training.optimizer, training.learning_rate, training.power) == ("sgd", 1e-2, 0.9)
        assert (training.backbone_multiplier, config.model.auxiliary_weight) == (5.0, 0.3)
        assert (config.data.min_scale, config.data.max_scale) == (0.5, 2.0)
        return
    rate = 4e-3 if "joint" in name else 8e-3
    assert (training.optimizer, training.learning_rate, training.end_learning_rate) == ("adamw", rate, rate)
    assert (config.model.frames, config.data.frame_gap) == ((3, 31) if of_camvid else (2, 1))
    assert config.model.trains_static == ("joint" in name)
    if config.model.trains_static:  # arch2 by SGD at 5e-4
        assert (training.backbone_optimizer, training.momentum) == ("sgd", 0.9)
        assert training.learning_rate * training.backbone_multiplier == pytest.approx(5e-4)


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
