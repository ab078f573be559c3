"""What a data set's module returns: which raw files there are, and how to turn one into a record."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tfseg.formats.annotations.photograph import AnnotatedPhotograph
from tfseg.formats.coco_panoptic.annotations import AnnotatedImage
from tfseg.formats.image_file import MAX_PIXELS
from tfseg.formats.label_file import StoredValues
from tfseg.labels import DatasetInfo


@dataclasses.dataclass(frozen=True)
class ConvertOptions:
    """The user's choices in a conversion.

    Attributes:
      palette: file that gives colour-coded labels their classes (data set "folder"); see `palette.read_palette`.
      instance_divisor: factor in numbers of instances, class id * factor + object; None if they hold no class (data set
        "folder").
      value_map: {label value: class id}, in addition to the data set's own (data set "folder").
      skip_bad: whether to omit bad files, list them in skipped.txt, and fail only if they are more than 1 %.
      max_pixels: number of pixels above which images are refused before they are decoded.
      num_workers: number of processes; None starts one per core.
      val_share: share of images that go to val if a folder has no val split.
      seed: seed for that split, and for `fold`.
      fold: "K/N": part K of N of all labelled images is val, and the others are train (data set "folder"); "" for the
        splits that there are.
      longest_side: side in pixels to which larger images are shrunk; None keeps their size.
      crowd_as_ignore: whether pixels of things that belong to no single instance are ignored; otherwise they keep their
        class.
      mask_orientation: how masks lie whose photo has an EXIF orientation: "upright" as viewers show the photo, or
        "stored" as its pixels are stored; None finds out from the masks' sizes.
      annotations: file of an annotation tool, or folder of them, that is read in place of masks (data set "folder");
        None looks for them where there are no masks.
      uncovered: what pixels are that no annotated object covers: "background", a class, or "ignored".
    """

    palette: str | None = None
    instance_divisor: int | None = None
    value_map: dict[int, int] = dataclasses.field(default_factory=dict)
    skip_bad: bool = False
    max_pixels: int = MAX_PIXELS
    num_workers: int | None = None
    val_share: float = 0.2
    seed: int = 0
    fold: str = ""
    longest_side: int | None = None
    crowd_as_ignore: bool = False
    mask_orientation: str | None = None
    annotations: str | None = None
    uncovered: str = "background"


@dataclasses.dataclass(frozen=True)
class RawExample:
    """An image file and its label file.

    Attributes:
      image_path: file with the image.
      label_path: file with its class ids.
      filename: the image's name in the record: the path inside the raw folder, with forward slashes.
      sequence_id, frame_id: the video it belongs to, and the number of the frame; None for single images.
      instance_path: file with its instances, if they have their own file.
      annotation: meaning of the segments, if there is a file in COCO's panoptic format.
      mask_orientation: see `ConvertOptions`; None if only the mask's size can tell.
      previous_path: file with the frame before, of the same size, if that has no label.
      photograph: what an annotation tool's file, `label_path`, says is drawn on the image.
    """

    image_path: str
    label_path: str
    filename: str
    sequence_id: str | None = None
    frame_id: int | None = None
    instance_path: str | None = None
    annotation: AnnotatedImage | None = None
    mask_orientation: str | None = None
    previous_path: str | None = None
    photograph: AnnotatedPhotograph | None = None


@dataclasses.dataclass(frozen=True)
class EncodedExample:
    """A record's content, and what is counted over a split.

    Attributes:
      image_jpeg, label_png, panoptic_png: encoded files; see `tfrecord.FEATURES`.
      height, width: size of all of these, in pixels.
      filename, sequence_id, frame_id: see `RawExample`.
      class_counts: [256] int64 number of pixels of every class id; 255 is ignored.
      is_rotated: whether the image was turned, as its EXIF orientation says.
      is_label_rotated: whether the label was turned with it; otherwise it was upright already.
      label_values: how the label file stores its ids; None if that cannot differ between files.
      previous_jpeg: encoded frame before; None if there is none, or if it has a record of its own.
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
    is_label_rotated: bool = False
    label_values: StoredValues | None = None
    previous_jpeg: bytes | None = None


@dataclasses.dataclass(frozen=True)
class Listing:
    """All raw examples of a data set.

    Attributes:
      info: the DatasetInfo; or, if it depends on the labels, a function from the [256] numbers of pixels of every class
        id to (DatasetInfo, notes).
      encode: function from one item to an EncodedExample; raises InputError for a bad file. It must be picklable,
        because it runs in worker processes.
      splits: {split: items}.
      unions: {split: splits whose records it shares}, e.g. {"train": ("train_fit", "dev")}.
      problems: files that cannot be used, one line each.
      notes: what the user should know, one line each.
      has_drawn_val: whether val was drawn at random from images that nobody had divided into splits.
      version: text that changes when the same items would give other records.
    """

    info: DatasetInfo | Callable[[np.ndarray], tuple[DatasetInfo, list[str]]]
    encode: Callable[[object], EncodedExample]
    splits: dict[str, list]
    unions: dict[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    problems: list[str] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    has_drawn_val: bool = False
    version: str = ""
