"""Turns one raw image and its label into the content of a record."""

import dataclasses

import numpy as np

from tfseg.data.conversion.orientation import STORED, possible_ways, undecided
from tfseg.data.conversion.raw import EncodedExample, RawExample
from tfseg.errors import InputError
from tfseg.formats.image_file import MAX_PIXELS, memory_named
from tfseg.formats.images import encode_jpeg, encode_panoptic, encode_png, read_stored_image
from tfseg.formats.label_file import LabelRule, read_stored_label, turned


def encode_pair(example: RawExample, rule: LabelRule, max_pixels: int = MAX_PIXELS) -> EncodedExample:
    """Makes the record of an image file and a label file. Raises InputError that names the file."""
    with memory_named(example.image_path):
        image = read_stored_image(example.image_path, max_pixels)
        label = read_stored_label(example.label_path, rule, max_pixels)
        encoded = _encoded(example, image, [label.class_ids], label.orientation)
        return dataclasses.replace(encoded, label_values=label.values)


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
    with memory_named(example.image_path):
        image = read_stored_image(example.image_path, max_pixels)
        return _encoded(example, image, [ids for ids in read_labels() if ids is not None])


def _encoded(example, image, labels, label_orientation=1):
    """Makes the record of a StoredImage and of [class ids] or [class ids, instance ids].

    `label_orientation` is the EXIF orientation of the label file itself, by which the labels have been turned.
    """
    height, width = image.pixels.shape[:2]
    is_turned = label_orientation == 1 and _is_to_be_turned(example, image, labels[0].shape)
    if is_turned:
        labels = [turned(values, image.orientation) for values in labels]
    class_ids = labels[0]
    if label_orientation not in (1, image.orientation):
        raise InputError(
            f"{example.label_path}: has EXIF orientation {label_orientation}, its image {image.orientation}; save the "
            "mask without one, as it lies on the image that viewers show"
        )
    if class_ids.shape != (height, width):
        raise InputError(
            f"{example.label_path}: label of {class_ids.shape[1]}x{class_ids.shape[0]} pixels for an image of "
            f"{width}x{height} (width x height)"
        )
    return EncodedExample(
        image_jpeg=image.jpeg or encode_jpeg(image.pixels),
        label_png=encode_png(class_ids),
        height=height,
        width=width,
        filename=example.filename,
        class_counts=np.bincount(class_ids.ravel(), minlength=256),
        panoptic_png=encode_panoptic(*labels) if len(labels) == 2 else None,
        sequence_id=example.sequence_id,
        frame_id=example.frame_id,
        is_rotated=image.orientation != 1,
        is_label_rotated=is_turned or label_orientation != 1,
        previous_jpeg=_previous(example, (height, width)),
    )


def _previous(example, size):
    """Returns the encoded frame before; None if there is none. Raises InputError for one of another size."""
    if example.previous_path is None:
        return None
    image = read_stored_image(example.previous_path, size[0] * size[1])
    if image.pixels.shape[:2] != size:
        height, width = image.pixels.shape[:2]
        raise InputError(
            f"{example.previous_path}: {width}x{height} pixels; the frame after it has {size[1]}x{size[0]} (width x "
            "height)"
        )
    return image.jpeg or encode_jpeg(image.pixels)


def _is_to_be_turned(example, image, label_size):
    """Whether a label has to be turned as its image was. Raises InputError if that is not clear."""
    if image.orientation == 1:
        return False
    ways = possible_ways(label_size, image.stored_size, image.orientation)
    if len(ways) == 2 and example.mask_orientation is None:
        raise undecided(example.image_path, image.orientation)
    if ways and example.mask_orientation not in (None, *ways):
        raise InputError(
            f"{example.label_path}: its size is that of the {ways[0]} image (EXIF orientation {image.orientation}), "
            f"against --mask_orientation={example.mask_orientation}"
        )
    return STORED in (ways if len(ways) < 2 else (example.mask_orientation,))


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
