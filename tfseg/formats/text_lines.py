"""Reads the lines of a text file that somebody wrote."""

import unicodedata

from tfseg.errors import InputError
from tfseg.system.files import open_regular


def read_lines(path) -> list[str]:
    """Returns the lines of a UTF-8 text file without their ends.

    Raises:
      InputError: the file cannot be read, is not UTF-8, or holds control characters other than tabs, which no name has;
        the message names the file.
    """
    try:
        with open_regular(path) as file:
            lines = file.read().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8") from None
    for number, line in enumerate(lines, 1):
        if any(unicodedata.category(one) == "Cc" and one != "\t" for one in line):
            raise InputError(f"{path}, line {number}: holds a control character; write it again as plain text")
    return lines
