"""The two ways a command can end badly, and how their messages stay short."""

MAX_MESSAGE = 300
MAX_LISTED = 5
MAX_NAME = 40


class InputError(ValueError):
    """Something the user gave is wrong: the message says what, where and what to do, on one line. Exit code 2."""


class RunError(RuntimeError):
    """The run itself failed (disk full, non-finite losses, lost worker). One line, exit code 1."""


def listed(names) -> str:
    """Joins names for a message: at most five, each of at most 40 characters.

    Example:
      listed("abcdefg")  # "a, b, c, d, e and 2 more"
    """
    names = [shortened(str(name), MAX_NAME) for name in names]
    more = f" and {len(names) - MAX_LISTED} more" if len(names) > MAX_LISTED else ""
    return ", ".join(names[:MAX_LISTED]) + more


def shortened(text: str, max_length: int = MAX_MESSAGE) -> str:
    """Returns the text, or its beginning and end around three dots if it is longer than `max_length` characters."""
    if len(text) <= max_length:
        return text
    num_last = (max_length - 3) // 2
    return f"{text[: max_length - 3 - num_last]}...{text[-num_last:]}"
