"""The two ways a command can end badly."""


class InputError(ValueError):
    """Something the user gave is wrong: the message says what, where and what to do, on one line. Exit code 2."""


class RunError(RuntimeError):
    """The run itself failed (disk full, non-finite losses, lost worker). One line, exit code 1."""
