"""Lists and texts in messages stay short, and keep their beginning and their end."""

import pytest

from tfseg.errors import MAX_MESSAGE, InputError, RunError, listed, shortened


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], ""),
        (["sky"], "sky"),
        ("abcde", "a, b, c, d, e"),
        ("abcdef", "a, b, c, d, e and 1 more"),
        (range(1000), "0, 1, 2, 3, 4 and 995 more"),
        (dict.fromkeys("ab"), "a, b"),
        (["a\nb"], "a b"),
        (["x" * 100], f"{'x' * 28} ... {'x' * 27}"),
    ],
)
def test_at_most_five_names_are_listed(names, text):
    assert listed(names) == text


def test_names_can_be_separated_otherwise():
    assert listed("abcdef", "; ") == "a; b; c; d; e and 1 more"


@pytest.mark.parametrize("length", [0, 10, 299, 300, 301, 1000, 100_000])
def test_a_text_is_cut_in_its_middle(length):
    text = f"a/b: {'x' * length}; give another"
    short = shortened(text)
    assert len(short) <= MAX_MESSAGE
    assert short.startswith("a/b: ") and short.endswith("; give another")
    assert (short == text) == (len(text) <= MAX_MESSAGE)


@pytest.mark.parametrize("limit", [10, 11, 60, 120])
def test_a_text_fills_its_limit(limit):
    assert len(shortened("x" * 1000, limit)) == limit


@pytest.mark.parametrize("error", [InputError, RunError])
def test_a_message_is_one_line_whatever_the_name_in_it(error):
    assert str(error("a\u2028b\nc\x00.png: damaged")) == "a b c .png: damaged"
