"""TIFFs: overviews are read at full size; what cannot be read is told by its bands and their type."""

import io

import numpy as np
import pytest

from tests.formats.tiff_files import Page, tiff
from tfseg.errors import InputError
from tfseg.formats.images import read_image
from tfseg.formats.label_file import LabelRule, read_label

REDUCED = {254: 1}
RGB = np.random.default_rng(0).integers(0, 256, [48, 64, 3], np.uint8)


def image_of(tmp_path, pages, order="<"):
    (tmp_path / "i.tif").write_bytes(tiff(pages, order))
    return read_image(tmp_path / "i.tif")


def bands(number, kind):
    return Page(np.zeros([4, 5, number], kind))


UNREADABLE = {
    "2 bands of uint8": bands(2, np.uint8),
    "5 bands of uint16": bands(5, np.uint16),
    "7 bands of uint8": bands(7, np.uint8),
    "3 bands of float32": bands(3, np.float32),
    "3 bands of float64": bands(3, np.float64),
    "1 band of float64": bands(1, np.float64),
    "3 bands of int16": bands(3, np.int16),
    "3 bands of uint16": Page(np.zeros([4, 5, 3], np.uint16), is_planar=True),
    "2 bands of uint16": Page(np.zeros([4, 5, 2], np.uint16), is_planar=True),
}


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("words, page", UNREADABLE.items(), ids=UNREADABLE)
def test_what_cannot_be_read_is_told_by_its_bands_and_their_type(tmp_path, words, page, order):
    with pytest.raises(InputError, match=rf"i\.tif: {words}; a TIFF can be read with 1 band \(grey\) or 3 \(RGB\)"):
        image_of(tmp_path, [page], order)


@pytest.mark.parametrize(
    "kind, words", [(np.float32, "F pixels"), (np.uint16, "I;16B? pixels"), (np.int32, "I pixels")]
)
def test_grey_of_other_types_is_refused_with_its_values(tmp_path, kind, words):
    page = Page(np.array([[[3], [4080]]], kind))
    with pytest.raises(InputError, match=rf"i\.tif: {words} do not fit 8 bits, values 3 to 4080"):
        image_of(tmp_path, [page])


def test_planes_of_eight_bits_are_read(tmp_path):
    np.testing.assert_array_equal(image_of(tmp_path, [Page(RGB, is_planar=True)]), RGB)


PYRAMIDS = {
    "marked": [Page(RGB), Page(RGB[::2, ::2], tags=REDUCED), Page(RGB[::4, ::4], tags=REDUCED)],
    "marked, of other sizes": [Page(RGB), Page(RGB[:5, :7], tags=REDUCED)],
    "marked in the old way": [Page(RGB), Page(RGB[::2, ::2], tags={255: 2})],
    "not marked": [Page(RGB), Page(RGB[::2, ::2]), Page(RGB[::4, ::4]), Page(RGB[::8, ::8])],
    "odd sides": [Page(RGB[:47, :63]), Page(RGB[:23, :31]), Page(RGB[:12, :16])],
    "thumbnail first": [Page(RGB[::4, ::4], tags=REDUCED), Page(RGB)],
}


@pytest.mark.parametrize("pages", PYRAMIDS.values(), ids=PYRAMIDS)
def test_overviews_are_read_at_full_size(tmp_path, pages):
    largest = max((page.pixels for page in pages), key=len)
    np.testing.assert_array_equal(image_of(tmp_path, pages), largest)


def test_labels_may_have_overviews_too():
    values = np.arange(64, dtype=np.uint8).reshape(8, 8, 1)
    content = tiff([Page(values[::2, ::2], tags=REDUCED), Page(values)])
    np.testing.assert_array_equal(read_label(io.BytesIO(content), LabelRule(None), name="l"), values[..., 0])


OTHER_PAGES = {
    "of the same size": [Page(RGB), Page(RGB)],
    "a little smaller": [Page(RGB), Page(RGB[:40, :60])],
    "of other bands": [Page(RGB), Page(RGB[::2, ::2, :1])],
    "of other proportions": [Page(RGB), Page(RGB[::2, ::4])],
    "after an overview": [Page(RGB), Page(RGB[::2, ::2], tags=REDUCED), Page(RGB)],
}


@pytest.mark.parametrize("pages", OTHER_PAGES.values(), ids=OTHER_PAGES)
def test_other_pages_are_refused(tmp_path, pages):
    message = rf"i\.tif: has {len(pages)} frames, the first of 64x48 pixels and 3 bands of uint8; store each picture"
    with pytest.raises(InputError, match=message):
        image_of(tmp_path, pages)


def test_an_array_written_as_many_pages_is_recognised(tmp_path):
    pages = [Page(np.zeros([64, 2, 1], np.uint8), tags={270: '{"shape": [48, 64, 2]}'})] * 48
    with pytest.raises(InputError, match=r"i\.tif: has 48 frames, .*\(an array of 48x64x2, perhaps 2 bands of uint8\)"):
        image_of(tmp_path, pages)


def test_a_preview_alone_is_not_taken_for_the_picture(tmp_path):
    with pytest.raises(InputError, match=r"i\.tif: holds only a preview, as camera raw files do"):
        image_of(tmp_path, [Page(RGB, tags=REDUCED)])


def test_pages_that_follow_each_other_in_a_circle_end(tmp_path):
    content = bytearray(tiff([Page(RGB[:4, :4])]))
    content[-4:] = content[4:8]  # the page's successor is the page itself
    (tmp_path / "i.tif").write_bytes(content)
    assert read_image(tmp_path / "i.tif").shape == (4, 4, 3)


def test_tags_that_end_early_are_a_damaged_file(tmp_path):
    content = tiff([Page(RGB[:4, :4])])
    for length in (9, len(content) - 100):
        (tmp_path / "i.tif").write_bytes(content[:length])
        with pytest.raises(InputError, match=r"i\.tif: "):
            read_image(tmp_path / "i.tif")
