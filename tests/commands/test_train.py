"""train.py as a user meets it: what the flags mean, and one line and exit code 2 for what they cannot mean."""

import json
from pathlib import Path

import pytest

from tfseg.architectures import ARCHITECTURES
from tfseg.commands.experiment_flags import _default_recipe, models_with_recipe
from tfseg.data.datasets.table import DATASETS
from tfseg.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SCENES = ROOT / "model_zoo" / "scenes" / "rnn_mobilenet_v2.py"
SHOW_CONFIG = """
import json
from tfseg.commands import entry, experiment_flags

def main(argv):
    print(json.dumps(experiment_flags.experiment_config().to_dict()))

experiment_flags.define_short_flags()
entry.run(main, experiment_flags.with_default_recipe)
"""


@pytest.fixture(scope="module")
def config_of(command):
    """config_of("--steps=5") -> the whole config as a dict, or the error line."""
    script = command.folder / "show_config.py"
    script.write_text(SHOW_CONFIG)

    def show(*words):
        done = command(script, *words)
        return json.loads(done["out"]) if done["code"] == 0 else done["err"]

    return show


def written(command, name, text):
    (command.folder / name).write_text(text)
    return name


def assert_one_line(done, message):
    assert done["code"] == 2, done["err"]
    assert done["err"].startswith("error: ") and done["err"].count("\n") == 1, done["err"]
    assert message in done["err"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help_shows_a_first_command_and_every_short_flag_with_the_field_it_sets(command, flag):
    done = command("train.py", flag)
    assert (done["code"], done["err"]) == (0, "")
    assert "python train.py --model=rnn --iters=6" in done["out"]
    for name in ("workdir", "config", "model", "dataset", "data_dir", "iters", "loss_at", "precision", "strategy"):
        assert f"\n  --{name}: " in done["out"]
    assert "\n  --[no]debug: " in done["out"]
    assert "(config.training.total_steps)" in done["out"]


def test_the_model_picks_the_recipe_of_the_data_set(config_of):
    assert config_of("--model=rnn") == config_of() == config_of(f"--config={SCENES}")
    assert config_of("--model=fcn")["model"]["name"] == "fcn"
    paper = config_of("--model=rnn", "--dataset=voc2012")
    assert (paper["model"]["widths"], paper["training"]["total_steps"]) == ([512, 256], 30_000)
    assert config_of("--model", "rnn", "--dataset", "folder")["data"]["dataset"] == "folder"


def test_short_flags_override_the_recipe_and_fields_override_last(config_of):
    plain = config_of()
    config = config_of(
        "--steps=7", "--crop_size=64x80", "--learning_rate=0.5", "--seed=3", "--iters_range=3:10", "--data_dir=here"
    )
    assert config["training"] == plain["training"] | {"total_steps": 7, "learning_rate": 0.5, "seed": 3}
    assert config["data"] == plain["data"] | {"crop_size": [64, 80], "data_dir": "here"}
    assert config["model"] == plain["model"] | {"iterations_range": [3, 10]}
    assert config_of("--steps=7", "--config.training.seed=4")["training"]["seed"] == 4
    assert config_of("--loss_at=3:0.5,6", "--iters_range=off")["model"]["loss_at"] == [[3, 0.5], [6, 1.0]]


def test_any_field_can_be_set_whatever_its_type(config_of):
    config = config_of(
        "--config.training.init_from=runs/before",
        "--config.data.data_dir=data",
        "--config.data.crop_size=(64,64)",
        "--noconfig.data.flip",
        "--config.model.canvas_stride=4",
        "--config.model.widths=(8,6)",
        "--config.model.feature_strides=(4,)",
        "--config.model.iterations_range=()",
        "--config.model.loss_at=((3,0.5),(6,1))",
        "--config.model.backbone.width_multiplier=0.5",
    )
    assert config["training"]["init_from"] == "runs/before"
    assert (config["data"]["data_dir"], config["data"]["crop_size"], config["data"]["flip"]) == (
        "data",
        [64, 64],
        False,
    )
    model = config["model"]
    assert (model["canvas_stride"], model["widths"], model["feature_strides"]) == (4, [8, 6], [4])
    assert (model["loss_at"], model["backbone"]["width_multiplier"]) == ([[3, 0.5], [6, 1.0]], 0.5)


@pytest.mark.parametrize(
    "short,field,other",
    [
        ("--steps=5", "--config.training.total_steps=5", "--config.training.total_steps=6"),
        ("--learning_rate=0.1", "--config.training.learning_rate=1e-1", "--config.training.learning_rate=1e-2"),
        ("--crop_size=64x64", "--config.data.crop_size=(64,64)", "--config.data.crop_size=(64,65)"),
        ("--iters_range=3:4", "--config.model.iterations_range=(3,4)", "--config.model.iterations_range=(3,5)"),
        ("--loss_at=off", "--config.model.loss_at=()", "--config.model.loss_at=((2,1),)"),
    ],
)
def test_a_short_flag_and_a_field_may_agree_but_not_differ(config_of, short, field, other):
    assert config_of(short, field) == config_of(short)
    assert config_of(short, other).startswith(f"error: {short} and --config.")
    assert config_of(short, other).endswith(" disagree; give one of them\n")


def test_another_backbone_starts_from_its_own_defaults_at_the_recipes_stride(config_of):
    backbone = config_of("--backbone=resnet50_v1", "--config.model.backbone.padding=symmetric")["model"]["backbone"]
    assert (backbone["name"], backbone["output_stride"], backbone["width_multiplier"]) == ("resnet50_v1", 16, 1.0)
    assert backbone["padding"] == "symmetric"


def test_what_a_recipe_switched_on_can_be_switched_off(config_of):
    config = config_of("--dataset=folder", "--iters_range=off", "--loss_at=6:1")
    assert (config["model"]["iterations_range"], config["model"]["loss_at"]) == ([], [[6, 1.0]])


@pytest.mark.parametrize(
    "words,message",
    [
        (["--learning_rte=1"], "Did you mean: learning_rate"),
        (["--config.training.learning_rte=1"], "training has no field 'learning_rte'; did you mean 'learning_rate'?"),
        (["--config.train.total_steps=1"], "no field 'train'; did you mean 'training'?"),
        (["--config.model.backbone.output_strid=8"], "did you mean 'output_stride'?"),
        (["--config.model.widths.first=8"], "model.widths is a single value"),
        (["--config.training=3"], "is a group of fields; set one of them, e.g. --config.training.total_steps"),
        (["--config.training.total_steps=many"], "--config.training.total_steps=many"),
        (["--config.training.total_steps=1.5"], "--config.training.total_steps=1.5"),
        (["--config.data.flip=maybe"], "--config.data.flip=maybe"),
        (["--config.data.crop_size=banana"], "data.crop_size takes 2 values"),
        (["--config.data.crop_size=(1,2,3)"], "data.crop_size takes 2 values, not [1, 2, 3]"),
        (["--steps=abc"], "--steps=abc: a whole number is wanted"),
        (["--steps"], "Missing value for flag --steps"),
        (["--steps=-1"], "training.total_steps is -1; it must be 0 or more"),
        (["--learning_rate=-1"], "training.learning_rate is -1.0; it must be above 0"),
        (["--learning_rate=nan"], "learning_rate is nan; it must be a finite number"),
        (["--crop_size=banana"], "--crop_size=banana: HEIGHTxWIDTH"),
        (["--crop_size=1x2x3"], "--crop_size=1x2x3: HEIGHTxWIDTH"),
        (["--iters=0"], "iterations is 0; at least 1"),
        (["--iters_range=9:2"], "first <= last"),
        (["--loss_at=9:1"], "loss_at names iteration 9; training runs 1..6"),
        (["--model=unknown"], "--model=unknown is unknown; one of arch2, arch2_video, deeperlab,"),
        (
            ["--model=fcn", "--dataset=cityscapes"],
            "--model=fcn has no recipe for --dataset=cityscapes; give one: --config=FILE, or take a model that has one",
        ),
        (["--model=fcn", "--dataset=folder"], "or take a model that has one: arch2, arch2_video, deeperlab, deeplabv3"),
        (["--model=fcn", "--dataset=coco_panoptic"], "or take a model that has one: arch2, arch2_video, deeperlab"),
        (["--model=fcn", "--dataset=nowhere"], "--dataset=nowhere: unknown; there are scenes"),
        (["--model=fcn", "--iters=3"], "--iters: this model has no iterations"),
        (["--model=fcn", f"--config={SCENES}"], "--model=fcn and --config, a recipe of rnn, disagree"),
        (["--backbone=unknown"], "backbone.name 'unknown' is unknown; one of resnet18, resnet34"),
        (["--output_stride=7"], "output_stride must be 8, 16 or 32, not 7"),
        (["--dataset=unknown"], "--dataset=unknown: unknown; there are scenes"),
        (["--dataset=../scenes", "--workdir=run"], "--dataset=../scenes: unknown"),
        (["--optimizer=adam"], "--optimizer=adam is unknown; one of sgd, adamw"),
        (["--precision=half"], "--precision=half is unknown; one of auto, bfloat16, float16, off"),
        (
            ["--model=deeperlab", "--config.model.targets.geometry=full", "--config.data.rotation=10"],
            "data.rotation is 10.0; keypoints of geometry=full cannot be turned",
        ),
        *(
            (["--model=deeperlab", f"--config.model.{field}={value}"], message)
            for field, value, message in (
                ("targets.stride", "0", "target stride is 0; it must be at least 1"),
                ("losses.hard_pixel_fraction", "1.5", "hard_pixel_fraction is 1.5; it must be from 0 (off) to 1"),
                ("targets.radius", "inf", "radius is inf"),
                (
                    "targets.small_instance_weight",
                    "-1.0",
                    "small_instance_weight is -1.0; it must be finite and at least 0",
                ),
            )
        ),
        (["--model=fcn", "--backbone=xception_71", "--dataset=voc2012"], "has no recipe for --dataset=voc2012"),
        (["--dataset=voc2012", "--backbone=xception_71", "--init_backbone_from=imagenet"], "Keras has no weights for"),
        (["--strategy=many"], "should be one of <auto|one_device|mirrored|multi_worker|tpu>"),
        (["--dataset=camvid"], "needs --data_dir, the folder of its data; download page: http"),
        (["--dataset=folder", "--data_dir=nowhere", "--init_backbone_from=none"], "nowhere: no such folder"),
        (["--init_from=nowhere"], "--init_from=nowhere: no such run directory"),
        (["--workdir=../run"], "--workdir=../run: '..' in a path"),
        (["--workdir=/dev/null/run"], "/dev/null/run: cannot be written (Not a directory)"),
        (["--config=missing.py"], "--config=missing.py: no such recipe"),
        (["run"], "unexpected arguments: run"),
    ],
)
def test_a_mistake_is_one_line_and_exit_2_and_leaves_nothing_behind(command, words, message):
    assert_one_line(command("train.py", *words), message)
    assert not list(command.folder.glob("run*/*")) and not list(command.folder.glob("cache/*/manifest.json"))


@pytest.mark.parametrize(
    "text,message",
    [
        ("def get_config():\n    raise KeyError('rate')\n", "KeyError: 'rate'"),
        ("def get_config(:\n", "SyntaxError: invalid syntax (recipe.py, line 1)"),
        ("import no_such_module\n", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("def get_config():\n    return {'steps': 1}\n", "a function get_config() that returns an ExperimentConfig"),
        ("STEPS = 1\n", "a function get_config() that returns an ExperimentConfig"),
    ],
)
def test_a_recipe_that_is_none_is_named_with_what_went_wrong(command, text, message):
    name = written(command, "recipe.py", text)
    done = command("train.py", f"--config={name}")
    assert_one_line(done, message)
    assert "--config=recipe.py: " in done["err"]


def test_a_yaml_file_is_no_recipe_and_its_tags_are_not_carried_out(command):
    name = written(command, "recipe.yaml", 'model: !!python/object/apply:os.system ["touch executed"]\n')
    assert_one_line(command("train.py", f"--config={name}"), "--config=recipe.yaml: no such recipe, a Python file")
    assert not (command.folder / "executed").exists()
    sources = [*(ROOT / "tfseg").rglob("*.py"), *ROOT.glob("*.py")]
    # Lists of classes of YOLO and settings of Model Garden are YAML; they are read without tags.
    reading = {path.name: path.read_text() for path in sources if "import yaml" in path.read_text()}
    assert sorted(reading) == ["garden_params.py", "yolo.py"]
    assert all("yaml.safe_load(" in text or "yaml.SafeLoader" in text for text in reading.values())


@pytest.mark.parametrize("words", [["--config=missing.py"], ["--steps=abc"], ["--steps=-1"], ["--learning_rte=1"]])
def test_debug_shows_where_an_error_comes_from(command, words):
    done = command("train.py", "--debug", *words)
    assert done["code"] == 2
    assert done["err"].startswith("Traceback") and done["err"].splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    "failure,code,line",
    [
        ("KeyboardInterrupt()", 130, "interrupted"),
        ("OSError(28, 'No space left on device')", 1, "error: No space left on device: free some space"),
        (
            "OSError(30, 'x', 'a/b')",
            1,
            "error: a/b: Read-only file system: this disk is read-only, choose a folder on another",
        ),
        ("OSError('x')", 1, "error: x"),
        (
            "RuntimeError('a; No space left on device')",
            1,
            "error: RuntimeError: a; No space left on device (No space left on device: free some space)",
        ),
        (
            "InputError('a/b: ' + 'x' * 999 + '; give another')",
            2,
            f"error: a/b: {'x' * 136} ... {'x' * 133}; give another",
        ),
        ("RunError('the losses\\nare gone')", 1, "error: the losses are gone"),
        ("InputError('no such file')", 2, "error: no such file"),
        ("RuntimeError('x')", 1, "error: RuntimeError: x (--debug shows where)"),
    ],
)
def test_every_end_has_its_exit_code_and_one_line(command, failure, code, line):
    text = "from tfseg.commands import entry\nfrom tfseg.errors import *\n\ndef main(argv):\n"
    name = written(command, "fails.py", f"{text}    raise {failure}\n\nentry.run(main)\n")
    done = command(command.folder / name)
    assert (done["code"], done["out"], done["err"]) == (code, "", f"{line}\n")


def test_the_help_of_model_says_which_models_have_recipes_for_few_data_sets(command):
    text = " ".join(command("train.py", "--help")["out"].split("\n  --model: ")[1].split("\n  --")[0].split())
    rest = text.split("Some have recipes for few data sets: ")[1]
    assert rest.startswith("fcn for scenes or camvid.")


def test_every_model_that_a_message_offers_has_a_recipe():
    for dataset in DATASETS:
        offered = models_with_recipe(dataset)
        assert "rnn" in offered
        for model in ARCHITECTURES:
            given = {"model": model, "dataset": dataset}
            if model in offered:
                assert _default_recipe(given).is_file()
            else:
                with pytest.raises(InputError, match=f"a model that has one: {', '.join(offered)}$"):
                    _default_recipe(given)
