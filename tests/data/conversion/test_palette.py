"""Text that describes classes."""

import pytest

from tfseg.data.conversion.palette import parse_value_map, read_names, read_palette
from tfseg.errors import InputError


@pytest.fixture
def text(tmp_path):
    """text(content) writes a file with this content and returns its path."""

    def write(content):
        path = tmp_path / "classes.txt"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write


def test_a_palette_line_begins_or_ends_with_its_colour(text):
    palette = read_palette(text("# my classes\nsky 0 0 255\n128,64,128,traffic light\n\nvoid 0 0 0\nsky 0 0 200\n"))
    assert palette.class_names == ("sky", "traffic light")
    assert palette.colors == ((0, 0, 255), (128, 64, 128))
    assert palette.class_ids == {(0, 0, 255): 0, (128, 64, 128): 1, (0, 0, 0): 255, (0, 0, 200): 0}


@pytest.mark.parametrize("line", ["sky", "sky 0 0", "sky 0 0 256", "0 0 0", "sky 0 0 -1"])
def test_a_palette_line_without_name_and_colour_is_named(text, line):
    with pytest.raises(InputError, match=r"classes\.txt, line 2: "):
        read_palette(text(f"road 1 2 3\n{line}\n"))


def test_a_colour_twice_and_an_empty_palette_are_refused(text):
    with pytest.raises(InputError, match=r"line 2: colour \(1, 2, 3\) occurs twice"):
        read_palette(text("road 1 2 3\nsky 1 2 3\n"))
    with pytest.raises(InputError, match="no class"):
        read_palette(text("void 0 0 0\n"))


def test_names_are_lines(text):
    assert read_names(text("sky\r\ntraffic light\r\nStraße\r\n\r\n")) == ("sky", "traffic light", "Straße")
    assert read_names(text(b"\xef\xbb\xbfsky\n")) == ("sky",)


def test_bad_names_are_refused_by_line(text):
    with pytest.raises(InputError, match=r"classes\.txt, line 2: empty"):
        read_names(text("sky\n\nroad\n"))
    with pytest.raises(InputError, match=r"classes\.txt, line 2: 'sky' occurs twice"):
        read_names(text("sky\nsky\n"))
    with pytest.raises(InputError, match=r"classes\.txt: no names"):
        read_names(text("\n"))
    with pytest.raises(InputError, match=r"classes\.txt: not a text file"):
        read_names(text(b"\xff\xfe\x00"))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.txt: No such file"):
        read_palette(tmp_path / "none.txt")


def test_a_map_is_pairs_of_label_value_and_class_id():
    assert parse_value_map("255:1, 1000:3") == {255: 1, 1000: 3}
    assert parse_value_map("") == {}


def test_a_map_may_have_ranges():
    assert parse_value_map("0:0,5..7:2") == {0: 0, 5: 2, 6: 2, 7: 2}
    assert set(parse_value_map("1..254:1").values()) == {1} and len(parse_value_map("1..254:1")) == 254
    with pytest.raises(InputError, match=r"--map=1..9:1,4:2: 4 gets the classes 1 and 2"):
        parse_value_map("1..9:1,4:2")


@pytest.mark.parametrize("text", ["255", "255:", "a:1", "1:256", "1:2;3:4", "-1:0", "5..3:1", "1..:2"])
def test_a_map_that_cannot_be_read_is_shown(text):
    with pytest.raises(InputError, match=f"--map={text}: give mask value:class id"):
        parse_value_map(text)
