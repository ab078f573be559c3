"""zoo:NAME is a model that comes with tfseg, wherever a path of a model is taken."""

import sys

import pytest

import tfseg
from tfseg.commands import entry
from tfseg.errors import InputError
from tfseg.runs import zoo

NAME = "camvid_shelfnet_mobilenet_v2"


def test_a_name_is_its_folder_and_a_path_is_itself(tmp_path):
    assert zoo.resolved(f"zoo:{NAME}") == zoo.ZOO / NAME
    assert zoo.resolved(tmp_path) == tmp_path
    assert NAME in zoo.trained_models()


@pytest.mark.parametrize("name", ["nothing", "", "../README.md", "camvid"])
def test_an_unknown_name_is_one_line_with_those_that_there_are(name):
    with pytest.raises(InputError, match=rf"^zoo:{name}: the zoo has no such model; it has camvid_\w+, "):
        zoo.resolved(f"zoo:{name}")


def test_a_model_of_the_zoo_loads_by_name():
    assert tfseg.load(f"zoo:{NAME}").info.class_names[0] == "sky"


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model=zoo:NAME", "zoo:NAME"], ["--model=FOLDER", "zoo:NAME"]),
        (["--model", "zoo:NAME"], ["--model", "FOLDER"]),
        (["--compare=zoo:NAME@8,runs/mine,zoo:NAME"], ["--compare=FOLDER@8,runs/mine,FOLDER"]),
        (["--init_from=zoo:NAME", "--model=runs/zoo:NAME"], ["--init_from=zoo:NAME", "--model=runs/zoo:NAME"]),
    ],
)
def test_commands_take_names_in_flags_of_models(words, expected):
    words, expected = ([word.replace("NAME", NAME) for word in given] for given in (words, expected))
    expected = [word.replace("FOLDER", str(zoo.ZOO / NAME)) for word in expected]
    assert entry._with_zoo_folders([sys.argv[0], *words])[1:] == expected
