"""What a data set's module hands over: which raw files there are, and how one of them becomes a record."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tfseg.formats.coco_panoptic.annotations import AnnotatedImage
from tfseg.formats.images import MAX_PIXELS
from tfseg.labels import DatasetInfo


@dataclasses.dataclass(frozen=True)
class ConvertOptions:
    """The user's choices in a conversion.

    Attributes:
      palette: file that gives colour-coded labels their classes (data set "folder"); see `palette.read_palette`.
      value_map: label value -> class id, on top of the data set's own (data set "folder").
      skip_bad: leave bad files out, list them in skipped.txt, and fail only above 1 % of them.
      max_pixels: larger images are refused before they are decoded.
      num_workers: processes; None is one per core.
      val_share, seed: of the train/val split of a folder that has none.
      longest_side: pixels; larger images are shrunk to it. None: they keep their size.
      crowd_as_ignore: pixels of things that belong to no single instance are ignored; else they keep their class.
    """

    palette: str | None = None
    value_map: dict[int, int] = dataclasses.field(default_factory=dict)
    skip_bad: bool = False
    max_pixels: int = MAX_PIXELS
    num_workers: int | None = None
    val_share: float = 0.2
    seed: int = 0
    longest_side: int | None = None
    crowd_as_ignore: bool = False


@dataclasses.dataclass(frozen=True)
class RawExample:
    """An image file and its label file.

    Attributes:
      image_path: the image.
      label_path: its class ids.
      filename: what the record calls it: the path inside the raw folder, with forward slashes.
      sequence_id, frame_id: video it belongs to and number of the frame; None for single images.
      instance_path: its instances, if they have a file of their own.
      annotation: what the segments of that file are, if it is in COCO's panoptic format.
    """

    image_path: str
    label_path: str
    filename: str
    sequence_id: str | None = None
    frame_id: int | None = None
    instance_path: str | None = None
    annotation: AnnotatedImage | None = None


@dataclasses.dataclass(frozen=True)
class EncodedExample:
    """A record's content, and what is counted over a split.

    Attributes:
      image_jpeg, label_png, panoptic_png: encoded files; see `tfrecord.FEATURES`.
      height, width: of all of them, pixels.
      class_counts: [256] int64 pixels of every class id; 255 is ignored.
      is_rotated: an EXIF rotation has been carried out.
    """

    image_jpeg: bytes
    label_png: bytes
    height: int
    width: int
    filename: str
    class_counts: np.ndarray
    panoptic_png: bytes | None = None
    sequence_id: str | None = None
    frame_id: int | None = None
    is_rotated: bool = False


@dataclasses.dataclass(frozen=True)
class Listing:
    """All raw examples of a data set.

    Attributes:
      info: the DatasetInfo, or when only the labels tell a function from the [256] pixels of every class id to
        (DatasetInfo, notes).
      encode: one item -> EncodedExample; InputError for a bad file. It runs in worker processes: picklable.
      splits: split -> items.
      unions: split -> splits whose records it shares, e.g. {"train": ("train_fit", "dev")}.
      problems: files that cannot be used, one line each.
      notes: what the user should know, one line each.
      version: changes when the same items would give other records.
    """

    info: DatasetInfo | Callable[[np.ndarray], tuple[DatasetInfo, list[str]]]
    encode: Callable[[object], EncodedExample]
    splits: dict[str, list]
    unions: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    version: str = ""
