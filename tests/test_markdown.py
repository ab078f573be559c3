"""Tables are Markdown, and line up as plain text, too."""

import pytest

from tfseg.markdown import table


def test_columns_line_up_the_first_to_the_left_and_the_others_to_the_right():
    assert table(["a", "long"], [["first", "1"], ["b", "022"]]) == (
        "| a     | long |\n|-------|-----:|\n| first |    1 |\n| b     |  022 |"
    )


def test_columns_go_to_the_side_that_is_given():
    assert table(["n", "name"], [["12", "a"]], [True, False]) == "|  n | name |\n|---:|------|\n| 12 | a    |"


def test_a_table_without_rows_keeps_its_alignment():
    assert table(["class", "n"], []) == "| class | n |\n|-------|--:|"


def test_a_bar_in_a_text_is_no_border():
    assert table(["a|b", "n"], [["x", "1"]]).splitlines() == [r"| a\|b | n |", "|------|--:|", "| x    | 1 |"]


def test_a_row_of_another_length_is_an_error():
    with pytest.raises(ValueError):
        table(["a", "b"], [["1"]])
