"""The flags that make an ExperimentConfig: a recipe, its overrides, and short names for the fields people change."""

import dataclasses
import runpy
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from tfseg.architectures import ARCHITECTURES
from tfseg.config import ExperimentConfig, refuse_unknown
from tfseg.errors import InputError

RECIPES = Path(__file__).resolve().parents[2] / "model_zoo"


def _size(text):
    height, width = text.lower().replace("x", ",").split(",")
    return int(height), int(width)


def _range(text):
    if text == "off":
        return ()
    first, last = text.split(":")
    return int(first), int(last)


def _loss_at(text):
    if text == "off":
        return ()
    pairs = [part.partition(":") for part in text.split(",")]
    return tuple((int(iteration), float(weight or 1)) for iteration, _, weight in pairs)


WANTED = {
    int: "a whole number",
    float: "a number",
    _size: "HEIGHTxWIDTH, e.g. 320x416",
    _range: "FIRST:LAST, e.g. 5:8, or off",
    _loss_at: "ITERATION:WEIGHT pairs, e.g. 3:0.5,6:1, or off",
}

# flag -> (field, parser, help)
SHORT_FLAGS = {
    "dataset": (
        "data.dataset",
        str,
        "scenes, crowds, camvid, voc2012, cityscapes, mapillary, mapillary_v2, coco_panoptic, or folder (your own).",
    ),
    "data_dir": ("data.data_dir", str, "Folder of the raw data, or of records that prepare_data.py made."),
    "backbone": ("model.backbone.name", str, "resnet50_v1[_beta], resnet101_v1[_beta], mobilenet_v2 or xception_71."),
    "output_stride": ("model.backbone.output_stride", int, "Stride of the backbone's last map: 8, 16 or 32."),
    "iters": ("model.iterations", int, "Iterations of the recurrent model in training, and by default afterwards."),
    "iters_range": ("model.iterations_range", _range, "a:b draws the last iteration of each step from a to b; off."),
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

_defined = {}
CONFIG = config_flags.DEFINE_config_file("config", None, "Recipe, e.g. model_zoo/voc2012/rnn_resnet101.py.")
MODEL = flags.DEFINE_string(
    "model", None, f"Model whose default recipe for --dataset is taken: {', '.join(ARCHITECTURES)}."
)


def define_short_flags(names=tuple(SHORT_FLAGS)):
    """Defines `SHORT_FLAGS`, or some; each holds text until `experiment_config` parses it."""
    for name in names:
        field, _, text = SHORT_FLAGS[name]
        _defined[name] = flags.DEFINE_string(name, None, f"{text} (config.{field})")


def with_default_recipe(argv):
    """The command line with `--config=` put in where only `--model` (or nothing) names the recipe.

    ml_collections applies `--config.x=` while it parses, so the recipe has to be known before. Recipe and field names
    are checked here, too: its own messages name neither the file nor the nearest field.

    Raises:
      InputError: no such recipe, a recipe that fails, or `--config.x` of a field that it does not have.
    """
    given = _given(argv)
    if "config" not in given:
        given["config"] = str(_default_recipe(given))
        argv = [argv[0], f"--config={given['config']}", *argv[1:]]
    config = _load_recipe(given["config"])
    for name in given:
        if name.removeprefix("no").startswith("config."):
            _check_field(config, name.removeprefix("no").removeprefix("config."))
    return argv


def is_file(model) -> bool:
    """Whether a value of `--model` is the path of an exported model, not an architecture, whose names come first."""
    if not model or model in ARCHITECTURES:
        return False
    return "/" in model or model.endswith(".tflite") or Path(model).exists()


def for_file_or_recipe(refused):
    """For a command whose `--model` may be a path: a function like `with_default_recipe`, which leaves that path alone.

    Args:
      refused: flags that do not apply to a file, besides the recipe and its overrides. The function raises InputError
        for them.
    """

    def prepare(argv):
        given = _given(argv)
        if not is_file(given.get("model")):
            return with_default_recipe(argv)
        for name in given:
            if name.removeprefix("no").partition(".")[0] in ("config", *refused):
                raise InputError(f"--{name} does not apply to --model={given['model']}, a path, not an architecture")
        return argv

    return prepare


def _default_recipe(given):
    model, dataset, backbone = given.get("model", "rnn"), given.get("dataset", "scenes"), given.get("backbone", "")
    recipes = sorted(RECIPES.glob("*/*_*.py"))
    fitting = [path for path in recipes if path.name.startswith(f"{model}_")]
    for folder in (dataset, "folder"):
        here = [path for path in fitting if path.parent.name == folder]
        if here:
            return next((path for path in here if backbone.startswith(path.stem.partition("_")[2])), here[0])
    models = sorted({path.name.split("_")[0] for path in recipes})
    if model not in models:
        raise InputError(f"--model={model} is unknown; one of {', '.join(models)}, or a recipe: --config=FILE")
    raise InputError(f"--model={model} has no recipe for --dataset={dataset}; give one: --config={fitting[0]}")


def _load_recipe(path):
    if not path.endswith(".py") or not Path(path).is_file():
        raise InputError(f"--config={path}: no such recipe, a Python file like model_zoo/voc2012/rnn_resnet101.py")
    try:
        get_config = runpy.run_path(path).get("get_config")
        config = get_config() if callable(get_config) else None
    except Exception as error:  # a recipe is a program: anything can go wrong in it
        reason = str(error) if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        raise InputError(f"--config={path}: {reason}") from error
    if not isinstance(config, ExperimentConfig):
        raise InputError(f"--config={path}: a recipe has a function get_config() that returns an ExperimentConfig")
    return config


def _check_field(config, field):
    part, where = config, "config"
    for name in field.split("."):
        if not dataclasses.is_dataclass(part):
            raise InputError(f"--config.{field}: {where} is a single value")
        refuse_unknown([name], [item.name for item in dataclasses.fields(part)], where)
        part, where = getattr(part, name), name if where == "config" else f"{where}.{name}"
    if dataclasses.is_dataclass(part):
        raise InputError(f"--config.{field} is a group of fields; set one of them, e.g. {_first_field(part, field)}")


def _first_field(part, where):
    while dataclasses.is_dataclass(part):
        name = dataclasses.fields(part)[0].name
        part, where = getattr(part, name), f"{where}.{name}"
    return f"--config.{where}"


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
    overridden = config_flags.get_override_values(flags.FLAGS["config"])
    for name, flag in _defined.items():
        field, parse, _ = SHORT_FLAGS[name]
        text = flag.value
        if text is None:
            continue
        try:
            value = parse(text)
        except ValueError:
            raise InputError(f"--{name}={text}: {WANTED[parse]} is wanted") from None
        if field in overridden and overridden[field] != value:
            raise InputError(f"--{name}={text} and --config.{field}={overridden[field]} disagree; give one of them")
        if name == "backbone" and config.model.backbone is not None and value != config.model.backbone.name:
            _reset_backbone(config.model.backbone, overridden)
        _set(config, field, value, f"--{name}")
    # Through the plain form and back: every value is checked like that of a file.
    values = config.to_dict()
    if MODEL.value not in (None, values["model"]["name"]):
        raise InputError(f"--model={MODEL.value} and --config, a recipe of {values['model']['name']}, disagree")
    return ExperimentConfig.from_dict(values)


def _reset_backbone(backbone, overridden):
    """Another backbone than the recipe's starts from the defaults: stride and padding mean the same for all."""
    for field in dataclasses.fields(backbone):
        if field.name not in ("output_stride", "padding") and f"model.backbone.{field.name}" not in overridden:
            setattr(backbone, field.name, field.default)


def _set(config, field, value, flag):
    *parents, last = field.split(".")
    for parent in parents:
        config = getattr(config, parent)
        if config is None:
            raise InputError(f"{flag}: this model has no {parent}")
    if last not in [item.name for item in dataclasses.fields(config)]:
        raise InputError(f"{flag}: this model has no {last}")
    setattr(config, last, value)
