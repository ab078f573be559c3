"""Values of label files mean the same in all files of a set, or the set is refused with two files that differ."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.formats.png_files import grey_png
from tfseg.data.conversion.agreement import agreed
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule, read_stored_label

BLACK, WHITE, RED, BLUE, GREEN = (0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 0, 255), (0, 255, 0)


def stored(name, content):
    return read_stored_label(io.BytesIO(content), LabelRule(None), name=f"set/{name}").values


def indexed(name, colors, values, form="PNG"):
    """A file with a palette of these colours, in which these indices occur."""
    image = Image.fromarray(np.uint8([values]), "P")
    image.putpalette([level for color in colors for level in color])
    file = io.BytesIO()
    image.save(file, form)
    return stored(name, file.getvalue())


def grey(name, values, bits=8):
    return stored(name, grey_png(np.uint8([values]), bits))


def bilevel(name, form="TIFF", values=(False, True)):
    file = io.BytesIO()
    Image.fromarray(np.array([values])).save(file, form)
    return stored(name, file.getvalue())


PALETTES_THAT_AGREE = {
    "the same": [indexed("a", [BLACK, RED, BLUE], [0, 1, 2]), indexed("b", [BLACK, RED, BLUE], [2, 0])],
    "of other lengths": [indexed("a", [BLACK, RED, BLUE], [0, 1]), indexed("b", [BLACK, RED], [0, 1])],
    "other in what does not occur": [
        indexed("a", [BLACK, RED, GREEN], [0, 1]),
        indexed("b", [BLACK, RED, BLUE], [0, 2]),
    ],
    "exchanged where it does not occur": [indexed("a", [RED, BLUE], [0]), indexed("b", [RED, GREEN], [0, 1])],
    "a colour twice": [indexed("a", [BLACK, BLACK, RED], [0, 2]), indexed("b", [BLACK, BLACK, RED], [1, 2])],
    "a colour twice, cut": [indexed("a", [BLACK, RED], [0, 1]), indexed("b", [BLACK, RED, BLACK], [1, 2])],
    "GIF and PNG": [indexed("a", [BLACK, RED, BLUE], [0, 1, 2], "GIF"), indexed("b", [BLACK, RED, BLUE], [0, 1, 2])],
}


@pytest.mark.parametrize("files", PALETTES_THAT_AGREE.values(), ids=PALETTES_THAT_AGREE)
def test_palettes_that_agree_in_what_occurs_are_accepted_silently(files):
    assert agreed(files) == agreed(files[::-1]) == []


PALETTES_THAT_DIFFER = {
    "a colour at two indices": ([indexed("a", [BLACK, RED], [0, 1]), indexed("b", [RED, BLACK], [0, 1])], "colour"),
    "an index of two colours": ([indexed("a", [BLACK, RED], [0, 1]), indexed("b", [BLACK, BLUE], [0, 1])], "index 1"),
    "in the third file": (
        [
            indexed("c", [BLACK, RED], [0]),
            indexed("a", [BLACK, RED], [1]),
            indexed("b", [BLACK, GREEN, RED], [0, 2]),
        ],
        "colour",
    ),
    "moved by an unused colour": (
        [indexed("a", [BLACK, RED], [0, 1]), indexed("b", [GREEN, BLACK, RED], [1, 2])],
        "colour",
    ),
    "one bit of grey among palettes": ([indexed("a", [BLACK, RED], [0, 1]), grey("b", [0, 1], 1)], "index 1"),
}


@pytest.mark.parametrize("files, reason", PALETTES_THAT_DIFFER.values(), ids=PALETTES_THAT_DIFFER)
def test_palettes_that_differ_are_refused_with_both_files_and_the_flag(files, reason):
    for order in (files, files[::-1]):
        with pytest.raises(InputError) as caught:
            agreed(order)
        message = str(caught.value)
        assert message.startswith(("set/a and b: ", "set/b and a: ")) and f" {reason} " in message
        assert "--palette=FILE" in message and len(message) < 250


def test_the_flag_is_suggested_only_where_it_is_taken():
    files, _ = PALETTES_THAT_DIFFER["a colour at two indices"]
    with pytest.raises(InputError) as caught:
        agreed(files, takes_palette=False)
    assert str(caught.value).endswith("class ids; save the masks as grey PNGs of class ids")


FEW_BITS = {
    "1 bit": grey("few", [0, 1], 1),
    "2 bits": grey("few", [0, 3], 2),
    "4 bits": grey("few", [0, 7], 4),
    "TIFF": bilevel("few"),
    "fax": bilevel("few", "TIFF"),
    "BMP": bilevel("few", "BMP"),
    "PBM": bilevel("few", "PPM"),
    "PGM": stored("few", b"P5 2 1 9\n\0\1"),
}


@pytest.mark.parametrize("few", FEW_BITS.values(), ids=FEW_BITS)
def test_few_bits_among_eight_are_never_guessed(few):
    for files in ([grey("a", [0, 1, 255]), few], [few, grey("a", [0])]):
        with pytest.raises(
            InputError, match=r"^set/few has \d bits? per pixel, a has 8 or more: value .* save all masks"
        ):
            agreed(files)


@pytest.mark.parametrize("few", FEW_BITS.values(), ids=FEW_BITS)
def test_few_bits_throughout_keep_their_values_and_that_is_said(few):
    (note,) = agreed([few, grey("a", [0, 1], 1)])
    assert note.startswith("note: the masks have fewer than 8 bits per pixel, e.g. set/few; their values are taken as")


def test_black_means_the_same_in_any_number_of_bits():
    assert agreed([grey("a", [0, 0], 1), grey("b", [0, 255])]) == []


MIXED = {
    "white is 255 in one and index 1 in the other": [indexed("p", [BLACK, WHITE, RED], [0, 1, 2]), grey("g", [0, 255])],
    "only greys, an optimiser's": [indexed("p", [BLACK, (1, 1, 1), WHITE], [0, 2]), grey("g", [0, 1])],
    "black elsewhere": [indexed("p", [RED, BLACK], [0, 1]), grey("g", [0, 1])],
}


@pytest.mark.parametrize("files", MIXED.values(), ids=MIXED)
def test_palettes_that_show_grey_values_elsewhere_are_not_mixed_with_grey_files(files):
    for order in (files, files[::-1]):
        with pytest.raises(
            InputError, match=r"^set/p has a palette, g is grey: viewers show index \d as grey \d+, so it"
        ):
            agreed(order)


def test_ids_with_a_palette_and_without_may_be_mixed_and_that_is_said():
    files = [indexed("p", [BLACK, RED, BLUE], [0, 1, 2]), grey("g", [0, 1, 255])]
    (note,) = agreed(files)
    assert note.startswith("note: some masks have a palette, e.g. set/p, others are grey; palette indices and grey")


def test_a_colour_that_a_palette_has_twice_is_also_at_the_grey_files_value():
    assert len(agreed([indexed("p", [BLACK, RED, BLACK], [1, 2]), grey("g", [0, 1])])) == 1


def test_a_grey_file_stored_with_a_palette_of_its_greys_is_the_same():
    (note,) = agreed([indexed("p", [(value,) * 3 for value in range(3)], [0, 1, 2]), grey("g", [0, 1, 2])])
    assert note.startswith("note: ")


def test_no_files_and_grey_files_say_nothing():
    assert agreed([]) == agreed([grey("a", [0, 1]), grey("b", [0, 2, 255])]) == []
