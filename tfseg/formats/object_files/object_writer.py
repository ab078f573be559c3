"""The contract of all writers of objects."""

import dataclasses
import json
import typing
from pathlib import Path

from tfseg.labels import DatasetInfo
from tfseg.postprocess.objects import FoundObject


@dataclasses.dataclass(frozen=True)
class PhotoObjects:
    """The objects of one photo.

    Attributes:
      name: beginning of the names of its results.
      path: its file.
      size: (height, width) in pixels, turned upright as its EXIF data say.
      objects: in the order in which tools draw them, the last on top.
    """

    name: str
    path: Path
    size: tuple[int, int]
    objects: list[FoundObject]


@dataclasses.dataclass(frozen=True)
class ObjectFileOptions:
    """How outlines are written.

    Attributes:
      simplify_px: how far a left-out corner may be from the outline, in pixels; 0 keeps the mask as it is.
      is_rle: whether files that can do so hold masks, run-length encoded, in place of outlines.
    """

    simplify_px: float = 1.0
    is_rle: bool = False


class ObjectWriter(typing.Protocol):
    """Writes objects in one format. Files appear whole or not at all.

    Made from (folder of the results, DatasetInfo, ObjectFileOptions).

    Attributes:
      shared: files that stand for all photos of a call, written by `close`.
      is_whole_call: whether the shared files hold the objects themselves, so that every photo has to be added again to
        write them.
    """

    shared: tuple[Path, ...]
    is_whole_call: bool

    def results(self, name: str) -> list[Path]:
        """Returns the files of one photo, by the beginning of its results' names."""

    def add(self, photo: PhotoObjects) -> list[bytes]:
        """Takes the objects of a photo. Returns the contents of its files, in the order of `results`."""

    def close(self) -> list[bytes]:
        """Returns the contents of the shared files."""


def written_classes(info: DatasetInfo) -> list[int]:
    """Returns the class ids whose objects are written: all but those of a background."""
    return [class_id for class_id in range(info.num_classes) if class_id not in info.background_ids]


def as_json(content) -> bytes:
    """Encodes JSON. Letters beyond ASCII are escaped: a file's name may hold bytes that are no text."""
    return (json.dumps(content) + "\n").encode()


def rounded(score: float | None) -> float | None:
    """Returns a score with four decimals."""
    return None if score is None else round(score, 4)
