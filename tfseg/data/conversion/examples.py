"""One raw image and its label -> the content of a record."""

import numpy as np

from tfseg.data.conversion.raw import EncodedExample, RawExample
from tfseg.errors import InputError
from tfseg.formats.images import (
    MAX_PIXELS,
    LabelRule,
    encode_jpeg,
    encode_panoptic,
    encode_png,
    read_label,
    read_stored_image,
    turned,
)


def encode_pair(example: RawExample, rule: LabelRule, max_pixels: int = MAX_PIXELS) -> EncodedExample:
    """The record of an image and label file. Raises InputError naming the file."""
    return encode_labelled(example, lambda: (read_label(example.label_path, rule, max_pixels), None), max_pixels)


def encode_labelled(example: RawExample, read_labels, max_pixels: int = MAX_PIXELS) -> EncodedExample:
    """The record of an image file and of what its label files say.

    Args:
      read_labels: called when the image is read; returns (class ids uint8, instance ids int32 below 65536 or None for
        no panoptic map), [height, width] each, as stored (not rotated).
    Raises:
      InputError: naming the file.
    """
    stored = read_stored_image(example.image_path, max_pixels)
    class_ids, instance_ids = read_labels()
    labels = [class_ids] if instance_ids is None else [class_ids, instance_ids]
    height, width = stored.pixels.shape[:2]
    if stored.orientation != 1 and class_ids.shape == stored.stored_size:
        labels = [turned(values, stored.orientation) for values in labels]
    class_ids = labels[0]
    if class_ids.shape != (height, width):
        raise InputError(
            f"{example.label_path}: label of {class_ids.shape[1]}x{class_ids.shape[0]} pixels for an image of "
            f"{width}x{height} (width x height)"
        )
    return EncodedExample(
        image_jpeg=stored.jpeg or encode_jpeg(stored.pixels),
        label_png=encode_png(class_ids),
        height=height,
        width=width,
        filename=example.filename,
        class_counts=np.bincount(class_ids.ravel(), minlength=256),
        panoptic_png=None if instance_ids is None else encode_panoptic(*labels),
        sequence_id=example.sequence_id,
        frame_id=example.frame_id,
        is_rotated=stored.orientation != 1,
    )


def encode_arrays(image, class_ids, filename: str, panoptic=None, sequence_id=None, frame_id=None) -> EncodedExample:
    """The record of pictures in memory.

    Args:
      image: [height, width, 3] uint8 RGB.
      class_ids: [height, width] uint8.
      filename: what the record calls it.
      panoptic: (class ids, instance ids below 65536), [height, width] each.
      sequence_id, frame_id: of a video frame.
    """
    return EncodedExample(
        image_jpeg=encode_jpeg(image),
        label_png=encode_png(class_ids),
        height=image.shape[0],
        width=image.shape[1],
        filename=filename,
        class_counts=np.bincount(class_ids.ravel(), minlength=256),
        panoptic_png=None if panoptic is None else encode_panoptic(*panoptic),
        sequence_id=sequence_id,
        frame_id=frame_id,
    )
