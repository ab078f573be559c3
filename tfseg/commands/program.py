"""`tfseg COMMAND`, the program that an installation brings, and what the scripts of the repository run.

Help texts and messages are written with the commands of the repository, python train.py; `tfseg` shows its own in their
place.
"""

import dataclasses
import difflib
import importlib
import re
import sys

from tfseg.errors import shortened
from tfseg.system.progress import say

NAME = "tfseg"
ZOO = "zoo:"


@dataclasses.dataclass(frozen=True)
class Command:
    """A command.

    Attributes:
      module: its module in `tfseg.commands`, and its script in the root of the repository. The module's docstring is
        the help; it has `define_flags()`, and `main` and `prepare` as `entry.run` takes them.
      summary: what it does, in a line.
    """

    module: str
    summary: str


COMMANDS = {
    "train": Command("train", "train a network on your images or on a public data set"),
    "evaluate": Command("evaluate", "score a trained model after every iteration, with a report and pictures"),
    "segment": Command("segment", "segment photos, videos and what a camera sees"),
    "export": Command("export", "write a model for TensorFlow Serving, phones or ONNX"),
    "profile": Command("profile_flops", "count and time what a model costs"),
    "prepare": Command("prepare_data", "convert a data set into records"),
    "check": Command("check_data", "check a data set and show what is in it"),
    "publish": Command("publish", "put a trained and evaluated run into the model zoo"),
    "search": Command("search", "search a cell for the frames of videos"),
}
_NAMES = {command.module: name for name, command in COMMANDS.items()}
_SCRIPT = re.compile(rf"(?:\bpython )?(?<![\w./-])({'|'.join(_NAMES)})\.py\b")


def main():
    """Runs the command that the first word of the command line names; the others are its own."""
    name, *words = sys.argv[1:] or ["--help"]
    if name.lstrip("-") in ("help", "h"):
        print(_overview())
        return
    if name.lstrip("-") == "version":
        import tfseg

        print(f"{NAME} {tfseg.__version__}")
        return
    if name not in COMMANDS:
        near = difflib.get_close_matches(name, COMMANDS, 1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        say(f"error: {NAME} {shortened(name, 40)}: no such command{meant}; one of {', '.join(COMMANDS)}")
        sys.exit(2)
    sys.argv = [f"{NAME} {name}", *words]
    run_command(COMMANDS[name].module)


def run_command(module: str):
    """Runs a command on the words in sys.argv: defines its flags, parses them, and ends with an exit code.

    Args:
      module: name of its module in `tfseg.commands`.
    """
    from tfseg.commands import entry  # slow beside the list of commands

    command = importlib.import_module(f"tfseg.commands.{module}")
    command.define_flags()
    entry.run(command.main, command.prepare, as_example(command.__doc__), command.__name__)


def as_typed(text: str) -> str:
    """Returns a message with its commands, e.g. "python train.py", as they are typed where this process was started."""
    if not _is_installed():
        return text
    text = _SCRIPT.sub(lambda found: f"{NAME} {_NAMES[found[1]]}", text)
    return re.sub(r"pip install -r requirements-(\w+)\.txt", rf'pip install "{NAME}[\1]"', text)


def as_example(text: str) -> str:
    """Returns a help text or an example as by `as_typed`, and with recipes and models of the zoo by name, zoo:NAME.

    Outside the repository there is no path model_zoo/.
    """
    if not _is_installed():
        return text
    text = re.sub(r"(?<![\w./])model_zoo/(\w+/\w+)\.py\b", rf"{ZOO}\1", as_typed(text))
    return re.sub(r"(?<=[=,])model_zoo/(?=\w)", ZOO, text)


def _is_installed():
    return sys.argv[0].startswith(f"{NAME} ")


def _overview():
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.summary}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            f"{NAME} COMMAND [FLAGS]: segmentation networks for every compute budget.",
            "",
            *lines,
            "",
            f"{NAME} COMMAND --help shows examples and the flags of a command; {NAME} --version the version.",
        ]
    )


if __name__ == "__main__":
    main()
