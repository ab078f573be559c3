"""Small files that people and programs change (JSON, CSV, text): read whole, and checked against declared types.

A dataclass declares what a file holds. `typed` makes the dataclass from JSON types and names the first value that does
not fit by its place, e.g. `splits.val.label_histogram[3]`. What a type cannot say is an annotation of the field:

  @dataclasses.dataclass(frozen=True)
  class Split:
      num_examples: Count
      label_histogram: list[Count]
"""

import collections
import contextlib
import csv
import dataclasses
import difflib
import functools
import hashlib
import json
import math
import re
import reprlib
import types
import typing

from tfseg.errors import InputError, listed, shortened
from tfseg.system.files import failure, open_regular

MAX_BYTES = 16 << 20
LARGEST_WHOLE = 2**53  # beyond it, other programs read a whole number of JSON as another one
SEAL = "checksum"


class FieldError(ValueError):
    """A value does not fit its type. The text is its place in the file, what is wrong, and the value."""

    def __init__(self, field, problem):
        super().__init__(f"{field} {problem}" if field else problem)


@dataclasses.dataclass(frozen=True)
class Within:
    """Annotates a number that must be in [least, most]."""

    least: float
    most: float = math.inf

    def problem(self, value) -> str | None:
        if value < self.least:
            return f"is {_shown(value)}; it must be {self.least} or more"
        return f"is {_shown(value)}; it must be at most {self.most}" if value > self.most else None


@dataclasses.dataclass(frozen=True)
class Matches:
    """Annotates a text that must match a pattern as a whole; `meaning` says in words what is wanted."""

    pattern: str
    meaning: str

    def problem(self, value) -> str | None:
        return None if re.fullmatch(self.pattern, value) else f"is {_shown(value)}, not {self.meaning}"


class Open:
    """Base of a dataclass whose file may hold further fields, which are ignored. Other dataclasses refuse them."""


Count = typing.Annotated[int, Within(0, LARGEST_WHOLE)]
AtLeastOne = typing.Annotated[int, Within(1, LARGEST_WHOLE)]
NotNegative = typing.Annotated[float, Within(0)]
Rate = typing.Annotated[float, Within(0, 1)]
Sha256 = typing.Annotated[str, Matches("[0-9a-f]{64}", "64 hex digits")]


@contextlib.contextmanager
def damage_named(path, advice: str):
    """Turns a FieldError into an InputError that names the file and says what to do."""
    try:
        yield
    except FieldError as error:
        raise InputError(f"{path}: damaged ({error}); {advice}") from None


def read_bytes(path, max_bytes: int = MAX_BYTES) -> bytes:
    """Reads a whole file.

    Raises:
      InputError: it is no regular file, or it cannot be read.
      FieldError: it is larger than `max_bytes`.
      FileNotFoundError, NotADirectoryError: there is no such file.
    """
    try:
        with open_regular(path) as file:
            content = file.read(max_bytes + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({failure(error)})") from None
    if len(content) > max_bytes:
        raise FieldError("", f"more than {max_bytes >> 20} MB, which no such file has")
    return content


def text_of(content: bytes) -> str:
    """Decodes UTF-8, with or without a byte order mark. Raises FieldError."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FieldError("", f"byte {error.start} is not UTF-8") from None


def json_of(content: bytes):
    """Parses JSON. Raises FieldError, also for a field that is there twice."""
    try:
        return json.loads(text_of(content), object_pairs_hook=_object)
    except FieldError:
        raise
    except RecursionError:
        raise FieldError("", "nested too deeply") from None
    except json.JSONDecodeError as error:
        raise FieldError("", f"not JSON: {error}") from None
    except ValueError:  # Python's limit for the digits of a number
        raise FieldError("", "a number with thousands of digits") from None


def read_json(path, max_bytes: int = MAX_BYTES):
    """Reads a JSON file; errors are those of `read_bytes` and `json_of`."""
    return json_of(read_bytes(path, max_bytes))


def read_csv(path, row_type) -> list:
    """Reads a CSV file of numbers whose first line names the columns.

    Args:
      path: the file.
      row_type: a dataclass of a row; columns that it does not have are ignored, an empty cell is None.
    Raises:
      FieldError: a line does not fit `row_type`. Other errors are those of `read_bytes`.
    """
    fields = {field.name for field in dataclasses.fields(row_type)}
    rows = []
    for number, row in csv_rows(text_of(read_bytes(path))):
        cells = {name: number_of(text, f"line {number}, {name}") for name, text in row.items() if name in fields}
        rows.append(typed(row_type, cells, f"line {number},", separator=" "))
    return rows


def csv_rows(text: str):
    """Yields (line number, {column: text}) of every row of a CSV file. Raises FieldError at a row that is none."""
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        columns = next(reader, [])
        if bad := [name for name in columns if not name.isprintable()]:
            raise FieldError("line 1", f"names a column {_shown(bad[0])}")
        for row in reader:
            if len(row) != len(columns):
                raise FieldError(f"line {reader.line_num}", f"has {len(row)} values for {len(columns)} columns")
            yield reader.line_num, dict(zip(columns, row, strict=True))
    except csv.Error as error:
        raise FieldError(f"line {reader.line_num}", f"is not CSV ({error})") from None


def number_of(text: str, field: str) -> int | float | None:
    """Returns the number that a text is, None for an empty one. Raises FieldError for any other text."""
    if not text.strip():
        return None
    try:
        return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else float(text)
    except ValueError:
        raise FieldError(field, f"is {_shown(text)}, not a number") from None


def typed(hint, value, field: str = "", separator: str = "."):
    """Returns a value of JSON types as the type that a hint names.

    Args:
      hint: bool, int, float (finite), str, a dataclass, list, tuple, frozenset or dict of them, X | None, Any, or one
        of them annotated.
      value: JSON types; tuples are taken as well.
      field: place of the value in the file, for messages.
      separator: text between the place and the name of a field.
    Raises:
      FieldError: the value does not fit.
    """
    if typing.get_origin(hint) is typing.Annotated:
        hint, *constraints = typing.get_args(hint)
        value = typed(hint, value, field)
        for problem in (constraint.problem(value) for constraint in constraints):
            if problem:
                raise FieldError(field, problem)
        return value
    origin, members = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and types.NoneType in members:
            return None
        return typed(next(one for one in members if one is not types.NoneType), value, field)
    if origin is dict and isinstance(value, dict):
        return {key: typed(members[1], one, _joined(field, key)) for key, one in value.items()}
    if origin in (list, tuple, frozenset) and isinstance(value, list | tuple):
        return _typed_items(origin, members, value, field)
    if dataclasses.is_dataclass(hint):
        return _typed_fields(hint, value, field, separator)
    return _typed_scalar(hint, value, field)


def _typed_items(origin, members, value, field):
    if origin is tuple and members[1:] != (Ellipsis,):
        if len(members) != len(value):
            raise FieldError(field, f"takes {len(members)} values, not {_shown(value)}")
    else:
        members = members[:1] * len(value)
    pairs = enumerate(zip(members, value, strict=True))
    return origin(typed(hint, one, f"{field}[{index}]") for index, (hint, one) in pairs)


def _typed_fields(cls, values, field, separator):
    if not isinstance(values, dict):
        raise FieldError(field or "the file", f"is a group of fields, not {_shown(values)}")
    hints, known = _hints(cls), {one.name: one for one in dataclasses.fields(cls) if one.init}
    if not issubclass(cls, Open):
        refuse_unknown(values, known, field)
    prefix = f"{field}{separator}" if field else ""
    parts = {}
    for name, one in known.items():
        if name in values:
            parts[name] = typed(hints[name], values[name], prefix + name)
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise FieldError(prefix + name, "is missing")
    try:
        return cls(**parts)
    except FieldError as error:
        raise FieldError("", prefix + str(error)) from None
    except ValueError as error:  # of the dataclass' own checks
        raise FieldError(field, str(error)) from None


def refuse_unknown(values, known, field: str = ""):
    """Raises FieldError, which suggests the nearest known name, for the first of `values` that is not in `known`."""
    for key in values:
        if key not in known:
            nearest = difflib.get_close_matches(key, list(known), n=1)
            hint = f"; did you mean {nearest[0]!r}?" if nearest else f"; known: {listed(sorted(known))}"
            problem = f"no field {_shown(key)}{hint}"
            raise FieldError(field, f"has {problem}" if field else problem)


def _typed_scalar(hint, value, field):
    if hint is typing.Any:
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if hint is float and is_number:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if not math.isfinite(number):
            raise FieldError(field, f"is {_shown(value)}; it must be a finite number")
        return number
    if hint is int and type(value) is int and abs(value) >= 2**63:  # NumPy holds no larger ones
        raise FieldError(field, f"is {_shown(value)}, which is too large")
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and not is_number):
        return value
    raise FieldError(field, f"takes {getattr(hint, '__name__', hint)}, not {_shown(value)}")


def sealed(values: dict) -> dict:
    """Returns JSON values with their checksum in the field "checksum", so that `check_seal` finds any later change."""
    values = json.loads(json.dumps({key: value for key, value in values.items() if key != SEAL}))
    return values | {SEAL: _checksum(values)}


def check_seal(values: dict):
    """Raises FieldError if the checksum that `sealed` added does not fit; values without one are taken."""
    if SEAL in values and values[SEAL] != _checksum({key: value for key, value in values.items() if key != SEAL}):
        raise FieldError(SEAL, "is not that of the other fields: one was changed by hand; without it they are accepted")


def _checksum(values):
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _object(pairs):
    values = dict(pairs)
    if len(values) < len(pairs):
        (name, _), *_ = collections.Counter(name for name, _ in pairs).most_common(1)
        raise FieldError("", f"the field {_shown(name)} is there twice")
    return values


@functools.cache
def _hints(cls):
    return typing.get_type_hints(cls, include_extras=True)


def _joined(field, key):
    return f"{field}.{key}" if re.fullmatch(r"[\w-]{1,40}", key) else f"{field}[{_shown(key)}]"


def _shown(value):
    return shortened(reprlib.repr(value), 60)
