"""Small files: whatever is in them, they are read as declared, or one value is named by its place."""

import dataclasses
import typing

import pytest

from tfseg.errors import InputError
from tfseg.system.small_files import (
    AtLeastOne,
    Count,
    FieldError,
    Matches,
    NotNegative,
    Open,
    Rate,
    check_seal,
    damage_named,
    json_of,
    read_csv,
    read_json,
    sealed,
    typed,
)


@dataclasses.dataclass(frozen=True)
class Part:
    counts: list[Count]
    size: tuple[AtLeastOne, AtLeastOne] = (1, 1)
    share: Rate = 0.5

    def __post_init__(self):
        if len(self.counts) > 3:
            raise ValueError(f"{len(self.counts)} counts, at most 3")


@dataclasses.dataclass(frozen=True)
class File:
    name: typing.Annotated[str, Matches("[a-z]+", "small letters")]
    parts: dict[str, Part]
    ids: frozenset[int] = frozenset()
    pairs: tuple[tuple[int, float], ...] = ()
    note: str | None = None
    is_whole: bool = True


@dataclasses.dataclass(frozen=True)
class OpenFile(Open):
    name: str


VALUES = {"name": "toy", "parts": {"val": {"counts": [1, 2], "size": [3, 4], "share": 1}}, "ids": [1, 2, 1]}


def test_values_that_fit_become_the_dataclass():
    file = typed(File, VALUES | {"pairs": [[1, 2], [3, 0.5]], "note": None})
    assert file == File("toy", {"val": Part([1, 2], (3, 4), 1.0)}, frozenset({1, 2}), ((1, 2.0), (3, 0.5)))
    assert isinstance(file.parts["val"].share, float)


def changed(place, value):
    """VALUES with another value at a place like ("parts", "val", "counts")."""

    def change(part, keys):
        if not keys:
            return value
        return part | {keys[0]: change(part.get(keys[0], {}), keys[1:])}

    return change(VALUES, place)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((), [], "the file is a group of fields, not []"),
        ((), None, "the file is a group of fields, not None"),
        (("name",), 7, "name takes str, not 7"),
        (("name",), "A", "name is 'A', not small letters"),
        (("parts",), [], "parts takes dict, not []"),
        (("parts", "val"), 5, "parts.val is a group of fields, not 5"),
        (("parts", "val"), {}, "parts.val.counts is missing"),
        (("parts", "val", "counts"), [1, 2.0], "parts.val.counts[1] takes int, not 2.0"),
        (("parts", "val", "counts"), [True], "parts.val.counts[0] takes int, not True"),
        (("parts", "val", "counts"), [1, -1], "parts.val.counts[1] is -1; it must be 0 or more"),
        (("parts", "val", "counts"), [10**30], "parts.val.counts[0] is 1000"),
        (("parts", "val", "counts"), "12", "parts.val.counts takes list, not '12'"),
        (("parts", "val", "counts"), [1, 2, 3, 4], "parts.val 4 counts, at most 3"),
        (("parts", "val", "size"), [1], "parts.val.size takes 2 values, not [1]"),
        (("parts", "val", "size"), [1, 0], "parts.val.size[1] is 0; it must be 1 or more"),
        (("parts", "val", "share"), 1.5, "parts.val.share is 1.5; it must be at most 1"),
        (("parts", "val", "share"), float("nan"), "parts.val.share is nan; it must be a finite number"),
        (("parts", "val", "share"), 10**400, "parts.val.share is 1000"),
        (("parts", "val", "share"), "0.5", "parts.val.share takes float, not '0.5'"),
        (("parts", "val", "shares"), 1, "parts.val has no field 'shares'; did you mean 'share'?"),
        (("parts", "a/b"), 1, "parts['a/b'] is a group of fields, not 1"),
        (("ids",), [[1]], "ids[0] takes int, not [1]"),
        (("pairs",), [[1, 2], [1]], "pairs[1] takes 2 values, not [1]"),
        (("pairs",), {"1": 2}, "pairs takes tuple, not {'1': 2}"),
        (("note",), 1, "note takes str, not 1"),
        (("is_whole",), 1, "is_whole takes bool, not 1"),
        (("x" * 1000,), 1, "no field 'xxxx"),
        (("note",), {"a": ["b" * 1000] * 1000}, "note takes str, not {'a': ["),
    ],
)
def test_the_first_value_that_does_not_fit_is_named_by_its_place(place, value, message):
    with pytest.raises(FieldError) as caught:
        typed(File, changed(place, value))
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 200


def test_an_open_file_may_hold_more():
    assert typed(OpenFile, {"name": "a", "of a later version": 1}) == OpenFile("a")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not JSON: Expecting value"),
        (b"{", "not JSON: "),
        (b'{"a": 1,}', "not JSON: "),
        (b'{"a": 1} x', "not JSON: Extra data"),
        (b'{"a": "\xe9"}', "byte 7 is not UTF-8"),
        (b"\xff\xfe{\x00}\x00", "byte 0 is not UTF-8"),
        (b'{"a": {"b": 1, "c": 2, "b": 3}}', "the field 'b' is there twice"),
        (b"[" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000, "nested too deeply"),
        (b"9" * 5000, "a number with thousands of digits"),
    ],
)
def test_what_is_no_json_says_why(content, message):
    with pytest.raises(FieldError, match=message):
        json_of(content)


def test_a_byte_order_mark_is_no_fault():
    assert json_of(b'\xef\xbb\xbf{"a": 1}') == {"a": 1}


def test_a_file_is_read_no_further_than_its_limit(tmp_path):
    path = tmp_path / "manifest.json"
    with open(path, "wb") as file:
        file.truncate(10 << 30)
    message = r"manifest.json: damaged \(more than 16 MB, .+\); write it again"
    with pytest.raises(InputError, match=message), damage_named(path, "write it again"):
        read_json(path)


def test_a_missing_file_stays_the_callers_matter(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_json(tmp_path / "config.json")
    (tmp_path / "a").mkdir()
    with pytest.raises(InputError, match="a: a folder"):
        read_json(tmp_path / "a")


@dataclasses.dataclass(frozen=True)
class Point:
    iteration: AtLeastOne
    cost: NotNegative
    miou: Rate | None = None


@pytest.mark.parametrize(
    "text", ["iteration,cost,miou\n1,0.5,\n2,3,1\n", "miou,x,iteration,cost\r\n,,1,.5\r\n1,,2,3\r\n"]
)
def test_rows_of_a_csv_file_become_the_dataclass(tmp_path, text):
    (tmp_path / "a.csv").write_text(text)
    assert read_csv(tmp_path / "a.csv", Point) == [Point(1, 0.5), Point(2, 3.0, 1.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("iteration,cost\n1,x\n", "line 2, cost is 'x', not a number"),
        ("iteration,cost\n1,1\n1.5,1\n", "line 3, iteration takes int, not 1.5"),
        ("iteration,cost\n1,1\n0,1\n", "line 3, iteration is 0; it must be 1 or more"),
        ("iteration,cost\n1,nan\n", "line 2, cost is nan; it must be a finite number"),
        ("iteration,cost\n1,1e999\n", "line 2, cost is inf; it must be a finite number"),
        ("iteration,cost\n1,\n", "line 2, cost takes float, not None"),
        ("iteration,price\n1,2\n", "line 2, cost is missing"),
        ("iteration,cost\n1,2,3\n", "line 2 has 3 values for 2 columns"),
        ("iteration,cost\n1\n", "line 2 has 1 values for 2 columns"),
        ('iteration,cost\n1,"2\n', "line 2 is not CSV"),
        ("iteration,cost\n" + "9" * 400 + ",1\n", "line 2, iteration takes int, not inf"),
        (b"iteration,cost\n\xff,1\n", "byte 15 is not UTF-8"),
    ],
)
def test_the_line_of_a_csv_file_that_does_not_fit_is_named(tmp_path, text, message):
    (tmp_path / "a.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(FieldError) as caught:
        read_csv(tmp_path / "a.csv", Point)
    assert str(caught.value).startswith(message)


def test_any_later_change_of_sealed_values_is_found():
    values = sealed({"counts": (1, 2.5), "names": {"b": None, "ä": "\ud800", "10": 1e-30}})
    check_seal(values)
    check_seal(dict(reversed(values.items())))
    check_seal({"counts": [1, 2]})  # written by an earlier version
    assert sealed(values) == values
    for other in ({"counts": [1, 2.4]}, {"counts": [2.5, 1]}, {"more": 1}, {"checksum": 5}, {"checksum": "0" * 64}):
        with pytest.raises(FieldError, match="checksum is not that of the other fields"):
            check_seal(values | other)
