"""`tfseg COMMAND` is the scripts of the repository under another name."""

import ast
import sys
from pathlib import Path

import pytest

import tfseg
from tfseg.commands import program

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "tfseg/commands/program.py"
every_command = pytest.mark.parametrize("name", program.COMMANDS)


def test_every_script_of_the_repository_is_a_command_and_runs_it():
    scripts = {path.stem: path for path in ROOT.glob("*.py")}
    assert set(scripts) == {command.module for command in program.COMMANDS.values()}
    for module, script in scripts.items():
        calls = [node for node in ast.walk(ast.parse(script.read_text())) if isinstance(node, ast.Call)]
        assert [ast.unparse(call) for call in calls] == [f"program.run_command('{module}')"]


@pytest.mark.parametrize("words", [(), ("--help",), ("-h",), ("help",)])
def test_without_a_command_all_are_listed_with_a_line_each(command, words):
    done = command(PROGRAM, *words)
    assert (done["code"], done["err"]) == (0, "")
    for name, each in program.COMMANDS.items():
        assert f"\n  {name:8}  {each.summary}\n" in done["out"]


def test_the_version_is_that_of_the_package(command):
    done = command(PROGRAM, "--version")
    assert (done["code"], done["out"]) == (0, f"tfseg {tfseg.__version__}\n")


@pytest.mark.parametrize(
    "word, message",
    [("trian", "error: tfseg trian: no such command (did you mean train?); one of train, evaluate"),
     ("--model=rnn", "error: tfseg --model=rnn: no such command; one of train"),
     ("x" * 500, "xx ... xx")],
)  # fmt: skip
def test_a_wrong_command_is_one_line_and_exit_code_2(command, word, message):
    done = command(PROGRAM, word)
    assert (done["code"], done["out"], done["err"].count("\n")) == (2, "", 1)
    assert message in done["err"]


@every_command
def test_the_help_of_a_command_is_that_of_its_script_with_the_commands_name(command, name):
    script = f"{program.COMMANDS[name].module}.py"
    of_script, of_program = command(script, "--help"), command(PROGRAM, name, "--help")
    assert (of_program["code"], of_program["err"]) == (0, "")
    assert f"\ntfseg {name} " in of_program["out"] and f"\n\ntfseg {name}:\n" in of_program["out"]
    assert ".py" not in of_program["out"].replace("FILE.py", "")
    flags = [
        [line.split(":")[0] for line in done["out"].splitlines() if line.startswith("  --")]
        for done in (of_script, of_program)
    ]
    assert flags[0] == flags[1] and len(flags[0]) > 5


@pytest.mark.parametrize(
    ("shown", "text", "installed"),
    [
        (
            program.as_typed,
            "python train.py --workdir=a; see prepare_data.py, my_train.py; pip install -r requirements-onnx.txt",
            'tfseg train --workdir=a; see tfseg prepare, my_train.py; pip install "tfseg[onnx]"',
        ),
        (
            program.as_example,
            "python train.py --config=model_zoo/camvid/rnn.py --compare=model_zoo/a,model_zoo/b@8; model_zoo/README.md",
            "tfseg train --config=zoo:camvid/rnn --compare=zoo:a,zoo:b@8; model_zoo/README.md",
        ),
    ],
)
def test_texts_name_commands_extras_recipes_and_models_as_they_are_typed(shown, text, installed, monkeypatch):
    assert shown(text) == text
    monkeypatch.setattr(sys, "argv", ["tfseg segment"])
    assert shown(text) == installed


def test_an_error_of_a_command_is_one_line_with_the_commands_name(command):
    done = command(PROGRAM, "segment", "--model=zoo:camvid_rnn_mobilenet_v2")
    assert (done["code"], done["out"]) == (2, "")
    assert done["err"] == (
        "error: which photos? Give files or folders: tfseg segment --model=DIR photo.jpg folder/ clip.mp4\n"
    )


@pytest.mark.parametrize("words", [["--config=zoo:camvid/fcn"], ["--config", "zoo:nothing"], ["--config=zoo:../a"]])
def test_a_recipe_that_the_zoo_does_not_have_is_one_line_that_names_one(command, words):
    done = command("train.py", *words)
    assert (done["code"], done["err"].count("\n")) == (2, 1)
    assert "the zoo has no such recipe; e.g. zoo:" in done["err"]


@pytest.mark.parametrize(
    "words", [["--config=zoo:scenes/fcn_mobilenet_v2"], ["--config", "zoo:scenes/fcn_mobilenet_v2"]]
)
def test_a_recipe_of_the_zoo_is_taken_by_name(command, words):
    done = command("train.py", *words, "--batch_size=0")
    assert done["err"] == "error: config: training.global_batch_size is 0; it must be above 0\n"
    assert "backbone" not in done["err"]
