"""What all annotation formats are read into: photographs, the objects on them, and the objects' shapes.

Coordinates are in pixels from the upper left corner of the picture: x to the right, y down; the centre of the first
pixel is at (0.5, 0.5).
"""

import dataclasses
from pathlib import Path

import numpy as np

from tfseg.errors import InputError

MIN_POINTS = 3
MOST_SHARE = 2.0  # tools write points that lie a little outside of the picture, but not by more than its size


@dataclasses.dataclass(frozen=True, eq=False)
class Polygons:
    """A shape of polygons: what lies in any of the rings and in none of the holes.

    Attributes:
      rings, holes: [num_points, 2] float64 each, finite (x, y).
      has_shares: whether the coordinates are shares of width and height, 0 to 1, instead of pixels.
    """

    rings: tuple[np.ndarray, ...]
    holes: tuple[np.ndarray, ...] = ()
    has_shares: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class RunLengths:
    """A shape of pixels: lengths of runs outside and inside of it in turn, the first one outside.

    Attributes:
      counts: [num_runs] int64, 0 or more, whose sum is height * width.
      size: (height, width) of the box that the runs fill.
      is_row_major: whether runs go along rows; in COCO's files they go down columns.
      corner: (top, left) of the box in the picture; None if the box is the picture.
    """

    counts: np.ndarray
    size: tuple[int, int]
    is_row_major: bool = False
    corner: tuple[int, int] | None = None


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedObject:
    """One object on a photograph.

    Attributes:
      class_name: name of its class.
      shapes: what it covers is what any of them covers; none at all if the object is empty.
      name: what messages call it, e.g. "annotation 17 (car)".
      is_crowd: whether it stands for several objects that nobody has told apart.
    """

    class_name: str
    shapes: tuple[Polygons | RunLengths, ...]
    name: str
    is_crowd: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class LabelMaps:
    """Pictures that give every pixel of a photograph its class, and perhaps its object.

    Attributes:
      path: the picture of classes.
      names: {(red, green, blue) in it: name of the class}.
      objects_path: a picture with a colour for each object; None if there is none.
      has_values: whether the pictures hold numbers, as those of PASCAL VOC do; a "colour" of `names` is then a number,
        three times.
    """

    path: str
    names: dict[tuple[int, int, int], str]
    objects_path: str | None
    has_values: bool = False


@dataclasses.dataclass(frozen=True, eq=False)
class AnnotatedPhotograph:
    """A photograph, and what is drawn on it.

    Attributes:
      file_name: the picture's name or path as the tool knew it, perhaps that of another machine.
      annotation_path: the file that says what is on it.
      size: (height, width) of the picture on which the objects were drawn; None if the format does not say.
      objects: in the order in which they are drawn: each lies above those before it.
      picture: the picture's file, if the format says more about its place than its name.
      split: the name of its split, if the format says so; "train", "val", "test", or a word that a tool has for them.
      maps: in place of objects, if the tool draws its pixels itself.
    """

    file_name: str
    annotation_path: str
    size: tuple[int, int] | None
    objects: tuple[AnnotatedObject, ...]
    picture: Path | None = None
    split: str | None = None
    maps: LabelMaps | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is drawn on it."""
        return not self.objects and self.maps is None

    @property
    def place(self) -> str:
        """File and photograph, for messages."""
        return f"{self.annotation_path}: {self.file_name}"


@dataclasses.dataclass(frozen=True)
class AnnotationFiles:
    """Where a format's reader finds what it reads.

    Attributes:
      root: the folder that holds everything.
      paths: the format's files, sorted.
      pictures: all picture files in the root, sorted.
    """

    root: Path
    paths: list[Path]
    pictures: list[Path]


@dataclasses.dataclass
class AnnotationSet:
    """What a format's reader returns.

    Attributes:
      photographs: those that can be used.
      class_names: names of classes that the files declare, in their order; classes that only objects name may be added.
      problems: photographs and objects that cannot be used, one line each.
      notes: what the user should know, one line each.
      stuff: names of classes that the files declare to have no instances.
    """

    photographs: list[AnnotatedPhotograph] = dataclasses.field(default_factory=list)
    class_names: list[str] = dataclasses.field(default_factory=list)
    problems: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    stuff: set[str] = dataclasses.field(default_factory=set)


def points_of(values, place: str) -> np.ndarray:
    """Returns [num_points, 2] float64 from numbers x, y, x, y, ..., or from pairs of them.

    Args:
      values: the points as a file gives them.
      place: file and object, for messages.
    Raises:
      InputError: they are no finite numbers in pairs, or fewer than three points.
    """
    try:
        points = np.array(values)
    except (ValueError, OverflowError):  # lists of different lengths
        points = np.array("")
    is_flat = points.ndim == 1 and points.size % 2 == 0
    is_number = points.dtype.kind in "iuf" and not _has_truths(values)
    if not is_number or not (is_flat or (points.ndim == 2 and points.shape[1] == 2)):
        if points.size:
            raise InputError(f"{place}: a polygon is not a list of pairs of numbers; draw the object again")
        points = np.zeros([0, 2])
    points = points.reshape(-1, 2).astype(np.float64)
    if len(points) < MIN_POINTS:
        raise InputError(
            f"{place}: a polygon has {len(points)} points, and {MIN_POINTS} are the fewest that cover something; draw "
            "the object again or delete it"
        )
    if not np.isfinite(points).all():
        raise InputError(f"{place}: a coordinate is not a finite number; draw the object again or delete it")
    return points


def _has_truths(values):
    """Whether a true or false is among numbers, which NumPy would take for 1 or 0."""
    if not isinstance(values, list):
        return False
    parts = values if values and isinstance(values[0], list) else [values]
    return any(bool in set(map(type, part)) for part in parts)


def check_shares(points: np.ndarray, place: str) -> np.ndarray:
    """Returns the points. Raises InputError unless they can be shares of width and height."""
    if np.abs(points - 0.5).max() > MOST_SHARE - 0.5:
        value = points.flat[np.abs(points - 0.5).argmax()]
        raise InputError(f"{place}: coordinates must be shares of width and height, 0 to 1, and one is {value:g}")
    return points
