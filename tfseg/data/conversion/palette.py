"""Reads text that describes classes: names, palettes of colour-coded labels, maps of label values."""

import dataclasses
import re

from tfseg.data.conversion.class_table import (
    ID_COLUMNS,
    IGNORED_ID,
    NAME_COLUMNS,
    SEPARATORS,
    ClassRow,
    column,
    column_names,
    has_colors,
    has_ids,
    in_order_of_ids,
    is_header,
    read_color_table,
    split_fields,
)
from tfseg.errors import MAX_NAME, InputError, listed, shortened
from tfseg.formats.text_lines import read_lines
from tfseg.labels import IGNORE_LABEL

LABELME_IGNORED, LABELME_BACKGROUND = "__ignore__", "_background_"
ID_AND_NAME = re.compile(r"(?P<id>-?\d{1,5})\s*[,;:=\t]\s*(?P<name>.*\S)")
NAME_AND_ID = re.compile(r"(?P<name>.*\S)\s*[,;:=\t]\s*(?P<id>-?\d{1,5})")
ID_BLANK_NAME = re.compile(r"(?P<id>-?\d{1,5})[.)]?\s+(?P<name>.*\S)")
NAME_BLANK_ID = re.compile(r"(?P<name>.*\S)\s+(?P<id>-?\d{1,5})")


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
    """Reads a table of colours: lines `name red green blue` or `red green blue name`, or one of other tools.

    Words are separated by blanks, tabs, commas or semicolons; `#` begins a comment line. A name may have several
    colours. Pixels of an entry named void, ignore or unlabelled are ignored. `class_table` lists what else can be read;
    where a table has ids, they are the class ids.

    Raises:
      InputError: the file is not a palette; the message names file and line.
    """
    rows = read_color_table(path)
    seen = set()
    for row in rows:
        if row.color in seen:
            raise InputError(f"{path}, line {row.line}: colour {row.color} occurs twice")
        seen.add(row.color)
    classes = in_order_of_ids(path, [row for row in rows if not row.is_ignored])
    if not classes:
        raise InputError(f"{path}: no class; write one per line: name red green blue")
    names = tuple(dict.fromkeys(row.name for row in classes))
    colors = tuple(next(row.color for row in classes if row.name == name) for name in names)
    class_ids = {row.color: IGNORE_LABEL for row in rows if row.is_ignored}
    class_ids |= {row.color: names.index(row.name) for row in classes}
    return Palette(names, colors, class_ids)


def read_names(path) -> tuple[str, ...]:
    """Reads class names, one per line; line k + 1 names class id k, unless the lines have ids.

    Ids may stand before or after the name, as in `0 sky`, `0: sky` and `sky,0`, also below a header such as `name,id`.
    Of labelme's files, `__ignore__` in the first line is no class, and `_background_` is class 0. Lines that begin with
    `#` are comments.

    Raises:
      InputError: a name is missing or occurs twice, the ids have gaps, there are more than 255 classes, or the file has
        another form; the message names file and line.
    """
    lines = [(number, line.strip()) for number, line in enumerate(read_lines(path), 1)]
    lines = [(number, line) for number, line in lines if not line.startswith("#")]
    while lines and not lines[-1][1]:
        lines.pop()
    if not lines:
        raise InputError(f"{path}: no names; write one per line")
    rows = _name_rows(path, lines)
    for row in rows:
        if not row.name:
            raise InputError(f"{path}, line {row.line}: empty; line k names class id k - 1")
        if row.name == LABELME_IGNORED and row is not rows[0]:
            raise InputError(f"{path}, line {row.line}: {LABELME_IGNORED} is no class; it can only be the first line")
        if [other.name for other in rows].index(row.name) != rows.index(row):
            raise InputError(f"{path}, line {row.line}: {shortened(row.name, MAX_NAME)!r} occurs twice")
    names = tuple(row.name for row in in_order_of_ids(path, [row for row in rows if not _is_no_class(row)]))
    if not names:
        raise InputError(f"{path}: no names; write one per line")
    if LABELME_BACKGROUND in names[1:]:
        raise InputError(f"{path}: {LABELME_BACKGROUND} is class 0, so it must be the first name")
    return names


def parse_value_map(text: str) -> dict[int, int]:
    """Parses "255:1,7:3" to {255: 1, 7: 3}, {label value: class id}, and "5..7:2" to {5: 2, 6: 2, 7: 2}.

    Raises InputError for other text, and for a value that gets two classes.
    """
    form = re.compile(r"(\d{1,5})(?:\.\.(\d{1,5}))?:(\d{1,3})")
    parts = [form.fullmatch(part.strip()) for part in text.split(",")] if text else []
    if not all(part and int(part[3]) <= IGNORE_LABEL and int(part[1]) <= int(part[2] or part[1]) for part in parts):
        raise InputError(
            f"--map={shortened(text, MAX_NAME)}: give mask value:class id, e.g. 255:1, 10:0,20:1 or, for a range, "
            "1..254:1; class ids are 0 to 255"
        )
    found = {}
    for first, last, class_id in (part.groups() for part in parts):
        for value in range(int(first), int(last or first) + 1):
            if found.setdefault(value, int(class_id)) != int(class_id):
                raise InputError(
                    f"--map={shortened(text, MAX_NAME)}: {value} gets the classes {found[value]} and {class_id}"
                )
    return found


def _is_no_class(row):
    is_255 = row.class_id == IGNORE_LABEL and row.is_ignored
    return row.name == LABELME_IGNORED or row.class_id == IGNORED_ID or is_255


def _name_rows(path, lines):
    """Reads (line number, text) as ClassRows: names, or names with ids before or after them, or columns."""
    table = [split_fields(text, number) for number, text in lines if text]
    if not table or table[0].text[0] in "{[":
        raise InputError(f"{path}: no list of names; write one class name per line")
    if all(has_colors(row.text) for row in table):
        raise InputError(f"{path}: its lines have colours; give it as --palette, or leave only the names in it")
    if is_header(table[0], with_colors=False):
        return _name_columns(path, table)
    for form in (ID_AND_NAME, NAME_AND_ID, ID_BLANK_NAME, NAME_BLANK_ID):
        found = [form.fullmatch(row.text) for row in table]
        if not all(found):
            continue
        rows = [
            ClassRow(row.line, match["name"], class_id=int(match["id"]))
            for row, match in zip(table, found, strict=True)
        ]
        if form in (ID_AND_NAME, NAME_AND_ID) or has_ids([row for row in rows if not _is_no_class(row)]):
            return rows
        if form is ID_BLANK_NAME and len({row.class_id for row in rows}) == len(rows):
            ids = listed(row.class_id for row in rows)
            raise InputError(f"{path}: its lines begin with {ids}; ids must be 0 to {len(rows) - 1}, as in 0,sky")
    return [ClassRow(number, text.rstrip(SEPARATORS).rstrip()) for number, text in lines]


def _name_columns(path, table):
    """Reads the rows below a header: a column of names, and one of ids if it has a second one."""
    header, *rows = table
    columns = column_names(header)
    id_place, name_place = column(columns, ID_COLUMNS), column(columns, NAME_COLUMNS)
    if header.text == header.values[0]:
        raise InputError(f"{path}, {header.shown} looks like a header; remove the line")
    if id_place is None:
        return [ClassRow(row.line, row.text.rstrip(SEPARATORS).rstrip()) for row in rows]
    form = (ID_AND_NAME, ID_BLANK_NAME) if id_place < name_place else (NAME_AND_ID, NAME_BLANK_ID)
    found = [form[0].fullmatch(row.text) or form[1].fullmatch(row.text) for row in rows]
    if None in found or len(columns) != 2:
        row = rows[found.index(None)] if None in found else header
        raise InputError(f"{path}, {row.shown} does not have the columns id and name")
    return [
        ClassRow(row.line, match["name"], class_id=int(match["id"])) for row, match in zip(rows, found, strict=True)
    ]
