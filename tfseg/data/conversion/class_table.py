"""Reads tables of classes as annotation tools write them: a class per line, with its name, colour and id.

A table of colours may be written in many ways: `name r g b`, `r g b name`, `id r g b name`, a CSV with or without a
header, CVAT's `name:r,g,b:parts:actions`, and colours as `#rrggbb` or `(r, g, b)`. What can be read in two ways is
refused, because a guess would give classes the wrong ids.
"""

import csv
import dataclasses
import re

from tfseg.errors import MAX_NAME, InputError, listed, shortened
from tfseg.formats.text_lines import read_lines
from tfseg.labels import MAX_CLASSES

# Entries with these names are not classes: their pixels are ignored.
IGNORED_NAMES = {"ignore", "ignored", "void", "unlabeled", "unlabelled", "__ignore__"}
IGNORED_ID = -1
NAME_COLUMNS = {"name", "names", "class", "classes", "label", "labels", "category", "class_name", "classname"}
ID_COLUMNS = {"id", "index", "class_id", "classid", "label_id", "labelid", "value"}
COLOR_COLUMNS = {"color", "colour", "rgb", "color_rgb", "hex"}
CHANNEL_COLUMNS = ({"r", "red"}, {"g", "green"}, {"b", "blue"})
COLOR = re.compile(
    r'(?:rgb\s*)?[(\["]\s*(\d{1,3})\s*[,;\s]\s*(\d{1,3})\s*[,;\s]\s*(\d{1,3})\s*[)\]"]'
    r"|(?:#|\b0x)([0-9a-f]{6})(?![0-9a-z_])",
    re.IGNORECASE,
)
CVAT_LINE = re.compile(r"([^:#]+):(\d{1,3}),(\d{1,3}),(\d{1,3})(?::[^:]*)*")
SEPARATORS = ",;\t"
HEADER_ADVICE = "begin with a line that names the columns, e.g. name,r,g,b"


@dataclasses.dataclass(frozen=True)
class ClassRow:
    """One line of a table.

    Attributes:
      line: its number, from 1.
      name: name of the class.
      color: (red, green, blue), 0 to 255; None if the table has no colours.
      class_id: its id; None if the table has no ids, so that they follow from the order.
    """

    line: int
    name: str
    color: tuple[int, int, int] | None = None
    class_id: int | None = None

    @property
    def is_ignored(self) -> bool:
        """Whether pixels of this entry are ignored."""
        return self.name.lower() in IGNORED_NAMES or self.class_id == IGNORED_ID


@dataclasses.dataclass(frozen=True)
class Fields:
    """A line, split: words, numbers as text, and colours as (red, green, blue).

    Attributes:
      line: the line's number, from 1.
      text: the line.
      values: the fields.
      are_separated: whether commas, semicolons or tabs separate them; otherwise blanks do, so that a name of two words
        is two fields.
    """

    line: int
    text: str
    values: list
    are_separated: bool

    @property
    def shown(self) -> str:
        """The line in a message."""
        return f"line {self.line}: {shortened(self.text, MAX_NAME)!r}"


def read_color_table(path) -> list[ClassRow]:
    """Reads a table of colours, in any of the ways above. Raises InputError that names file and line."""
    rows = []
    for number, text in enumerate(read_lines(path), 1):
        is_comment = text.lstrip().startswith("#") and not COLOR.match(text.lstrip())
        if text.strip() and not is_comment:
            rows.append(split_fields(text, number))
    if rows and is_header(rows[0], with_colors=True):
        header = column_names(rows[0])
        return [_row_of_columns(path, row, header) for row in rows[1:]]
    return _rows_without_header(path, rows)


def has_colors(text: str) -> bool:
    """Whether a line is one of a table of colours."""
    return bool(_readings(split_fields(text)))


def split_fields(text: str, line: int = 1) -> Fields:
    """Splits a line of a table at commas, semicolons and tabs, or else at blanks."""
    cvat = CVAT_LINE.fullmatch(text.strip())
    if cvat:
        color = tuple(int(value) for value in cvat.groups()[1:])
        return Fields(line, text.strip(), [cvat[1].strip(), color], are_separated=True)
    found = COLOR.search(text)
    if not found:
        return Fields(line, text.strip(), *_split(text))
    values = bytes.fromhex(found[4]) if found[4] else found.groups()[:3]
    before, after = _split(text[: found.start()]), _split(text[found.end() :])
    fields = [*before[0], tuple(int(value) for value in values), *after[0]]
    return Fields(line, text.strip(), fields, before[1] or after[1])


def is_header(row: Fields, with_colors: bool) -> bool:
    """Whether a line names columns: one of names, and of colours if `with_colors`, else none but names and ids."""
    words = set(column_names(row)) - {""}
    if not words & NAME_COLUMNS:
        return False
    if with_colors:
        return bool(words & COLOR_COLUMNS) or all(words & names for names in CHANNEL_COLUMNS)
    return words <= NAME_COLUMNS | ID_COLUMNS


def column_names(row: Fields) -> list[str]:
    """Returns the fields of a header in small letters, with _ for blanks."""
    return [field.lower().replace(" ", "_") if isinstance(field, str) else "a colour" for field in row.values]


def column(header: list[str], *names: set[str]) -> int | None:
    """Returns the index of the first column that is called so; names of an earlier set come first."""
    found = [header.index(name) for wanted in names for name in header if name in wanted]
    return found[0] if found else None


def in_order_of_ids(path, classes: list[ClassRow]) -> list[ClassRow]:
    """Returns the rows, all of them classes, sorted by their ids if they have ids.

    Raises:
      InputError: the ids are not 0, 1, 2, ... without gaps, a class has two ids or two classes have one, or there are
        more than 255 classes.
    """
    num_classes = len({row.name for row in classes})
    if num_classes > MAX_CLASSES:
        raise InputError(f"{path}: {num_classes} classes; 1 to {MAX_CLASSES} are possible")
    if not classes or classes[0].class_id is None:
        return classes
    if not has_ids(classes):
        ids = listed(sorted({row.class_id for row in classes}))
        raise InputError(
            f"{path}: the ids are {ids}; they must be 0 to {num_classes - 1}, one for each class (void and the like "
            "are none)"
        )
    return sorted(classes, key=lambda row: row.class_id)


def has_ids(rows: list[ClassRow]) -> bool:
    """Whether the ids of the rows are 0, 1, 2, ... without gaps, one for each name."""
    pairs = {(row.name, row.class_id) for row in rows}
    ids = sorted(class_id for _, class_id in pairs)
    return len({row.name for row in rows}) == len(pairs) and ids == list(range(len(pairs)))


def _split(text):
    """Returns (fields, whether a separator parts them)."""
    text = text.strip().strip(SEPARATORS + ":").strip()
    separator = next((one for one in SEPARATORS if one in text), None)
    if separator is None:
        return text.split(), False
    [fields] = csv.reader([text], delimiter=separator, skipinitialspace=True)
    fields = [field.strip() for field in fields]
    # `128 64 128, traffic light` and `sky 0, 0, 255` have more than one thing in a field.
    if all(_is_number(field) or not any(_is_number(word) for word in field.split()) for field in fields):
        return fields, True
    return text.replace(separator, " ").split(), False


def _is_number(field):
    return isinstance(field, str) and re.fullmatch(r"-?\d{1,9}", field) is not None


def _row_of_columns(path, row, header):
    fields = list(row.values)
    name_place, id_place = column(header, NAME_COLUMNS - {"class"}, {"class"}), column(header, ID_COLUMNS)
    color_places = [column(header, names) for names in CHANNEL_COLUMNS]
    num_surplus = len(fields) - len(header)
    if num_surplus > 0 and not row.are_separated:  # a name of several words
        name = fields[name_place : name_place + num_surplus + 1]
        fields[name_place : name_place + num_surplus + 1] = [" ".join(map(str, name))]
    try:
        if None in color_places:
            color = fields[column(header, COLOR_COLUMNS)]
        else:
            color = tuple(int(fields[place]) for place in color_places)
        class_id = None if id_place is None else int(fields[id_place])
        name = fields[name_place]
        is_row = len(fields) <= len(header) and all(0 <= value < 256 for value in color) and name.strip()
    except (AttributeError, IndexError, TypeError, ValueError):
        is_row = False
    if not is_row:
        columns = listed(header)
        raise InputError(f"{path}, {row.shown} does not have the columns {columns} with colours from 0 to 255")
    return ClassRow(row.line, name, color, class_id)


def _rows_without_header(path, rows):
    """Reads all rows in the same way. Raises InputError if there is none, or more than one."""
    readings = []
    for row in rows:
        one = _readings(row)
        if not one:
            raise InputError(f"{path}, {row.shown} is not 'name red green blue' (or 'red green blue name')")
        readings.append({way: ClassRow(row.line, *values) for way, values in one.items()})
    ways = {}
    for way in ("plain", "id", "flag"):
        found = [one[way] for one in readings if way in one]
        if found and len(found) == len(rows):
            ways[way] = found
    named = [row for row in ways.get("id", []) if not row.is_ignored]
    is_id = has_ids(named) or (_are_distinct(named) and "flag" not in ways)
    if named and is_id:
        ways.pop("plain", None)  # a number before or after the name is its id, not a part of it
    else:
        ways.pop("id", None)
    if len(ways) == 1:
        return next(iter(ways.values()))
    if not rows:
        return []
    four = next((row for row, one in zip(rows, readings, strict=True) if "plain" not in one or len(one) > 1), rows[0])
    raise InputError(f"{path}, {four.shown}: it is not clear what the fourth number means; {HEADER_ADVICE}")


def _are_distinct(rows):
    return len({row.class_id for row in rows}) == len({row.name for row in rows}) == len(rows)


def _readings(row):
    """Returns {way of reading: (name, colour, id or None)} of a row without a header; see `_ways`."""
    fields = row.values
    places = [index for index, field in enumerate(fields) if isinstance(field, str) and not _is_number(field)]
    words = fields[places[0] : places[-1] + 1] if places else []
    if not words or any(isinstance(word, tuple) for word in words):
        return {}
    before, after = fields[: places[0]], fields[places[-1] + 1 :]
    colors = [field for field in (*before, *after) if isinstance(field, tuple)]
    numbers = [tuple(int(field) for field in side if isinstance(field, str)) for side in (before, after)]
    ways = _ways(" ".join(words), *numbers, colors)
    if row.are_separated and len(numbers[0]) + len(numbers[1]) != (0 if colors else 3):
        ways.pop("plain", None)  # a separated number is no part of the name
    return {way: values for way, values in ways.items() if all(0 <= value < 256 for value in values[1])}


def _ways(name, first, last, colors):
    """The ways to read a name between numbers.

    Returns:
      {"plain": all numbers are the colour, or part of the name; "id": one is the class's id; "flag": the last one says
      whether the class is trained, 0 or 1}. Each is (name, colour, id or None).
    """
    if colors:
        ways = {"plain": (" ".join(map(str, (*first, name, *last))), colors[0], None)}
        if len(first + last) == 1:
            ways["id"] = (name, colors[0], (first + last)[0])
        return ways if len(colors) == 1 and len(first + last) <= 1 else {}
    match len(first), len(last):
        case (0, 3) | (3, 0):
            return {"plain": (name, first or last, None)}
        case 4, 0:
            return {"plain": (f"{first[3]} {name}", first[:3], None), "id": (name, first[1:], first[0])}
        case 0, 4:
            ways = {"plain": (f"{name} {last[0]}", last[1:], None), "id": (name, last[1:], last[0])}
            return ways | ({"flag": (name, last[:3], None)} if last[3] in (0, 1) else {})
        case 1, 3:
            return {"plain": (f"{first[0]} {name}", last, None), "id": (name, last, first[0])}
        case 3, 1:
            return {"plain": (f"{name} {last[0]}", first, None), "id": (name, first, last[0])}
    return {}
