"""Runs the main function of every command: quiet start, one-line errors, exit codes.

Exit codes: 0 done, 1 the run failed, 2 the user's input was wrong, 130 interrupted by Ctrl-C, 143 stopped by SIGTERM.
"""

import logging
import re
import sys
import traceback

import absl.logging
from absl import app, flags

from tfseg.commands.program import as_example, as_typed
from tfseg.errors import MAX_MESSAGE, InputError, RunError, shortened
from tfseg.runs import zoo
from tfseg.system.files import disk_failure, failure
from tfseg.system.progress import say

MODEL_FLAGS = {"model", "workdir", "compare", "models"}
flags.DEFINE_boolean("debug", False, "Show the whole traceback of an error.")


def run(main, prepare=None, text=None, module=None):
    """Parses the flags and runs `main(argv)`; turns any error into one line on stderr and an exit code.

    Args:
      main: (words of the command line that are not flags) -> None.
      prepare: (words of the command line) -> words that are parsed; None parses them unchanged.
      text: what --help shows above the flags; None is the docstring of the program.
      module: dotted name of the module whose flags --help lists; None is the program.
    """
    # TensorFlow shows only its errors: its other lines tell a user nothing to act on.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    absl.logging.set_verbosity(absl.logging.ERROR)
    # --help lists the key flags of the program, under its docstring.
    for flag in [flags.FLAGS["debug"], *(flags.FLAGS.get_key_flags_for_module(module) if module else [])]:
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
        flag.help = as_example(flag.help)
    if text is not None:
        sys.modules["__main__"].__doc__ = text
    try:
        app.run(lambda argv: _guarded(main, argv), flags_parser=lambda argv: _parse_flags(argv, prepare))
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)


def parse_size(flag, text):
    """Parses HEIGHTxWIDTH into (height, width). Raises an InputError that names the flag."""
    match = re.fullmatch(r"([1-9]\d{0,5})x([1-9]\d{0,5})", text)
    if not match:
        raise InputError(f"--{flag}={text}: HEIGHTxWIDTH in pixels, e.g. 513x513")
    return int(match[1]), int(match[2])


def _parse_flags(argv, prepare):
    argv = ["--help" if word == "-h" else word for word in argv]
    try:
        argv = _with_zoo_folders(argv)
        sys.argv = prepare(argv) if prepare else argv
        return _parsed(sys.argv)
    except Exception as error:
        # An InputError, an absl error, or whatever ml_collections lets through for a --config.x that it cannot parse.
        if "--debug" in argv:
            traceback.print_exception(error)
        _fail(error, 2)


def _with_zoo_folders(argv):
    """Writes zoo:NAME as the model's folder in flags that name trained models, so that all commands take it."""
    words, is_value = [argv[0]], False
    for word in argv[1:]:
        flag = re.match(r"--?(\w+)(=?)", word)
        is_of_model = bool(flag) and flag[1] in MODEL_FLAGS
        if is_value or (is_of_model and flag[2]):
            word = re.sub(rf"(?<![^=,]){zoo.PREFIX}[^,@]*", lambda found: str(zoo.resolved(found[0])), word)
        words.append(word)
        is_value = is_of_model and not flag[2]
    return words


def _parsed(argv):
    try:
        return flags.FLAGS(argv, known_only=False)
    except SystemExit:
        sys.exit(0)  # absl has shown the help, and would exit with 1


def _guarded(main, argv):
    try:
        return main(argv)
    except (InputError, flags.Error, app.UsageError) as error:
        _show(error)
        _fail(error, 2)
    except (RunError, MemoryError) as error:
        _show(error)
        _fail(error, 1)
    except OSError as error:
        _show(error)
        _fail(f"{error.filename}: {failure(error)}" if error.filename else failure(error), 1)
    except Exception as error:
        _show(error)
        reason = disk_failure(error) or "--debug shows where"
        _fail(f"{type(error).__name__}: {shortened(error, MAX_MESSAGE // 2)} ({reason})", 1)


def _show(error):
    if flags.FLAGS.debug:
        traceback.print_exception(error)


def _fail(error, code):
    say(shortened(as_typed(f"error: {str(error).strip() or type(error).__name__}")))
    sys.exit(code)
