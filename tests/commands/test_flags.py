"""What the commands' flags share: a trained model is `--model`, and help texts name all that the tables hold."""

import pytest

from tests.commands.test_train import assert_one_line
from tfseg.architectures import ARCHITECTURES
from tfseg.backbones import BACKBONES, BackboneConfig
from tfseg.commands import model_flag
from tfseg.config import OPTIMIZERS, PRECISIONS, ExperimentConfig
from tfseg.data.datasets.table import DATASETS
from tfseg.errors import InputError
from tfseg.models.fcn import FCNConfig
from tfseg.runs.run_directory import write_config

# Command -> further words it needs to get as far as its model.
TAKE_A_MODEL = {
    "evaluate.py": (),
    "export.py": (),
    "publish.py": ("--name=mine",),
    "profile_flops.py": (),
}
LISTED = {
    "train.py": {"dataset": DATASETS, "model": ARCHITECTURES, "backbone": BACKBONES}
    | {"optimizer": OPTIMIZERS, "precision": PRECISIONS},
    "profile_flops.py": {"dataset": DATASETS, "model": ARCHITECTURES, "backbone": BACKBONES},
    "prepare_data.py": {"dataset": DATASETS},
    "check_data.py": {"dataset": DATASETS},
}


@pytest.mark.parametrize("name", TAKE_A_MODEL)
def test_model_and_workdir_mean_the_same(command, name):
    (command.folder / "damaged").mkdir(exist_ok=True)
    (command.folder / "damaged" / "config.json").write_text("{}")
    for model, message in (("./nowhere", "nowhere: "), ("damaged", "damaged/config.json: damaged")):
        first, second, both = (
            command(name, *TAKE_A_MODEL[name], *words)
            for words in ([f"--model={model}"], ["--workdir", model], [f"-workdir={model}", f"--model={model}"])
        )
        assert_one_line(first, message)
        first, second, both = ([done[key] for key in ("code", "out", "err")] for done in (first, second, both))
        assert first == second == both


@pytest.mark.parametrize("name", TAKE_A_MODEL)
@pytest.mark.parametrize("words", [("--model=a", "--workdir=b"), ("--workdir", "b", "--model", "a")])
def test_two_models_are_one_line_and_exit_code_2(command, name, words):
    message = "error: --model=a and --workdir=b are two names of one flag: give one of them\n"
    done = command(name, *TAKE_A_MODEL[name], *words)
    assert (done["code"], done["out"], done["err"]) == (2, "", message)


def test_only_the_name_of_the_flag_is_replaced():
    words = ["x.py", "--size=1x1", "--workdir=runs/workdir", "--output_dir", "workdir", "--workdirs=1"]
    assert model_flag.with_model(words) == [*words[:2], "--model=runs/workdir", *words[3:]]
    with pytest.raises(InputError, match="--model= and --workdir=a are two names"):
        model_flag.with_model(["x.py", "--model=", "--workdir=a"])


def test_the_cost_of_a_run_is_that_of_its_config(command):
    config = ExperimentConfig(model=FCNConfig(backbone=BackboneConfig("mobilenet_v2", width_multiplier=0.35)))
    config.data.crop_size = (48, 64)
    write_config(command.folder / "run", config, DATASETS["camvid"].info)
    done = command("profile_flops.py", "--model=run", "--rounds=0")
    assert (done["code"], done["err"]) == (0, "")
    assert "size: 48x64\nclasses: 11\n" in done["out"]


@pytest.mark.parametrize("name", LISTED)
def test_help_texts_name_all_that_the_tables_hold(command, name):
    done = command(name, "--help")
    assert (done["code"], done["err"]) == (0, "")
    for flag, table in LISTED[name].items():
        text = done["out"].split(f"\n  --{flag}: ")[1].split("\n  --")[0]
        words = text.replace(",", " ").replace(";", " ").replace(".", " ").split()
        assert [key for key in table if key not in words] == [], flag
