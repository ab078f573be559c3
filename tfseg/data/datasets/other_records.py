"""TFRecords of other projects as raw data: they are read once and converted into our records.

Layout: a folder of <split>-00000-of-00010.tfrecord. The image is in image/encoded (JPEG or PNG). Its label is one of
  - TF-Slim's DeepLab: image/segmentation/class/encoded, a grey PNG of class ids;
  - DeepLab2, panoptic: the same key, image/segmentation/class/format "raw": int32 panoptic ids, little endian;
  - DeepLab2, panoptic PNG: the same key, an RGB PNG of (class, instance // 256, instance % 256);
  - Model Garden: image/panoptic/category_mask and image/panoptic/instance_mask, two grey PNGs. They do not mark crowds,
    which become instances.
"""

import dataclasses
import functools
import hashlib
import io
import os
import re
import struct
from pathlib import Path

import numpy as np

from tfseg.data.conversion.raw import ConvertOptions, EncodedExample, Listing
from tfseg.errors import InputError
from tfseg.formats.image_file import opened
from tfseg.formats.images import check_depth, encode_jpeg, encode_panoptic, encode_png
from tfseg.labels import IGNORE_LABEL, DatasetInfo, from_panoptic
from tfseg.system.files import open_regular

PATTERN = "*.tfrecord*"
SPLIT_NAMES = {"train_fine": "train", "val_fine": "val", "trainval_fine": "trainval", "validation": "val"}
# Before a record's content: its length (uint64) and the length's checksum (uint32); after it: its checksum (uint32).
HEADER_BYTES, FOOTER_BYTES = 12, 4
LABEL, LABEL_FORMAT = "image/segmentation/class/encoded", "image/segmentation/class/format"
CATEGORIES, INSTANCES = "image/panoptic/category_mask", "image/panoptic/instance_mask"
UNKNOWN = -1


@dataclasses.dataclass(frozen=True)
class RecordMeaning:
    """What the ids in another project's records mean.

    Attributes:
      info: our classes.
      label_divisor: label divisor of raw panoptic ids.
      class_ids: {their class id: our class id}; their 255 is ignored, too, unless it is in here.
      category_ids: the same for category masks.
    """

    info: DatasetInfo
    label_divisor: int
    class_ids: dict[int, int]
    category_ids: dict[int, int]

    @classmethod
    def same(cls, info: DatasetInfo) -> "RecordMeaning":
        """Returns the meaning of ids that are the same as ours."""
        identity = {class_id: class_id for class_id in range(info.num_classes)}
        return cls(info, info.label_divisor, identity, identity)


@dataclasses.dataclass(frozen=True)
class RecordPlace:
    """Where a record is.

    Attributes:
      path: its file.
      index: its number in the file, from 0.
      offset: where its content begins, in bytes.
      num_bytes: length of its content.
    """

    path: str
    index: int
    offset: int
    num_bytes: int


def list_examples(raw_dir: Path, options: ConvertOptions, meaning: RecordMeaning) -> Listing:
    """Lists the records in `raw_dir`. Raises InputError for a file that is cut short or is not a TFRecord file."""
    splits, stats = {}, []
    for path in sorted(raw_dir.glob(PATTERN)):
        name = re.sub(r"-\d+-of-\d+$", "", path.name.partition(".")[0])
        splits.setdefault(SPLIT_NAMES.get(name, name), []).extend(record_places(path))
        stat = path.stat()
        stats.append((path.name, stat.st_size, stat.st_mtime_ns))
    encode = functools.partial(encode_record, meaning=meaning, max_pixels=options.max_pixels)
    return Listing(meaning.info, encode, splits, version=hashlib.sha256(repr(stats).encode()).hexdigest())


def record_places(path: Path) -> list[RecordPlace]:
    """Finds all records of a TFRecord file; reads only their lengths. Raises InputError if they do not add up."""
    try:
        file = open_regular(path)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}") from None
    places, offset, size = [], 0, os.fstat(file.fileno()).st_size
    with file:
        while offset < size:
            file.seek(offset)
            header = file.read(HEADER_BYTES)
            num_bytes = struct.unpack("<Q", header[:8])[0] if len(header) == HEADER_BYTES else size
            end = offset + HEADER_BYTES + num_bytes + FOOTER_BYTES
            if end > size:
                raise InputError(f"{path}: record {len(places)} is cut short, or this is not a plain TFRecord file")
            places.append(RecordPlace(str(path), len(places), offset + HEADER_BYTES, num_bytes))
            offset = end
    return places


def encode_record(place: RecordPlace, meaning: RecordMeaning, max_pixels: int) -> EncodedExample:
    """Converts another project's record into ours. Raises InputError that names file and record."""
    values = _read(place)
    name = f"{place.path}: record {place.index} ({os.fsdecode(values.get('image/filename', b''))})"
    content = values.get("image/encoded", b"")
    with opened(io.BytesIO(content), max_pixels, f"{name}: image") as image:
        check_depth(image, io.BytesIO(content), f"{name}: image")
        is_plain = image.format == "JPEG" and image.mode == "RGB"
        pixels = np.array(image.convert("RGB"))
    class_ids, instance_ids = _labels(values, meaning, pixels.shape[:2], max_pixels, name)
    return EncodedExample(
        image_jpeg=content if is_plain else encode_jpeg(pixels),
        label_png=encode_png(class_ids),
        height=pixels.shape[0],
        width=pixels.shape[1],
        filename=os.fsdecode(values.get("image/filename", b"")),
        class_counts=np.bincount(class_ids.ravel(), minlength=256),
        panoptic_png=None if instance_ids is None else encode_panoptic(class_ids, instance_ids),
    )


def _read(place):
    """Reads {key: bytes} of the features that are strings."""
    import tensorflow as tf  # slow to import, and not needed by workers that convert anything else

    with open(place.path, "rb") as file:
        file.seek(place.offset)
        content = file.read(place.num_bytes)
    try:
        features = tf.train.Example.FromString(content).features.feature
    except Exception as error:  # protobuf's DecodeError, which is in a different module in every version
        raise InputError(f"{place.path}: record {place.index} is damaged ({error})") from error
    return {key: feature.bytes_list.value[0] for key, feature in features.items() if feature.bytes_list.value}


def _labels(values, meaning, size, max_pixels, name):
    """Returns (class ids uint8, instance ids of things int32 or None), each [height, width]."""
    theirs, instance_ids = _their_labels(values, meaning, size, max_pixels, name)
    for ids in (theirs, instance_ids):
        if ids is not None and ids.shape != tuple(size):
            raise InputError(
                f"{name}: label of {ids.shape[1]}x{ids.shape[0]} pixels for an image of {size[1]}x{size[0]} "
                "(width x height)"
            )
    class_ids = _class_ids(theirs, meaning.category_ids if CATEGORIES in values else meaning.class_ids, name)
    if instance_ids is None:
        return class_ids, None
    instance_ids = np.where(np.isin(class_ids, list(meaning.info.thing_ids)), instance_ids, 0)
    if instance_ids.max(initial=0) >= meaning.info.label_divisor:
        divisor = meaning.info.label_divisor
        raise InputError(f"{name}: instance {instance_ids.max()} does not fit the label divisor {divisor}")
    return class_ids, instance_ids


def _their_labels(values, meaning, size, max_pixels, name):
    """Returns (ids of their classes, instance ids or None), as in the record."""
    if CATEGORIES in values:
        masks = [_picture(values.get(key, b""), max_pixels, f"{name}: {key}") for key in (CATEGORIES, INSTANCES)]
        if any(mask.ndim != 2 for mask in masks):
            raise InputError(f"{name}: its masks are not grey PNGs")
        return masks
    content = values.get(LABEL, b"")
    if not content:
        raise InputError(f"{name}: label is missing")
    if values.get(LABEL_FORMAT) == b"raw":
        if len(content) != 4 * size[0] * size[1]:
            raise InputError(f"{name}: {len(content)} bytes of panoptic ids for {size[1]}x{size[0]} pixels, 4 each")
        return from_panoptic(np.frombuffer(content, "<i4").reshape(size), meaning.label_divisor)
    label = _picture(content, max_pixels, f"{name}: label")
    if label.ndim == 2:
        return label, None
    return label[..., 0], 256 * label[..., 1] + label[..., 2]


def _picture(content, max_pixels, name):
    """Decodes a grey or palette PNG to [height, width] int32, an RGB one to [height, width, 3] int32."""
    if not content:
        raise InputError(f"{name} is missing")
    with opened(io.BytesIO(content), max_pixels, name) as image:
        if image.mode not in ("L", "P", "I", "I;16", "RGB"):
            raise InputError(f"{name}: a label must have grey or RGB pixels; these are {image.mode}")
        return np.array(image).astype(np.int32)


def _class_ids(theirs, class_ids, name):
    present, places = np.unique(theirs, return_inverse=True)
    known = {IGNORE_LABEL: IGNORE_LABEL} | class_ids
    ids = np.array([known.get(int(value), UNKNOWN) for value in present])
    if (ids == UNKNOWN).any():
        raise InputError(
            f"{name}: its label has the class {present[ids == UNKNOWN][0]}, which the data set does not have"
        )
    return ids.astype(np.uint8)[places].reshape(theirs.shape)
