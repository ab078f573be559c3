"""`--workdir`, the older name of `--model` in the commands that take a trained model."""

import re

from absl import flags

from tfseg.errors import InputError

# The alias belongs to the command that calls `define_alias`, so that command's --help lists it.
flags.disclaim_key_flags()


def define_alias():
    """Defines `--workdir` as another name of `--model`, which must be defined first."""
    flags.DEFINE_alias("workdir", "model")


def with_model(argv):
    """The command line with every `--workdir` written as `--model`. Raises InputError if both are given and differ."""
    values = given(argv)
    model, workdir = values.get("model"), values.get("workdir")
    if None not in (model, workdir) and model != workdir:
        raise InputError(f"--model={model} and --workdir={workdir} are two names of one flag: give one of them")
    return [argv[0], *(re.sub(r"^(--?)workdir(?==|$)", r"\1model", word) for word in argv[1:])]


def given(argv):
    """Reads the flags of a command line before it is parsed: {name: value}."""
    values = {}
    for index, word in enumerate(argv[1:], 1):
        if not word.startswith("-"):
            continue
        name, _, value = word.lstrip("-").partition("=")
        if not value and index + 1 < len(argv) and not argv[index + 1].startswith("-"):
            value = argv[index + 1]
        values[name] = value
    return values
