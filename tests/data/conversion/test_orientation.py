"""Masks of photos with an EXIF orientation: the set shows how they lie, or the user says so; it is never guessed."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tfseg.data.conversion import orientation as module
from tfseg.data.conversion.adaptation import adapted
from tfseg.data.conversion.examples import encode_pair
from tfseg.data.conversion.orientation import with_mask_orientation
from tfseg.data.conversion.raw import ConvertOptions, Listing, RawExample
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule
from tfseg.labels import DatasetInfo, default_colors

INFO = DatasetInfo("toy", ("sky", "road"), default_colors(2))
TURNS = {
    1: lambda values: values,
    2: lambda values: values[:, ::-1],
    3: lambda values: values[::-1, ::-1],
    4: lambda values: values[::-1],
    5: lambda values: np.swapaxes(values, 0, 1),
    6: lambda values: np.rot90(values, -1),
    7: lambda values: np.swapaxes(values[::-1, ::-1], 0, 1),
    8: lambda values: np.rot90(values),
}
UPRIGHT = np.zeros([8, 8], np.uint8)
UPRIGHT[:2, :5] = 1  # no turn and no mirror image of it is the same
UPRIGHT[2, 0] = 255
BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}  # the turn that undoes a turn


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.fixture
def pair(tmp_path, save):
    """pair(name, orientation, drawn, size) writes a photo whose upright picture is its mask, and the mask.

    `drawn` is "upright" or "stored"; `size` is (height, width) of the upright picture. Returns the RawExample.
    """

    def write(name, orientation, drawn, size=(8, 8), mask_orientation=1):
        upright = np.zeros(size, np.uint8)
        upright[: UPRIGHT.shape[0], : UPRIGHT.shape[1]] = UPRIGHT[: size[0], : size[1]]
        as_stored = TURNS[BACK[orientation]](upright)
        photo = np.repeat(np.where(as_stored == 1, 255, 0).astype(np.uint8)[..., np.newaxis], 3, 2)
        mask = as_stored if drawn == "stored" else upright
        options = {"exif": exif(mask_orientation)} if mask_orientation != 1 else {}
        image = save(tmp_path / "images" / f"{name}.png", photo, exif=exif(orientation))
        label = save(tmp_path / "masks" / f"{name}.png", np.ascontiguousarray(mask), **options)
        return RawExample(str(image), str(label), name)

    return write


def converted(examples, **options):
    """The (EncodedExample, label as an array) of all examples, as a conversion makes them."""
    options = ConvertOptions(**options)
    listing = adapted(Listing(INFO, lambda item: encode_pair(item, LabelRule(2)), {"train": examples}), options)
    listing = with_mask_orientation(listing, options)
    return [listing.encode(item) for item in listing.splits["train"]]


def assert_labels_lie_on_their_photos(encoded, decode):
    for one in encoded:
        photo, label = decode(one.image_jpeg), decode(one.label_png)
        np.testing.assert_array_equal(photo[..., 0] > 128, label == 1)


@pytest.fixture
def decode():
    return lambda content: np.asarray(Image.open(io.BytesIO(content)))


@pytest.mark.parametrize("drawn", ["upright", "stored"])
@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_square_photo_alone_needs_the_flag_which_decides(pair, decode, orientation, drawn):
    example = pair("a", orientation, drawn)
    with pytest.raises(
        InputError, match=rf"a\.png: EXIF orientation {orientation}, and no .*--mask_orientation=upright"
    ):
        converted([example])
    (encoded,) = converted([example], mask_orientation=drawn)
    assert_labels_lie_on_their_photos([encoded], decode)
    assert encoded.is_rotated and encoded.is_label_rotated == (drawn == "stored")


@pytest.mark.parametrize("drawn", ["upright", "stored"])
@pytest.mark.parametrize("orientation", [2, 3, 4])
def test_half_turns_and_mirror_images_keep_their_size_and_need_the_flag(pair, decode, orientation, drawn):
    example = pair("a", orientation, drawn, size=(8, 12))
    with pytest.raises(InputError, match="--mask_orientation"):
        converted([example])
    assert_labels_lie_on_their_photos(converted([example], mask_orientation=drawn), decode)


@pytest.mark.parametrize("drawn", ["upright", "stored"])
@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_a_quarter_turn_that_is_not_square_shows_it_for_the_whole_set(pair, decode, orientation, drawn):
    examples = [pair("square", 6, drawn), pair("half", 3, drawn, (8, 12)), pair("turned", orientation, drawn, (12, 8))]
    examples.append(pair("plain", 1, "stored"))
    for order in (examples, examples[::-1]):
        assert_labels_lie_on_their_photos(converted(order), decode)


def test_masks_that_contradict_each_other_are_both_named(pair):
    examples = [pair("a", 6, "upright", (12, 8)), pair("b", 8, "stored", (12, 8)), pair("c", 1, "stored")]
    with pytest.raises(InputError, match=r"b\.png: drawn on its photo as stored, but a\.png on what viewers show"):
        converted(examples)


def test_a_size_against_the_flag_is_refused_with_the_file(pair):
    with pytest.raises(
        InputError, match=r"masks.*a\.png: its size is that of the upright image .* against --mask_orien"
    ):
        converted([pair("a", 6, "upright", (12, 8))], mask_orientation="stored")


def test_photos_without_an_orientation_need_no_flag_and_take_any(pair, decode):
    examples = [pair("a", 1, "stored"), pair("b", 1, "stored", (8, 12))]
    for options in ({}, {"mask_orientation": "upright"}, {"mask_orientation": "stored"}):
        encoded = converted(examples, **options)
        assert_labels_lie_on_their_photos(encoded, decode)
        assert not any(one.is_rotated or one.is_label_rotated for one in encoded)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_mask_with_the_same_orientation_as_its_photo_says_itself_how_it_lies(pair, decode, orientation):
    example = pair("a", orientation, "stored", mask_orientation=orientation)
    for options in ({}, {"mask_orientation": "upright"}, {"mask_orientation": "stored"}):
        assert_labels_lie_on_their_photos(converted([example], **options), decode)


def test_a_mask_that_says_itself_how_it_lies_says_nothing_of_the_others(pair):
    with pytest.raises(InputError, match=r"b\.png: EXIF orientation 3, and no mask's size shows"):
        converted([pair("a", 6, "stored", (12, 8), mask_orientation=6), pair("b", 3, "upright")])


@pytest.mark.parametrize("of_image, of_mask", [(1, 3), (6, 8), (1, 6)])
def test_a_mask_with_another_orientation_than_its_photo_is_refused(pair, of_image, of_mask):
    message = rf"masks.*a\.png: has EXIF orientation {of_mask}, its image {of_image}; save the mask without one"
    with pytest.raises(InputError, match=message):
        converted([pair("a", of_image, "stored", mask_orientation=of_mask)])


def test_files_that_cannot_be_read_are_left_to_the_conversion(pair, decode):
    examples = [pair("a", 6, "upright", (12, 8)), pair("b", 3, "upright"), pair("c", 3, "stored")]
    for example in examples[2:]:
        Path(example.image_path).write_bytes(b"no picture")
    listing = Listing(INFO, lambda item: encode_pair(item, LabelRule(2)), {"train": examples})
    listing = with_mask_orientation(listing, ConvertOptions())
    assert_labels_lie_on_their_photos([listing.encode(item) for item in listing.splits["train"][:2]], decode)


def test_many_headers_are_read_in_processes(pair, decode, monkeypatch):
    monkeypatch.setattr(module, "MIN_FOR_PROCESSES", 2)
    examples = [pair("a", 6, "upright", (12, 8)), *(pair(f"{index}", 3, "upright") for index in range(32))]
    assert_labels_lie_on_their_photos(converted(examples, num_workers=2), decode)


def test_items_that_are_no_files_are_left_alone():
    listing = Listing(INFO, None, {"train": [1, 2]})
    assert with_mask_orientation(listing, ConvertOptions()) is listing
    assert adapted(listing, ConvertOptions(mask_orientation="stored")).splits == {"train": [1, 2]}
