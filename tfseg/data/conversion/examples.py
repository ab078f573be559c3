"""Turns one raw image and its label into the content of a record."""

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
    """Makes the record of an image file and a label file. Raises InputError that names the file."""
    return encode_labelled(example, lambda: (read_label(example.label_path, rule, max_pixels), None), max_pixels)


def encode_labelled(example: RawExample, read_labels, max_pixels: int = MAX_PIXELS) -> EncodedExample:
    """Makes the record of an image file and of what its label files say.

    Args:
      example: paths and names.
      read_labels: called after the image is read; returns (class ids uint8, instance ids int32 below 65536), each
        [height, width] as stored (not rotated). The instance ids are None if there is no panoptic map.
      max_pixels: number of pixels above which files are refused.
    Raises:
      InputError: a file cannot be used; the message names it.
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
    """Makes the record of pictures in memory.

    Args:
      image: [height, width, 3] uint8 RGB.
      class_ids: [height, width] uint8.
      filename: the image's name in the record.
      panoptic: (class ids, instance ids below 65536), each [height, width]; None for no panoptic map.
      sequence_id, frame_id: the video and the frame number if the image is a video frame; otherwise None.
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
