"""Finds and parses the JSON file, and checks its values one by one."""

import json
import reprlib

from tfseg.errors import InputError


def json_file(path):
    """Returns the file `path`, or the only .json file in the folder `path`. Raises InputError for none or several."""
    if not path.is_dir():
        return path
    files = sorted(path.glob("*.json"))
    if len(files) != 1:
        found = f"{len(files)} .json files" if files else "no .json file"
        raise InputError(f"{path}: {found} in this folder; name the one with the annotations")
    return files[0]


def read_content(path) -> dict:
    """Reads the JSON object in the file. Raises InputError that names the file."""
    try:
        content = json.loads(path.read_bytes())
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


def entries_of(content: dict, key: str, path) -> list:
    """Returns the list `content[key]`. Raises InputError if there is none or if it is empty."""
    entries = content.get(key)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: no {key}; it must have a list of them that is not empty")
    return entries


def whole_number(value, key: str) -> int:
    """Returns `value`. Raises ValueError for anything but a JSON integer, also for true and for 1.0."""
    if type(value) is not int:
        raise ValueError(f"the {key} {reprlib.repr(value)}, which is not a whole number")
    return value


def truth(value, key: str) -> bool:
    """Whether `value` is 1 or true. Raises ValueError for anything but 0, 1, true and false."""
    if type(value) not in (int, bool) or value not in (0, 1):
        raise ValueError(f"the {key} {reprlib.repr(value)}, which is not 0, 1, true or false")
    return bool(value)


def color_of(value) -> tuple[int, int, int]:
    """Returns (red, green, blue). Raises ValueError for anything but three whole numbers from 0 to 255."""
    is_color = isinstance(value, list) and len(value) == 3 and all(type(each) is int for each in value)
    if not is_color or not all(0 <= each <= 255 for each in value):
        raise ValueError(f"the color {reprlib.repr(value)}, which is not three whole numbers from 0 to 255")
    return tuple(value)
