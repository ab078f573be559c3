"""TFRecords: their schema, a sharded writer, and a search for damage."""

import contextlib
import dataclasses
import itertools
import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfseg.data.manifest import (
    Manifest,
    Shard,
    Split,
    check_split,
    read_manifest,
    split_files,
    write_manifest,
)
from tfseg.errors import RunError
from tfseg.labels import IGNORE_LABEL
from tfseg.system.files import failure, file_sha256
from tfseg.system.parallel import Attempt, parallel_map

__all__ = [
    "FEATURES",
    "Manifest",
    "Shard",
    "Split",
    "check_split",
    "locate_damage",
    "parse_example",
    "read_manifest",
    "shard_slices",
    "split_files",
    "to_example",
    "write_manifest",
    "write_shard",
    "write_split",
    "write_splits",
]

IMAGES_PER_SHARD = 128
NO_FRAME = -1
# Other projects use the same keys. Images are JPEG or PNG; class ids are 8 bit PNG; panoptic PNGs hold (class,
# instance // 256, instance % 256). Absent values are "" or -1. "video/previous/encoded" is the frame before, which has
# no record of its own because it has no label.
FEATURES = {
    "image/encoded": tf.io.FixedLenFeature([], tf.string),
    "image/format": tf.io.FixedLenFeature([], tf.string, "jpeg"),
    "image/height": tf.io.FixedLenFeature([], tf.int64),
    "image/width": tf.io.FixedLenFeature([], tf.int64),
    "image/filename": tf.io.FixedLenFeature([], tf.string, ""),
    "image/segmentation/class/encoded": tf.io.FixedLenFeature([], tf.string, ""),
    "image/segmentation/class/format": tf.io.FixedLenFeature([], tf.string, "png"),
    "image/panoptic/encoded": tf.io.FixedLenFeature([], tf.string, ""),
    "video/sequence_id": tf.io.FixedLenFeature([], tf.string, ""),
    "video/frame_id": tf.io.FixedLenFeature([], tf.int64, NO_FRAME),
    "video/previous/encoded": tf.io.FixedLenFeature([], tf.string, ""),
}


def to_example(
    image_jpeg: bytes,
    label_png: bytes | None,
    *,
    height: int,
    width: int,
    filename: str,
    panoptic_png: bytes | None = None,
    sequence_id: str | None = None,
    frame_id: int | None = None,
    image_format: str = "jpeg",
    previous_jpeg: bytes | None = None,
) -> tf.train.Example:
    """Makes one record; `parse_example` is the inverse.

    Args:
      image_jpeg: encoded RGB image.
      label_png: encoded class ids, 8 bit; None if there are none.
      height, width: size of all pictures, in pixels.
      filename: the user's name for the image, for messages.
      panoptic_png: encoded RGB picture of (class, instance // 256, instance % 256).
      sequence_id, frame_id: video and frame number of a video frame.
      image_format: format of the image, "jpeg" or "png".
      previous_jpeg: encoded RGB image of the frame before, if that has no label and so no record of its own.
    """
    values = {
        "image/encoded": image_jpeg,
        "image/format": image_format,
        "image/height": height,
        "image/width": width,
        "image/filename": filename,
        "image/segmentation/class/encoded": label_png,
        "image/segmentation/class/format": "png" if label_png else None,
        "image/panoptic/encoded": panoptic_png,
        "video/sequence_id": sequence_id,
        "video/frame_id": frame_id,
        "video/previous/encoded": previous_jpeg,
    }
    features = {key: _feature(value) for key, value in values.items() if value is not None}
    return tf.train.Example(features=tf.train.Features(feature=features))


def _feature(value):
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    value = value if isinstance(value, bytes) else os.fsencode(value)  # file names need not be valid UTF-8
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))


def parse_example(serialized: tf.Tensor) -> dict[str, tf.Tensor]:
    """Parses one record to scalar tensors by the keys of `FEATURES`; absent ones are "" (strings) or -1 (frame)."""
    return tf.io.parse_single_example(serialized, FEATURES)


@dataclasses.dataclass
class WrittenSplit:
    """What was written of a split, or of a part of it.

    Attributes:
      shards: the files.
      pixel_counts, image_counts: [256] number of pixels of each class id, and number of images that contain it.
      problems: one line per item that could not be encoded.
      num_rotated: number of images that were turned as their EXIF orientation says.
      num_labels_rotated: number of their labels that were turned, too.
      label_values: {fact: first file that tells it} of how the label files store their ids; see `StoredValues.facts`.
    """

    shards: list[Shard] = dataclasses.field(default_factory=list)
    pixel_counts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(256, np.int64))
    image_counts: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(256, np.int64))
    problems: list[str] = dataclasses.field(default_factory=list)
    num_rotated: int = 0
    num_labels_rotated: int = 0
    label_values: dict = dataclasses.field(default_factory=dict)

    @classmethod
    def joined(cls, parts) -> "WrittenSplit":
        """Returns the whole of parts, which are given in the order of their records."""
        whole = cls()
        for part in parts:
            whole.shards += part.shards
            whole.pixel_counts += part.pixel_counts
            whole.image_counts += part.image_counts
            whole.problems += part.problems
            whole.num_rotated += part.num_rotated
            whole.num_labels_rotated += part.num_labels_rotated
            for fact, values in part.label_values.items():
                whole.label_values.setdefault(fact, values)
        return whole

    @property
    def num_examples(self) -> int:
        return sum(shard.num_examples for shard in self.shards)

    def split(self, num_classes: int) -> Split:
        """Returns the split's entry in the manifest."""
        return Split(
            self.num_examples,
            self.pixel_counts[:num_classes].tolist(),
            int(self.pixel_counts[IGNORE_LABEL]),
            self.image_counts[:num_classes].tolist(),
            self.shards,
        )


def write_splits(data_dir, splits: dict[str, list], encode, num_workers=None) -> dict[str, WrittenSplit]:
    """Writes the shards of several splits, one after the other; see `write_split`."""
    return {
        split: write_split(data_dir, split, items, encode, num_workers=num_workers) for split, items in splits.items()
    }


def write_split(data_dir, split: str, items: list, encode, *, num_workers=None, num_shards=None) -> WrittenSplit:
    """Writes a split's shards, `train-00003-of-00010.tfrecord`.

    Args:
      data_dir: existing folder.
      split: name of the split.
      items: arguments of `encode`, in the order of the records.
      encode: picklable function from an item to an EncodedExample; raises InputError for a bad item.
      num_workers: number of processes; None starts one per core.
      num_shards: number of files; None makes one per 128 items.
    Raises:
      RunError: the disk is full, or a worker died.
    """
    parts = []
    with contextlib.closing(parallel_map(Attempt(encode), items, num_workers, title=split)) as results:
        for name, part in shard_slices(split, len(items), num_shards).items():
            parts.append(write_shard(Path(data_dir) / name, itertools.islice(results, part.stop - part.start)))
        next(results, None)  # reaches the end, so that the progress bar closes
    return WrittenSplit.joined(parts)


def shard_slices(split: str, num_items: int, num_shards: int | None = None) -> dict[str, slice]:
    """Returns {name of a shard: which items it holds}; see `write_split`."""
    num_shards = num_shards or max(1, -(-num_items // IMAGES_PER_SHARD))
    edges = [num_items * index // num_shards for index in range(num_shards + 1)]
    names = [f"{split}-{index:05d}-of-{num_shards:05d}.tfrecord" for index in range(num_shards)]
    return dict(zip(names, map(slice, edges, edges[1:]), strict=False))


def write_shard(path, results) -> WrittenSplit:
    """Writes one shard.

    Args:
      path: the new file.
      results: of every item its EncodedExample, or the line that says why it has none.
    Raises:
      RunError: the disk is full.
    """
    path, written, num_examples = Path(path), WrittenSplit(), 0
    try:
        with tf.io.TFRecordWriter(str(path)) as writer:
            for result in results:
                if isinstance(result, str):
                    written.problems.append(result)
                    continue
                writer.write(_serialized(result))
                num_examples += 1
                _count(result, written)
        written.shards.append(Shard(path.name, num_examples, path.stat().st_size, file_sha256(path)))
    except (OSError, tf.errors.OpError) as error:
        raise RunError(f"{path}: records cannot be written ({failure(error)})") from error
    return written


def _count(encoded, written):
    written.pixel_counts += encoded.class_counts
    written.image_counts += encoded.class_counts > 0
    written.num_rotated += encoded.is_rotated
    written.num_labels_rotated += encoded.is_label_rotated
    for fact in encoded.label_values.facts if encoded.label_values else ():
        written.label_values.setdefault(fact, encoded.label_values)


def _serialized(encoded):
    return to_example(
        encoded.image_jpeg,
        encoded.label_png,
        height=encoded.height,
        width=encoded.width,
        filename=encoded.filename,
        panoptic_png=encoded.panoptic_png,
        sequence_id=encoded.sequence_id,
        frame_id=encoded.frame_id,
        previous_jpeg=encoded.previous_jpeg,
    ).SerializeToString()


def locate_damage(files: list[str]) -> tuple[str, int, str] | None:
    """Returns (shard, index in it, what is wrong) of the first record that cannot be read; None if all can be read."""
    for file in files:
        index = 0
        try:
            for record in tf.data.TFRecordDataset(file):
                _check_record(record)
                index += 1
        except tf.errors.DataLossError as error:
            return file, index, "cut short" if "truncated" in error.message else "its checksum is wrong"
        except (tf.errors.OpError, ValueError) as error:
            return file, index, str(getattr(error, "message", error)).splitlines()[0]
    return None


def _check_record(record):
    example = parse_example(record)
    shape = tf.io.decode_image(example["image/encoded"], expand_animations=False).shape
    label = example["image/segmentation/class/encoded"]
    if label != "" and tf.io.decode_png(label).shape[:2] != shape[:2]:
        raise ValueError("image and label differ in size")
