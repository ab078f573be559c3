"""Finds and parses the JSON file, and checks its values one by one."""

import dataclasses
import gc
import json
import os
import reprlib
import unicodedata
from collections.abc import Callable
from pathlib import PurePosixPath

from tfseg.errors import InputError
from tfseg.system.files import open_regular

MAX_NAME_BYTES = 255  # of a file or folder, in file systems of Linux
# Control characters, halves of surrogate pairs, and separators of lines: text with them is no name of anything.
UNPRINTABLE = frozenset(["Cc", "Cs", "Zl", "Zp"])
SHORTENED = reprlib.Repr()
SHORTENED.maxstring = 60


@dataclasses.dataclass(frozen=True)
class Kind:
    """What a value in a JSON file must be.

    Attributes:
      name: how a message says it, after "it must be".
      accepts: whether a value is one.
    """

    name: str
    accepts: Callable[[object], bool]


def _is_line(value):
    return isinstance(value, str) and value != "" and UNPRINTABLE.isdisjoint(map(unicodedata.category, value))


def _is_inner_path(value):
    if not _is_line(value) or "\\" in value:
        return False
    plain = PurePosixPath(value)
    is_short = all(len(os.fsencode(part)) <= MAX_NAME_BYTES for part in plain.parts)
    return plain.name != "" and not plain.is_absolute() and ".." not in plain.parts and is_short


def _is_color(value):
    is_triple = isinstance(value, list) and [type(each) for each in value] == [int] * 3
    return is_triple and 0 <= min(value) <= max(value) <= 255


def _is_area(value):
    return type(value) in (int, float) and 0 <= value < 2**63


# Types are compared exactly: for Python true is 1, and 1.0 equals 1.
WHOLE_NUMBER = Kind("a whole number", lambda value: type(value) is int)
TRUTH = Kind("0, 1, true or false", lambda value: type(value) in (int, bool) and value in (0, 1))
LINE = Kind("text on one line", _is_line)
IMAGE_ID = Kind("a whole number or text on one line", lambda value: type(value) is int or _is_line(value))
INNER_PATH = Kind("the path of a PNG inside the folder of PNGs, with / and without ..", _is_inner_path)
COLOR = Kind("three whole numbers from 0 to 255", _is_color)
AREA = Kind("a number of pixels", _is_area)
LIST = Kind("a list", lambda value: isinstance(value, list))
OBJECT = Kind("an object", lambda value: isinstance(value, dict))


def json_file(path):
    """Returns the file `path`, or the only .json file in the folder `path`. Raises InputError for none or several."""
    if not path.is_dir():
        return path
    files = sorted(file for file in path.glob("*.json") if not file.name.startswith("."))
    if len(files) != 1:
        found = f"{len(files)} .json files" if files else "no .json file"
        raise InputError(f"{path}: {found} in this folder; name the one with the annotations")
    return files[0]


def read_content(path) -> dict:
    """Reads the JSON object in the file. Raises InputError that names the file."""
    try:
        with open_regular(path) as file:
            content = parsed(file.read())
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(f"{path}: no such file or folder; name a JSON file in COCO's panoptic format") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); name a JSON file that can be") from None
    except RecursionError:
        raise InputError(f"{path}: damaged JSON (nested too deeply); write the file again") from None
    except ValueError as error:
        raise InputError(f"{path}: damaged JSON ({error}); write the file again, or use a complete copy") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: a JSON {type(content).__name__}, not an object with annotations; name another file")
    return content


def parsed(text: str | bytes, object_pairs_hook=None):
    """Parses JSON, in seconds where it has 100 MB; the arguments are those of `json.loads`.

    Raises:
      ValueError: it is damaged. RecursionError: it is nested too deeply.
    """
    # The garbage collector would look at the values again and again while they are made: minutes for 100 MB of lists.
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        return json.loads(text, object_pairs_hook=object_pairs_hook)
    finally:
        if is_collecting:
            gc.enable()


def entries_of(content: dict, key: str, path) -> list[dict]:
    """Returns the list `content[key]` of objects. Raises InputError if there is none or if it is empty."""
    entries = content.get(key)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: no {key}; it must have a list of them that is not empty")
    for index, entry in enumerate(entries):
        if not isinstance(entry, dict):
            raise InputError(f"{path}: {key}[{index}] is {shown(entry)}; it must be {OBJECT.name}")
    return entries


def value_of(entry: dict, key: str, kind: Kind, place: str, optional: bool = False):
    """Returns `entry[key]`, or None if it is `optional` and missing.

    Args:
      entry: an object of the JSON file.
      key: the value's name.
      kind: what the value must be.
      place: file and entry, for messages.
      optional: whether the entry may lack the value.
    Raises:
      InputError: the value is missing or of another kind.
    """
    if key not in entry:
        if optional:
            return None
        raise InputError(f"{place}: no {key}; it must be {kind.name}")
    if not kind.accepts(entry[key]):
        raise InputError(f"{place}: the {key} is {shown(entry[key])}; it must be {kind.name}")
    return entry[key]


def shown(value) -> str:
    """Returns a value of a JSON file as messages show it: on one line, and shortened."""
    return SHORTENED.repr(value)
