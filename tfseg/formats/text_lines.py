"""Reads the lines of a text file that somebody wrote."""

from tfseg.errors import InputError
from tfseg.system.files import open_regular


def read_lines(path) -> list[str]:
    """Returns the lines of a UTF-8 text file without their ends. Raises InputError that names the file."""
    try:
        with open_regular(path) as file:
            return file.read().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8") from None
