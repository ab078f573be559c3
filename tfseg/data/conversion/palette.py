"""Reads text that describes classes: names, palettes of colour-coded labels, maps of label values."""

import dataclasses
import re
from pathlib import Path

from tfseg.errors import InputError
from tfseg.labels import IGNORE_LABEL

# Palette entries with these names are not classes: their pixels are ignored.
IGNORED_NAMES = {"ignore", "ignored", "void", "unlabeled", "unlabelled"}


@dataclasses.dataclass(frozen=True)
class Palette:
    """What colours mean.

    Attributes:
      class_names: names of the classes, in the order of the file.
      colors: first (red, green, blue) of each class.
      class_ids: {(red, green, blue): class id}; 255 for ignored colours.
    """

    class_names: tuple[str, ...]
    colors: tuple[tuple[int, int, int], ...]
    class_ids: dict[tuple[int, int, int], int]


def read_palette(path) -> Palette:
    """Reads lines `name red green blue` or `red green blue name`.

    Words are separated by blanks, tabs or commas; `#` begins a comment line. A name may have several colours. Pixels of
    an entry named void, ignore or unlabelled are ignored.

    Raises:
      InputError: the file is not a palette; the message names file and line.
    """
    names, colors, class_ids = [], [], {}
    for number, line in enumerate(_lines(path), 1):
        words = line.replace(",", " ").split()
        if not words or words[0].startswith("#"):
            continue
        name, color = _entry(words)
        if color is None:
            raise InputError(f"{path}, line {number}: {line!r} is not 'name red green blue' (or 'red green blue name')")
        if color in class_ids:
            raise InputError(f"{path}, line {number}: colour {color} occurs twice")
        if name.lower() in IGNORED_NAMES:
            class_ids[color] = IGNORE_LABEL
            continue
        if name not in names:
            names.append(name)
            colors.append(color)
        class_ids[color] = names.index(name)
    if not names:
        raise InputError(f"{path}: no class; write one per line: name red green blue")
    return Palette(tuple(names), tuple(colors), class_ids)


def read_names(path) -> tuple[str, ...]:
    """Reads class names, one per line; line k + 1 names class id k. Raises InputError that names file and line."""
    names = [line.strip() for line in _lines(path)]
    while names and not names[-1]:
        names.pop()
    for number, name in enumerate(names, 1):
        if not name:
            raise InputError(f"{path}, line {number}: empty; line k names class id k - 1")
        if names.index(name) != number - 1:
            raise InputError(f"{path}, line {number}: {name!r} occurs twice")
    if not names:
        raise InputError(f"{path}: no names; write one per line")
    return tuple(names)


def parse_value_map(text: str) -> dict[int, int]:
    """Parses "255:1,7:3" to {255: 1, 7: 3}, {label value: class id}. Raises InputError for other text."""
    pairs = [re.fullmatch(r"(\d{1,5}):(\d{1,3})", part.strip()) for part in text.split(",")] if text else []
    if not all(pair and int(pair[2]) <= IGNORE_LABEL for pair in pairs):
        raise InputError(f"--map={text}: give mask value:class id, e.g. 255:1 or 10:0,20:1; class ids are 0 to 255")
    return {int(pair[1]): int(pair[2]) for pair in pairs}


def _entry(words):
    for name, numbers in ((words[:-3], words[-3:]), (words[3:], words[:3])):
        if name and all(word.isascii() and word.isdigit() and int(word) < 256 for word in numbers):
            return " ".join(name), tuple(int(word) for word in numbers)
    return None, None


def _lines(path):
    try:
        return Path(path).read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not a text file in UTF-8") from None
