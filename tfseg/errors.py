"""The two ways a command can end badly, and how their messages stay short."""

MAX_LISTED = 5
MAX_NAME = 60
MAX_MESSAGE = 300
CUT = " ... "


class InputError(ValueError):
    """Something the user gave is wrong: the message says what, where and what to do, on one line. Exit code 2."""

    def __init__(self, message):
        super().__init__(printable(message))


class NoConfidence(InputError):
    """The model gives class ids without probabilities, so there is no confidence."""


class RunError(RuntimeError):
    """The run itself failed (disk full, non-finite losses, lost worker). One line, exit code 1."""

    def __init__(self, message):
        super().__init__(printable(message))


def printable(text) -> str:
    """Returns the text with blanks for line ends and other characters that cannot be printed: one line."""
    return "".join(one if one.isprintable() else " " for one in str(text))


def listed(names, separator: str = ", ") -> str:
    """Lists names for a message: at most five, each at most 60 characters, and how many more there are.

    Example:
      listed(range(7))  # "0, 1, 2, 3, 4 and 2 more"

    Args:
      names: anything that can be iterated and written as text.
      separator: text between two names.
    """
    names = [shortened(name, MAX_NAME) for name in names]
    more = len(names) - MAX_LISTED
    return separator.join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def shortened(text, limit: int = MAX_MESSAGE) -> str:
    """Returns the text on one printable line, at most `limit` characters (10 or more) long.

    What is cut is in the middle: a message begins with the file and ends with the advice.
    """
    text = " ".join(printable(text).split())
    if len(text) <= limit:
        return text
    end = (limit - len(CUT)) // 2
    return text[: limit - len(CUT) - end] + CUT + text[-end:]
