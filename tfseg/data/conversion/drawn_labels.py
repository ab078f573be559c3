"""Turns photographs that were annotated with a tool into records: objects are drawn at the photograph's own size."""

import dataclasses

from tfseg.data.conversion.examples import encode_labelled
from tfseg.data.conversion.orientation import UPRIGHT, possible_ways
from tfseg.data.conversion.raw import EncodedExample, RawExample
from tfseg.errors import InputError
from tfseg.formats.annotations.label_maps import read_maps
from tfseg.formats.annotations.rasterization import draw
from tfseg.formats.image_file import MAX_PIXELS
from tfseg.formats.images import read_size_and_orientation


@dataclasses.dataclass(frozen=True)
class DrawnClasses:
    """What the names of objects mean.

    Attributes:
      class_ids: {name of a class: its id}, 255 for objects that are ignored.
      thing_ids: class ids that have instances.
      uncovered: class id of pixels that no object covers; 255 if they are ignored.
    """

    class_ids: dict[str, int]
    thing_ids: frozenset[int]
    uncovered: int


def encode_drawn(example: RawExample, classes: DrawnClasses, max_pixels: int = MAX_PIXELS) -> EncodedExample:
    """Makes the record of a photograph, with a map of instances.

    Objects are drawn on what viewers show of the photograph, unless the annotated size is only that of its stored
    pixels, or `example.mask_orientation` says so.

    Raises:
      InputError: a file cannot be used, or an object or the annotated size does not fit; the message names the file.
    """
    stored_size, orientation = read_size_and_orientation(example.image_path, max_pixels)
    maps = example.photograph.maps
    annotated = read_size_and_orientation(maps.path, max_pixels)[0] if maps else example.photograph.size
    size, way = _drawn_size(example, annotated, stored_size, orientation)

    def read_labels():
        if maps:
            return read_maps(maps, classes.class_ids, classes.thing_ids, max_pixels)
        return draw(example.photograph, size, classes.class_ids, classes.thing_ids, classes.uncovered)

    return encode_labelled(dataclasses.replace(example, mask_orientation=way), read_labels, max_pixels)


def _drawn_size(example, annotated, stored_size, orientation):
    """Returns ((height, width) on which objects are drawn, "upright" or "stored")."""
    sizes = {}
    for size in (stored_size, stored_size[::-1]):
        sizes |= {way: size for way in possible_ways(size, stored_size, orientation)}
    ways = [way for way in sizes if annotated in (None, sizes[way])]
    wanted = example.mask_orientation or UPRIGHT
    if not ways:
        height, width = sizes[UPRIGHT]
        raise InputError(
            f"{example.photograph.place}: annotated as {annotated[1]}x{annotated[0]}, and {example.image_path} has "
            f"{width}x{height} pixels (width x height); use the picture that was annotated"
        )
    if wanted not in ways and example.mask_orientation:
        raise InputError(
            f"{example.photograph.place}: its size is that of the {ways[0]} picture (EXIF orientation {orientation}), "
            f"against --mask_orientation={wanted}"
        )
    way = wanted if wanted in ways else ways[0]
    return sizes[way], way
