"""Compares how the label files of a set store their values. A file alone does not tell what its values stand for.

A program that makes a palette for every file, or that stores grey values in as few bits as one file needs, keeps what
viewers show and changes the values. Between files of a set that can be seen: a colour then has several values, or a
value several colours.
"""

import os
from collections.abc import Iterable

from tfseg.errors import InputError
from tfseg.formats.label_file import StoredValues


def agreed(stored: Iterable[StoredValues], takes_palette: bool = True) -> list[str]:
    """Checks that a value stands for the same in all label files of a set.

    - Files with palettes: among the values that occur, each has one colour, and each colour one value.
    - Grey files of 1, 2 or 4 bits may not be mixed with others, unless they are all black.
    - Grey files may be mixed with files that have a palette, unless that shows the grey files' values elsewhere.

    Args:
      stored: how files store their values; those that tell no new fact may be missing, and others be there twice.
      takes_palette: whether the user may say what colours mean (--palette), which messages then suggest.
    Returns:
      Notes for the user, one line each.
    Raises:
      InputError: two files contradict each other; the message names both.
    """
    stored = list({id(one): one for one in stored}.values())
    advice = "save the masks as grey PNGs of class ids"
    advice += ", or give --palette=FILE (lines: name red green blue)" if takes_palette else ""
    palettes = [one for one in stored if one.palette is not None]
    greys = [one for one in stored if one.palette is None and one.largest_grey == 255]
    few_bits = [one for one in stored if one.palette is None and one.largest_grey < 255 and set(one.colors) != {0}]
    by_value, by_color = {}, {}
    for one in palettes:
        _compare(one, by_value, by_color, advice)
        for value, color in one.colors.items():
            by_value.setdefault(value, one)
            by_color.setdefault(color, (value, one))
    for one in few_bits if palettes else ():
        _compare(one, by_value, by_color, advice)
    if few_bits and greys:
        raise _few_bits_among_others(few_bits[0], greys[0])
    if palettes and greys:
        _compare_with_greys(greys, by_color, advice)
        return [
            f"note: some masks have a palette, e.g. {palettes[0].name}, others are grey; palette indices and grey "
            "values are both taken as class ids"
        ]
    if few_bits and not palettes:
        return [
            f"note: the masks have fewer than 8 bits per pixel, e.g. {few_bits[0].name}; their values are taken as "
            "class ids as stored (white in 1 bit is class 1)"
        ]
    return []


def _compare(one, by_value, by_color, advice):
    """Raises InputError if a file contradicts those before it, which are kept by their values and by their colours."""
    for value, color in one.colors.items():
        other_value, other = by_color.get(color, (value, None))
        if other_value != value and not _is_twice(color, one, value, other, other_value):
            raise _palettes_differ(one, other, f"colour {color} has index {value} and {other_value}", advice)
    for value, color in one.colors.items():
        other = by_value.get(value)
        if other and other.colors[value] != color:
            raise _palettes_differ(one, other, f"index {value} is {color} and {other.colors[value]}", advice)


def _is_twice(color, one, value, other, other_value):
    """Whether the palettes agree, as far as they go, that both values have this color."""
    if one.palette is None:
        return False
    entries = one.palette[other_value : other_value + 1] + other.palette[value : value + 1]
    return all(entry == color for entry in entries)


def _palettes_differ(one, other, reason, advice):
    beside = name_beside(other.name, one.name)
    return InputError(f"{one.name} and {beside}: {reason}, so their indices cannot both be class ids; {advice}")


def _few_bits_among_others(few, other):
    value, bits = max(few.colors), few.largest_grey.bit_length()
    beside = name_beside(other.name, few.name)
    return InputError(
        f"{few.name} has {bits} bit{'s' * (bits > 1)} per pixel, {beside} has 8 or more: value {value}, which viewers "
        f"show as {few.colors[value][0]}, may mean either; save all masks with 8 bits"
    )


def _compare_with_greys(greys, by_color, advice):
    """Raises InputError if palettes show a value of the grey files at another index."""
    only_greys = all(red == green == blue for red, green, blue in by_color)
    for grey in greys:
        for value, color in grey.colors.items():
            index, other = by_color.get(color, (value, None))
            if index != value and other.palette[value : value + 1] != (color,):
                raise _grey_differs(other, index, color, grey, advice)
    if only_greys:
        for color, (index, other) in by_color.items():
            if color[0] != index:
                raise _grey_differs(other, index, color, greys[0], advice)


def _grey_differs(palette, index, color, grey, advice):
    beside = name_beside(grey.name, palette.name)
    return InputError(
        f"{palette.name} has a palette, {beside} is grey: viewers show index {index} as grey {color[0]}, so it may "
        f"mean either; {advice}"
    )


def name_beside(path: str, other: str) -> str:
    """Returns the place of a file as seen from the folder of another, to name both in one line."""
    return os.path.relpath(path, os.path.dirname(other))
