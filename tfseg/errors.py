"""The two ways a command can end badly, and how their messages stay short."""


class InputError(ValueError):
    """Something the user gave is wrong: the message says what, where and what to do, on one line. Exit code 2."""


class RunError(RuntimeError):
    """The run itself failed (disk full, non-finite losses, lost worker). One line, exit code 1."""


def shortened(value, longest=150) -> str:
    """Returns a text that may come from a file as one printable line of at most `longest` characters."""
    line = "".join(one if one.isprintable() else " " for one in str(value)[: 4 * longest])
    line = " ".join(line.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def listed(names, most=5, longest=30) -> str:
    """Returns the first `most` names, each up to `longest` characters, and how many more: "a, b and 7 more"."""
    names = list(names)
    shown = ", ".join(shortened(name, longest) for name in names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
