"""What every command does around its main: quiet start, one-line errors, exit codes.

0 done, 1 the run failed, 2 something given was wrong, 143 stopped by SIGTERM.
"""

import logging
import sys
import traceback

from absl import app, flags

from tfseg.errors import InputError, RunError

flags.DEFINE_boolean("debug", False, "Show the whole traceback of an error.")


def run(main):
    """Parses the flags and runs `main(argv)`; maps what goes wrong to one line on stderr and an exit code."""
    # Of TensorFlow's own lines, only errors: the rest tells a user nothing to act on.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        app.run(lambda argv: _guarded(main, argv), flags_parser=_parse_flags)
    except KeyboardInterrupt:
        sys.exit(130)


def _parse_flags(argv):
    try:
        return flags.FLAGS(argv, known_only=False)
    except flags.Error as error:
        _fail(error, 2)
    except InputError as error:
        _fail(error, 2)
    except (AttributeError, TypeError, ValueError, KeyError) as error:
        # ml_collections reports a misspelt or mistyped --config field with these.
        _fail(error, 2)


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
        _fail(error, 1)
    except Exception as error:
        _show(error)
        _fail(f"{type(error).__name__}: {error} (--debug shows where)", 1)


def _show(error):
    if flags.FLAGS.debug:
        traceback.print_exception(error)


def _fail(error, code):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    print(f"error: {' '.join(lines) or type(error).__name__}", file=sys.stderr)
    sys.exit(code)
