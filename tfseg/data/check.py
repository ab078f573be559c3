"""Checks a folder of records as a person would: is it complete, what is in it, and does it look right?"""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from tfseg.data.decoding import why_unusable
from tfseg.data.manifest import Manifest, check_split, split_files
from tfseg.data.tfrecord import locate_damage, parse_example
from tfseg.errors import InputError
from tfseg.formats.label_file import LabelRule, read_label
from tfseg.markdown import table
from tfseg.system.progress import with_progress

NUM_OVERLAYS = 4
IGNORED_ROW = "ignored, of all"


def check_records(manifest: Manifest, data_dir):
    """Checks everything: the sha256 of every shard, every image header, every pixel of labels and panoptic maps.

    Raises:
      InputError: a file is damaged, class ids are out of range, sizes differ, training would refuse a panoptic map, or
        the counts are not those of the manifest. The message names the shard or the image.
    """
    files = {}
    for split in manifest.splits:
        check_split(manifest, data_dir, split, verify=True)
        files |= dict.fromkeys(split_files(manifest, data_dir, split))  # splits may share shards
    counts = {}
    for file in with_progress(iter(files), len(files), "check", unit="shards"):
        counts[file] = _shard_counts(file, manifest.info)
    for split, records in manifest.splits.items():
        found = sum(counts[file] for file in split_files(manifest, data_dir, split))
        expected = [*records.label_histogram, records.ignored_pixels]
        if found[[*range(manifest.info.num_classes), manifest.info.ignore_label]].tolist() != expected:
            raise InputError(f"{data_dir}: the pixels of split {split!r} are not those of its manifest; convert again")


def class_table(manifest: Manifest, split: str) -> str:
    """Returns the split's number of images, and a Markdown table with one row for each class.

    The columns are the class, its id, its share of the labelled pixels in percent, and the images that contain it.
    """
    records = manifest.splits[split]
    labelled = sum(records.label_histogram)
    rows = []
    for class_id, name in enumerate(manifest.info.class_names):
        share = 100 * records.label_histogram[class_id] / max(labelled, 1)
        rows.append([name, str(class_id), f"{share:.3f}", str(records.images_per_class[class_id])])
    ignored = 100 * records.ignored_pixels / max(labelled + records.ignored_pixels, 1)
    rows.append([IGNORED_ROW, "", f"{ignored:.3f}", ""])
    return f"{split}: {records.num_examples} images\n\n{table(['class', 'id', 'pixels, %', 'images'], rows)}"


def split_of_pictures(manifest: Manifest, data_dir, split: str | None = None) -> str:
    """Returns `split`; for None "train", or the first split if there is no "train".

    Raises:
      InputError: there is no such split.
    """
    if split is None:
        split = "train" if "train" in manifest.splits else next(iter(manifest.splits), "train")
    split_files(manifest, data_dir, split)
    return split


def write_overlays(manifest: Manifest, data_dir, split: str, output_dir, overlay: Callable) -> list[str]:
    """Writes pictures of labels over images: four, spread evenly over the split, or fewer if it has fewer images.

    Args:
      manifest: the manifest of the records.
      data_dir: folder of the records.
      split: name of the split.
      output_dir: folder for the pictures; it is made if needed.
      overlay: (image [h, w, 3] uint8, class ids [h, w] uint8, DatasetInfo) -> uint8 RGB picture.
    Returns:
      The pictures' paths: `output_dir`/<split>_<index>.png, with an index of five digits.
    Raises:
      InputError: there is no such split.
    """
    files = split_files(manifest, data_dir, split)
    total = manifest.splits[split].num_examples
    count = min(NUM_OVERLAYS, total)
    wanted = {total * number // count for number in range(count)}
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    paths = []
    for index, record in enumerate(tf.data.TFRecordDataset(files)):
        if index not in wanted:
            continue
        example = parse_example(record)
        image = tf.io.decode_image(example["image/encoded"], 3, expand_animations=False).numpy()
        class_ids = _class_ids(example, manifest.info)
        paths.append(str(Path(output_dir, f"{split}_{index:05d}.png")))
        Image.fromarray(overlay(image, class_ids, manifest.info)).save(paths[-1])
    return paths


def _shard_counts(file, info):
    """Returns [256] numbers of pixels of every class id in a shard."""
    counts = np.zeros(256, np.int64)
    try:
        for index, record in enumerate(tf.data.TFRecordDataset(file)):
            example = parse_example(record)
            class_ids = _class_ids(example, info)
            with Image.open(io.BytesIO(example["image/encoded"].numpy()), formats=["JPEG", "PNG"]) as image:
                if image.size != class_ids.shape[::-1]:
                    raise InputError(f"{_name(example)}: image and label differ in size in {file}")
            reason = why_unusable(example, class_ids, info.ignore_label, info.label_divisor)
            if reason:
                raise InputError(f"{file}: record {index} ({_name(example)}): {reason}; convert the data again")
            counts += np.bincount(class_ids.ravel(), minlength=256)
    except (tf.errors.OpError, OSError) as error:
        _, index, message = locate_damage([file]) or (file, 0, error)
        raise InputError(f"{file}: record {index} is damaged ({message}); convert the data again") from error
    return counts


def _class_ids(example, info):
    """Returns [height, width] uint8 class ids; without a label, all are the ignore label."""
    encoded = example["image/segmentation/class/encoded"].numpy()
    if not encoded:
        return np.full([example["image/height"], example["image/width"]], info.ignore_label, np.uint8)
    return read_label(io.BytesIO(encoded), LabelRule(info.num_classes), name=_name(example))


def _name(example):
    return example["image/filename"].numpy().decode(errors="backslashreplace")
