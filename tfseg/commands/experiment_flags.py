"""The flags that make an ExperimentConfig: a recipe, its overrides, and short names for the fields people change."""

import dataclasses
import difflib
import runpy
from pathlib import Path

from absl import flags
from ml_collections import config_flags

from tfseg.architectures import ARCHITECTURES
from tfseg.backbones import BACKBONES
from tfseg.commands import model_flag
from tfseg.commands.help_texts import DATASET_HELP, one_of
from tfseg.config import LOSSES, OPTIMIZERS, PRECISIONS, ExperimentConfig
from tfseg.data.datasets.table import DATASETS, check_name
from tfseg.errors import InputError, listed, shortened
from tfseg.runs import zoo
from tfseg.system.small_files import FieldError, refuse_unknown

RECIPES = zoo.ZOO


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

# {flag: (field of the config, parser, help)}
SHORT_FLAGS = {
    "dataset": ("data.dataset", str, DATASET_HELP),
    "data_dir": ("data.data_dir", str, "Folder of the raw data, or of records that prepare_data.py made."),
    "fold": ("data.fold", str, "K/N, e.g. 2/5: val is part K of N of all labelled images, train the others."),
    "backbone": ("model.backbone.name", str, f"{one_of(BACKBONES)}."),
    "output_stride": ("model.backbone.output_stride", int, "Stride of the backbone's last map: 8, 16 or 32."),
    "iters": ("model.iterations", int, "Iterations of the recurrent model in training, and by default afterwards."),
    "iters_range": ("model.iterations_range", _range, "a:b draws the last iteration of each step from a to b; off."),
    "loss_at": ("model.loss_at", _loss_at, "Iterations with a loss and their weights, e.g. 3:0.5,6:1."),
    "crop_size": ("data.crop_size", _size, "Training crop, HEIGHTxWIDTH; 0x0 chooses by the size of the images."),
    "batch_size": ("training.global_batch_size", int, "Images an update, over all devices."),
    "steps": ("training.total_steps", int, "Updates of the whole run; 0 chooses by the number of images."),
    "optimizer": ("training.optimizer", str, f"{one_of(OPTIMIZERS)}."),
    "learning_rate": ("training.learning_rate", float, "Rate at the start of the polynomial schedule."),
    "weight_decay": ("training.weight_decay", float, "Decoupled decay of the kernels."),
    "precision": ("training.precision", str, f"{one_of(PRECISIONS)}."),
    "loss": ("training.loss", str, f"{one_of(LOSSES)}: of all labelled pixels, or of the hard ones."),
    "class_weights": ("training.class_weights", str, "none, median, root_median, or a file with one weight a line."),
    "init_from": ("training.init_from", str, "Run directory, zoo:NAME or weights file to start from."),
    "init_backbone_from": (
        "training.init_backbone_from",
        str,
        "Backbone weights: auto, imagenet, .npz, .safetensors, .h5, a checkpoint of TF-Slim or Model Garden, a run, "
        "zoo:NAME; or none.",
    ),
    "validate_every": (
        "training.validate_every",
        int,
        "Updates between validations; 0: never, -1: a tenth of the run.",
    ),
    "patience": ("training.patience", int, "Validations without a better one that end the run; 0 is off."),
    "checkpoint_every": ("training.checkpoint_every", int, "Updates between checkpoints."),
    "max_bad_steps": ("training.max_bad_steps", int, "Non-finite updates in a row that are skipped."),
    "seed": ("training.seed", int, "Of weights, order and augmentation."),
}


def models_with_recipe(dataset) -> list[str]:
    """Names of the models that have a recipe for a data set: in its own folder, or in that for people's own images."""
    stems = [path.stem for folder in (dataset, "folder") for path in (RECIPES / folder).glob("*.py")]
    return [model for model in sorted(ARCHITECTURES) if any(f"{stem}_".startswith(f"{model}_") for stem in stems)]


def _few_recipes():
    """Says which models have recipes for few data sets."""
    few = [model for model in sorted(ARCHITECTURES) if model not in models_with_recipe("folder")]
    with_some = {model: [name for name in DATASETS if model in models_with_recipe(name)] for model in few}
    return "; ".join(f"{model} for {one_of(names)}" for model, names in with_some.items() if names)


_defined = {}
CONFIG = config_flags.DEFINE_config_file("config", None, "Recipe, e.g. model_zoo/voc2012/rnn_resnet101.py.")
MODEL = flags.DEFINE_string(
    "model",
    None,
    f"Model whose default recipe for --dataset is taken: {one_of(ARCHITECTURES)}. Some have recipes for few data sets: "
    f"{_few_recipes()}.",
)


def define_short_flags(names=tuple(SHORT_FLAGS)):
    """Defines all `SHORT_FLAGS`, or those in `names`. Each flag holds text until `experiment_config` parses it."""
    for name in names:
        field, _, text = SHORT_FLAGS[name]
        _defined[name] = flags.DEFINE_string(name, None, f"{text} (config.{field})")


def with_default_recipe(argv):
    """Adds `--config=` to the command line if it is missing; `--model`, if given, then selects the recipe.

    ml_collections applies `--config.x=` while it parses, so the recipe must be known before parsing. Recipe and field
    names are checked here, too, because the messages of ml_collections name neither the file nor the nearest field.

    Raises:
      InputError: there is no such recipe, the recipe fails, or `--config.x` names a field that it does not have.
    """
    given = model_flag.given(argv)
    if "config" not in given:
        given["config"] = str(_default_recipe(given))
        argv = [argv[0], f"--config={given['config']}", *argv[1:]]
    elif given["config"].startswith(zoo.PREFIX):
        name, given["config"] = given["config"], str(_zoo_recipe(given["config"]))
        argv = [f"{word.removesuffix(name)}{given['config']}" if word.endswith(name) else word for word in argv]
    config = _load_recipe(given["config"])
    for name in given:
        if name.removeprefix("no").startswith("config."):
            _check_field(config, name.removeprefix("no").removeprefix("config."))
    return argv


def is_path(model) -> bool:
    """Whether a value of `--model` is the path of a trained model; the name of an architecture never is."""
    if not model or model in ARCHITECTURES:
        return False
    return "/" in model or model.endswith(".tflite") or Path(model).exists()


def is_run(model) -> bool:
    """Whether a value of `--model` is the path of a run directory or model zoo folder, not of an exported model."""
    return is_path(model) and (Path(model) / "config.json").exists() and not (Path(model) / "saved_model.pb").exists()


def for_path_or_recipe(not_for_runs, not_for_exports):
    """Returns the `prepare` of a command whose `--model` may be a path.

    The function does the same as `with_default_recipe`, but if `--model` is a path it adds no recipe.

    Args:
      not_for_runs, not_for_exports: flags that do not apply to a run directory or to an exported model, besides the
        recipe and its overrides. The function raises InputError for them.
    """

    def prepare(argv):
        argv = model_flag.with_model(argv)
        given = model_flag.given(argv)
        model = given.get("model")
        if not is_path(model):
            return with_default_recipe(argv)
        meaning, refused = ("a run", not_for_runs) if is_run(model) else ("an exported model", not_for_exports)
        for name in given:
            if Path(model).exists() and name.removeprefix("no").partition(".")[0] in ("config", *refused):
                raise InputError(f"--{name} does not apply to --model={model}, {meaning}")
        return argv

    return prepare


def _default_recipe(given):
    model, dataset, backbone = given.get("model", "rnn"), given.get("dataset", "scenes"), given.get("backbone", "")
    if model not in ARCHITECTURES:
        known = listed(sorted(ARCHITECTURES))
        raise InputError(f"--model={model} is unknown; one of {known}, or a recipe: --config=FILE")
    # Recipes are called <model>_<backbone>.py, or <model>.py if the model has no backbone.
    fitting = [path for path in sorted(RECIPES.glob("*/*.py")) if f"{path.stem}_".startswith(f"{model}_")]
    for folder in (dataset, "folder"):
        here = [path for path in fitting if path.parent.name == folder]
        if here:
            return next((path for path in here if backbone.startswith(path.stem.removeprefix(f"{model}_"))), here[0])
    check_name(dataset)
    others = models_with_recipe(dataset)
    advice = f", or take a model that has one: {', '.join(others)}" if others else ""
    raise InputError(f"--model={model} has no recipe for --dataset={dataset}; give one: --config=FILE{advice}")


def _zoo_recipe(name):
    wanted = name.removeprefix(zoo.PREFIX)
    recipes = {f"{path.parent.name}/{path.stem}": path for path in sorted(RECIPES.glob("*/*.py"))}
    if wanted not in recipes:
        near = difflib.get_close_matches(wanted, recipes, 3) or list(recipes)
        raise InputError(f"--config={shortened(name, 80)}: the zoo has no such recipe; e.g. {zoo.PREFIX}{near[0]}")
    return recipes[wanted]


def _load_recipe(path):
    if not path.endswith(".py") or not Path(path).is_file():
        raise InputError(
            f"--config={path}: no such recipe, a Python file like model_zoo/voc2012/rnn_resnet101.py, or "
            f"{zoo.PREFIX}voc2012/rnn_resnet101"
        )
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
        try:
            refuse_unknown([name], [item.name for item in dataclasses.fields(part)], where)
        except FieldError as error:
            raise InputError(f"config: {error}") from None
        part, where = getattr(part, name), name if where == "config" else f"{where}.{name}"
    if dataclasses.is_dataclass(part):
        raise InputError(f"--config.{field} is a group of fields; set one of them, e.g. {_first_field(part, field)}")


def _first_field(part, where):
    while dataclasses.is_dataclass(part):
        name = dataclasses.fields(part)[0].name
        part, where = getattr(part, name), f"{where}.{name}"
    return f"--config.{where}"


def experiment_config() -> ExperimentConfig:
    """The recipe's config with its overrides. Raises InputError for a bad value, or if two flags disagree."""
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
    # Converting to plain values and back checks every value as if it came from a file.
    values = config.to_dict()
    if MODEL.value not in (None, values["model"]["name"]):
        raise InputError(f"--model={MODEL.value} and --config, a recipe of {values['model']['name']}, disagree")
    return ExperimentConfig.from_dict(values)


def _reset_backbone(backbone, overridden):
    """Resets the fields of another backbone than the recipe's to their defaults.

    Stride and padding are kept, because they mean the same for all backbones.
    """
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
