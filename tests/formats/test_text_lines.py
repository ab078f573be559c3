"""Text files of strangers: lines, or one line that says why not."""

import os

import pytest

from tfseg.errors import InputError
from tfseg.formats.text_lines import read_lines


def test_lines_have_neither_ends_nor_a_byte_order_mark(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeffé\r\nb\n\nc".encode())
    assert read_lines(tmp_path / "a.txt") == ["é", "b", "", "c"]


def test_what_is_no_text_file_is_named_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "link").symlink_to(tmp_path / "nothing")
    for name, message in {
        "pipe": "not a regular file",
        "binary": "not a text file in UTF-8",
        "link": "No such file",
        ".": "not a regular file",
    }.items():
        with pytest.raises(InputError, match=message):
            read_lines(tmp_path / name)


@pytest.mark.parametrize("control", ["\0", "\x07", "\x1b", "\x7f"])
def test_control_characters_are_no_part_of_a_name(tmp_path, control):
    (tmp_path / "a.txt").write_text(f"sky\nca{control}r\n")
    with pytest.raises(InputError, match=r"a\.txt, line 2: holds a control character"):
        read_lines(tmp_path / "a.txt")
    (tmp_path / "a.txt").write_text("sky\t1\n")
    assert read_lines(tmp_path / "a.txt") == ["sky\t1"]
