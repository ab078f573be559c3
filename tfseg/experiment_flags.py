"""The flags that make an ExperimentConfig: a recipe, its overrides, and short names for the fields people change."""

import sys
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from tfseg.config import ExperimentConfig
from tfseg.errors import InputError

RECIPES = Path(__file__).resolve().parent.parent / "model_zoo"


def _pair(text, kind, separators):
    for separator in separators:
        if separator in text:
            return tuple(kind(part) for part in text.split(separator))
    raise ValueError(text)


def _size(text):
    return _pair(text.lower(), int, "x,")


def _range(text):
    return _pair(text, int, ":")


def _loss_at(text):
    pairs = [part.partition(":") for part in text.split(",")]
    return tuple((int(iteration), float(weight or 1)) for iteration, _, weight in pairs)


# flag -> (field, parser, help)
SHORT_FLAGS = {
    "dataset": ("data.dataset", str, "scenes, camvid, voc2012, cityscapes or folder (your own images and masks)."),
    "data_dir": ("data.data_dir", str, "Folder of the raw data, or of records that prepare_data.py made."),
    "backbone": ("model.backbone.name", str, "resnet50_v1[_beta], resnet101_v1[_beta] or mobilenet_v2."),
    "output_stride": ("model.backbone.output_stride", int, "Stride of the backbone's last map: 8, 16 or 32."),
    "iters": ("model.iterations", int, "Iterations of the recurrent model in training, and by default afterwards."),
    "iters_range": ("model.iterations_range", _range, "a:b draws the last iteration of each step from a to b."),
    "loss_at": ("model.loss_at", _loss_at, "Iterations with a loss and their weights, e.g. 3:0.5,6:1."),
    "crop_size": ("data.crop_size", _size, "Training crop, HEIGHTxWIDTH."),
    "batch_size": ("training.global_batch_size", int, "Images an update, over all devices."),
    "steps": ("training.total_steps", int, "Updates of the whole run."),
    "optimizer": ("training.optimizer", str, "sgd or adamw."),
    "learning_rate": ("training.learning_rate", float, "Rate at the start of the polynomial schedule."),
    "weight_decay": ("training.weight_decay", float, "Decoupled decay of the kernels."),
    "precision": ("training.precision", str, "auto, bfloat16, float16 or off."),
    "class_weights": ("training.class_weights", str, "none, median, root_median, or a file with one weight a line."),
    "init_from": ("training.init_from", str, "Run directory, model zoo folder or weights file to start from."),
    "init_backbone_from": ("training.init_backbone_from", str, "Backbone weights: .npz, .h5, or a TF-Slim checkpoint."),
    "validate_every": ("training.validate_every", int, "Updates between validations; 0 is never."),
    "checkpoint_every": ("training.checkpoint_every", int, "Updates between checkpoints."),
    "max_bad_steps": ("training.max_bad_steps", int, "Non-finite updates in a row that are skipped."),
    "seed": ("training.seed", int, "Of weights, order and augmentation."),
}

CONFIG = config_flags.DEFINE_config_file("config", None, "Recipe, e.g. model_zoo/voc2012/rnn_resnet101.py.")
MODEL = flags.DEFINE_string("model", None, "Model whose default recipe for --dataset is taken: rnn or fcn.")


def define_short_flags():
    """Defines `SHORT_FLAGS`; each holds text until `experiment_config` parses it."""
    for name, (field, _, text) in SHORT_FLAGS.items():
        flags.DEFINE_string(name, None, f"{text} (config.{field})")


def with_default_recipe(argv):
    """The command line with `--config=` put in where only `--model` (or nothing) names the recipe.

    ml_collections applies `--config.x=` while it parses, so the recipe has to be known before.
    """
    given = _given(argv)
    if "config" in given:
        return argv
    model, dataset = given.get("model", "rnn"), given.get("dataset", "scenes")
    recipes = sorted((RECIPES / dataset).glob(f"{model}_*.py")) or sorted((RECIPES / "folder").glob(f"{model}_*.py"))
    backbone = given.get("backbone", "").split("_")[0]
    recipes = [path for path in recipes if backbone in path.name] or recipes
    if not recipes:
        known = sorted({path.name.split("_")[0] for path in RECIPES.glob("*/*_*.py")})
        print(f"error: --model={model} has no recipe; one of {', '.join(known)}, or --config=FILE", file=sys.stderr)
        sys.exit(2)
    return [argv[0], f"--config={recipes[0]}", *argv[1:]]


def _given(argv):
    """Flags of a command line before parsing, name -> value."""
    given = {}
    for index, word in enumerate(argv[1:], 1):
        if not word.startswith("-"):
            continue
        name, _, value = word.lstrip("-").partition("=")
        if not value and index + 1 < len(argv) and not argv[index + 1].startswith("-"):
            value = argv[index + 1]
        given[name] = value
    return given


def experiment_config() -> ExperimentConfig:
    """The recipe with its overrides. Raises InputError for a bad value or two flags that disagree."""
    config = CONFIG.value
    if not isinstance(config, ExperimentConfig):
        raise InputError("--config: the recipe's get_config() must return an ExperimentConfig")
    overridden = config_flags.get_override_values(flags.FLAGS["config"])
    for name, (field, parse, _) in SHORT_FLAGS.items():
        text = flags.FLAGS[name].value if name in flags.FLAGS else None
        if text is None:
            continue
        try:
            value = parse(text)
        except ValueError:
            raise InputError(f"--{name}={text}: {SHORT_FLAGS[name][2]}") from None
        if field in overridden and overridden[field] != value:
            raise InputError(f"--{name}={text} and --config.{field}={overridden[field]} disagree; give one of them")
        _set(config, field, value, f"--{name}")
    # Through the plain form and back: every value is checked like that of a file.
    return ExperimentConfig.from_dict(config.to_dict())


def _set(config, field, value, flag):
    *parents, last = field.split(".")
    for parent in parents:
        config = getattr(config, parent)
    if not hasattr(config, last):
        raise InputError(f"{flag}: this model has no {last}")
    setattr(config, last, value)
