"""The two ways a command can end badly, and how messages name many things."""

MAX_LISTED = 5


class InputError(ValueError):
    """Something the user gave is wrong: the message says what, where and what to do, on one line. Exit code 2."""


class RunError(RuntimeError):
    """The run itself failed (disk full, non-finite losses, lost worker). One line, exit code 1."""


def listed(names, most: int = MAX_LISTED) -> str:
    """Returns the names separated by commas; of more than `most`, only the first ones "and N more"."""
    names = [str(name) for name in names]
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")
