"""The pages of a TIFF: which one is the picture, which are reduced copies of it, and what its bands hold.

PIL reads the pixels; what it says of a TIFF that it cannot read is "unknown pixel mode", which tells nobody anything.
"""

import dataclasses
import re

from PIL import TiffImagePlugin

from tfseg.errors import InputError

MAX_PAGES = 1000
NEW_SUBFILE_TYPE, OLD_SUBFILE_TYPE, DESCRIPTION, EXTRA_SAMPLES = 254, 255, 270, 338
SAMPLE_KINDS = {1: "uint", 2: "int", 3: "float", 5: "complex int", 6: "complex"}
MANY_BANDS = 32  # an array's side above this is no number of bands


@dataclasses.dataclass(frozen=True)
class TiffPage:
    """What the tags of a page say.

    Attributes:
      width, height: size in pixels.
      bits: bits of each band.
      sample_format: 1 unsigned, 2 signed, 3 floating point.
      photometric: 0 and 1 grey, 2 RGB, 3 palette, and others.
      extra: what each band beyond grey or RGB is: 0 unknown, 1 and 2 alpha.
      is_planar: whether each band is stored on its own.
      is_marked_reduced: whether the page is marked as a reduced copy of another.
      description: text of the page.
    """

    width: int
    height: int
    bits: tuple[int, ...]
    sample_format: int
    photometric: int
    extra: tuple[int, ...]
    is_planar: bool
    is_marked_reduced: bool
    description: str

    @property
    def bands(self) -> str:
        """Number and type of the bands in words, e.g. "5 bands of uint16"."""
        kind = SAMPLE_KINDS.get(self.sample_format, "unknown ")
        types = list(dict.fromkeys(f"{kind}{bits}" for bits in self.bits))
        return f"{len(self.bits)} band{'s' * (len(self.bits) != 1)} of {', '.join(types[:3])}"

    @property
    def is_misread(self) -> bool:
        """Whether PIL takes the page for another: planes of 16 bits for 8, or the first of two grey bands for all."""
        has_deep_planes = self.is_planar and len(self.bits) > 1 and max(self.bits) != 8
        has_second_band = self.photometric in (0, 1) and len(self.bits) > 1 and not any(self.extra)
        return has_deep_planes or has_second_band


def read_pages(file) -> list[TiffPage]:
    """Reads the tags of all pages, at most 1000, of a binary file that is a TIFF; PIL's errors are not caught."""
    file.seek(0)
    header = file.read(8)
    header += file.read(8) if header[2] == 43 or header[3] == 43 else b""
    directory = TiffImagePlugin.ImageFileDirectory_v2(header)
    pages, seen, offset = [], set(), directory.next
    while offset and offset not in seen and len(pages) < MAX_PAGES:
        seen.add(offset)
        file.seek(offset)
        directory.load(file)
        pages.append(_page(directory))
        offset = directory.next
    file.seek(0)
    return pages


def main_page(pages: list[TiffPage], path) -> int:
    """Returns the index of the one page that is the picture; the others must be reduced copies of it (overviews).

    A page is a reduced copy if its tags say so, or if it is smaller than the page before it, has the same bands, and
    its sides are those of the picture divided by a whole number.

    Raises:
      InputError: there are other pages, or only a preview; the message names the file, and the pages' bands.
    """
    candidates = [index for index, page in enumerate(pages) if not page.is_marked_reduced]
    if not candidates:
        raise InputError(f"{path}: holds only a preview, as camera raw files do; export the picture itself as PNG")
    main, others = pages[candidates[0]], [pages[index] for index in candidates[1:]]
    if not all(_is_reduced(page, main, before) for before, page in zip([main, *others], others, strict=False)):
        number = f"{MAX_PAGES} or more" if len(pages) == MAX_PAGES else str(len(pages))
        raise InputError(
            f"{path}: has {number} frames, the first of {main.width}x{main.height} pixels and {main.bands}"
            f"{_array(pages)}; store each picture in a file of its own, its bands in one page"
        )
    return candidates[0]


def _page(directory):
    bits = directory.get(TiffImagePlugin.BITSPERSAMPLE, (1,))
    samples = directory.get(TiffImagePlugin.SAMPLESPERPIXEL, len(bits))
    kinds = directory.get(TiffImagePlugin.SAMPLEFORMAT, (1,))
    return TiffPage(
        width=int(directory[TiffImagePlugin.IMAGEWIDTH]),
        height=int(directory[TiffImagePlugin.IMAGELENGTH]),
        bits=tuple(bits) if len(bits) >= samples else tuple(bits[:1]) * min(int(samples), 1 << 16),
        sample_format=max(kinds),
        photometric=directory.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION, 0),
        extra=tuple(directory.get(EXTRA_SAMPLES, ())),
        is_planar=directory.get(TiffImagePlugin.PLANAR_CONFIGURATION, 1) == 2,
        is_marked_reduced=bool(
            directory.get(NEW_SUBFILE_TYPE, 0) & 1 or directory.get(OLD_SUBFILE_TYPE, 0) == 2  # numbers of the standard
        ),
        description=str(directory.get(DESCRIPTION, "")),
    )


def _is_reduced(page, main, before):
    same_bands = (page.bits, page.sample_format, page.photometric) == (main.bits, main.sample_format, main.photometric)
    factor = round(main.width / page.width)
    divided = all(
        abs(whole / max(factor, 1) - side) <= 1
        for whole, side in ((main.width, page.width), (main.height, page.height))
    )
    return same_bands and factor >= 2 and divided and page.width <= before.width and page.height <= before.height


def _array(pages):
    """Says how the pages came about if tifffile has written an array as many pages because of its order of axes."""
    match = re.match(r'\{"shape": \[(\d+), (\d+), (\d+)\]', pages[0].description)
    if not match:
        return ""
    shape = [int(side) for side in match.groups()]
    if shape[0] != len(pages) or min(shape) > MANY_BANDS:
        return ""
    bands = dataclasses.replace(pages[0], bits=pages[0].bits * min(shape)).bands
    return f" (an array of {'x'.join(map(str, shape))}, perhaps {bands})"
