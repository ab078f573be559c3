"""Which way masks lie whose photo has an EXIF orientation: as the photo is stored, or upright as viewers show it.

Annotation tools differ in this. The size of a mask tells which it is if its photo is rotated by 90 degrees and not
square; all other masks of a set are taken to lie in the same way.
"""

import dataclasses
import functools

from tfseg.data.conversion.agreement import name_beside
from tfseg.data.conversion.raw import ConvertOptions, Listing, RawExample
from tfseg.errors import InputError
from tfseg.formats.images import read_size_and_orientation
from tfseg.system.parallel import Attempt, parallel_map

STORED, UPRIGHT = "stored", "upright"
MIN_FOR_PROCESSES = 2000  # headers are read in less time than processes take to start


def possible_ways(label_size, stored_size, orientation: int) -> tuple[str, ...]:
    """Returns which ways a mask may lie, "stored" or "upright", for its size to fit; both if the size cannot tell.

    Args:
      label_size: (height, width) of the mask.
      stored_size: (height, width) of the photo as stored.
      orientation: EXIF orientation of the photo, 2 to 8; from 5 on it exchanges height and width.
    """
    upright_size = tuple(stored_size) if orientation < 5 else tuple(stored_size)[::-1]
    sizes = {STORED: tuple(stored_size), UPRIGHT: upright_size}
    return tuple(way for way, size in sizes.items() if size == tuple(label_size))


def undecided(path, orientation: int, number: int = 1) -> InputError:
    """Returns the error for a photo whose mask may lie both ways; `number` is that of such photos in the set."""
    others = f" (as {number} photos)" if number > 1 else ""
    return InputError(
        f"{path}: EXIF orientation {orientation}{others}, and no mask's size shows whether masks are drawn on what "
        "viewers show or on the stored pixels: prepare_data.py --mask_orientation=upright or stored"
    )


def with_mask_orientation(listing: Listing, options: ConvertOptions) -> Listing:
    """Returns the listing with the way in which the masks of rotated photos lie, as their sizes show it.

    Only headers are read. Files that cannot be read are left for the conversion to name. A set without rotated photos,
    and one whose orientation is among the options, is returned as it is.

    Raises:
      InputError: two masks show different ways, or there are rotated photos and no size shows the way.
    """
    examples = {item.image_path: item for items in listing.splits.values() for item in items if _has_mask(item)}
    if options.mask_orientation or not examples:
        return listing
    examples = list(examples.values())
    read = Attempt(functools.partial(_orientation_and_ways, max_pixels=options.max_pixels))
    many = len(examples) >= MIN_FOR_PROCESSES
    found = parallel_map(read, examples, options.num_workers, title="orientation") if many else map(read, examples)
    found = [(example, *facts) for example, facts in zip(examples, found, strict=True) if isinstance(facts, tuple)]
    shown = {ways[0]: example for example, _, ways in reversed(found) if len(ways) == 1}
    is_open = [(example.image_path, orientation) for example, orientation, ways in found if len(ways) == 2]
    if len(shown) == 2:
        stored, upright = shown[STORED].label_path, shown[UPRIGHT].label_path
        raise InputError(
            f"{stored}: drawn on its photo as stored, but {name_beside(upright, stored)} on what viewers show of its "
            "photo (EXIF orientation), as their sizes say; make them alike"
        )
    if is_open and not shown:
        raise undecided(*is_open[0], number=len(is_open))
    return oriented(listing, next(iter(shown))) if shown else listing


def oriented(listing: Listing, way: str) -> Listing:
    """Returns the listing with the way in which all masks of rotated photos lie, "stored" or "upright"."""
    splits = {
        split: [dataclasses.replace(item, mask_orientation=way) if _is_raw(item) else item for item in items]
        for split, items in listing.splits.items()
    }
    return dataclasses.replace(listing, splits=splits)


def _is_raw(item):
    return isinstance(item, RawExample)


def _has_mask(item):
    return _is_raw(item) and item.photograph is None


def _orientation_and_ways(example, max_pixels):
    """Returns (EXIF orientation of the photo, ways in which its mask may lie); no ways if that does not matter."""
    stored_size, orientation = read_size_and_orientation(example.image_path, max_pixels)
    if orientation == 1:
        return orientation, ()
    label_size, own_orientation = read_size_and_orientation(example.label_path, max_pixels)
    # A mask with an orientation of its own says itself how it lies, which tells nothing about the others.
    return orientation, possible_ways(label_size, stored_size, orientation) if own_orientation == 1 else ()
