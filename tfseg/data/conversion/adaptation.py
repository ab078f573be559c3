"""Applies conversion options to the records of any data set: smaller images, ignored crowds."""

import dataclasses
import functools
import io

import numpy as np
from PIL import Image

from tfseg.data.conversion.orientation import oriented
from tfseg.data.conversion.raw import ConvertOptions, EncodedExample, Listing
from tfseg.errors import InputError
from tfseg.formats.image_file import memory_named
from tfseg.formats.images import encode_jpeg, encode_panoptic, encode_png
from tfseg.labels import IGNORE_LABEL, DatasetInfo


def adapted(listing: Listing, options: ConvertOptions) -> Listing:
    """Returns the listing with `longest_side`, `crowd_as_ignore` and `mask_orientation` applied to its records.

    Raises:
      InputError: `crowd_as_ignore` is set for a data set without things.
    """
    if options.mask_orientation:
        listing = oriented(listing, options.mask_orientation)
    encode = listing.encode
    if options.crowd_as_ignore:
        if not isinstance(listing.info, DatasetInfo) or not listing.info.thing_ids:
            raise InputError("--crowd_as_ignore: this data set has no instances, hence no crowds; omit the flag")
        encode = functools.partial(_encode_without_crowds, encode=encode, thing_ids=listing.info.thing_ids)
    if options.longest_side is not None:
        encode = functools.partial(_encode_shrunk, encode=encode, longest_side=options.longest_side)
    return dataclasses.replace(listing, encode=encode)


def shrunk(encoded: EncodedExample, longest_side: int) -> EncodedExample:
    """Shrinks a record so that its longest side is at most `longest_side` pixels.

    The other side shrinks in proportion (rounded, at least 1 pixel). Each pixel of the new image averages the pixels it
    covers (triangle filter). Each pixel of the new label takes the source pixel nearest to its centre.
    """
    scale = longest_side / max(encoded.height, encoded.width)
    if scale >= 1:
        return encoded
    size = tuple(max(1, round(side * scale)) for side in (encoded.height, encoded.width))
    with memory_named(encoded.filename):
        previous = None if encoded.previous_jpeg is None else _shrunk_jpeg(encoded.previous_jpeg, size)
        class_ids, instance_ids = _labels(encoded)
        smaller = _with_labels(encoded, _nearest(class_ids, size), _nearest(instance_ids, size))
        image = _shrunk_jpeg(encoded.image_jpeg, size)
        return dataclasses.replace(smaller, image_jpeg=image, previous_jpeg=previous, height=size[0], width=size[1])


def without_crowds(encoded: EncodedExample, thing_ids: frozenset[int]) -> EncodedExample:
    """Returns the record with pixels of things without an instance ignored; unchanged if it has no panoptic map."""
    with memory_named(encoded.filename):
        class_ids, instance_ids = _labels(encoded)
        if instance_ids is None:
            return encoded
        is_crowd = np.isin(class_ids, list(thing_ids)) & (instance_ids == 0)
        return _with_labels(encoded, np.where(is_crowd, np.uint8(IGNORE_LABEL), class_ids), instance_ids)


def _encode_shrunk(item, encode, longest_side):
    return shrunk(encode(item), longest_side)


def _encode_without_crowds(item, encode, thing_ids):
    return without_crowds(encode(item), thing_ids)


def _shrunk_jpeg(content, size):
    with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
        return encode_jpeg(np.asarray(image.convert("RGB").resize(size[::-1], Image.Resampling.BILINEAR)))


def _labels(encoded):
    """Returns (class ids uint8, instance ids int32 or None), each [height, width]."""
    class_ids = _png(encoded.label_png)
    if encoded.panoptic_png is None:
        return class_ids, None
    panoptic = _png(encoded.panoptic_png).astype(np.int32)
    return class_ids, 256 * panoptic[..., 1] + panoptic[..., 2]


def _png(content):
    with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
        return np.asarray(image)


def _with_labels(encoded, class_ids, instance_ids):
    return dataclasses.replace(
        encoded,
        label_png=encode_png(class_ids),
        class_counts=np.bincount(class_ids.ravel(), minlength=256),
        panoptic_png=None if instance_ids is None else encode_panoptic(class_ids, instance_ids),
    )


def _nearest(values, size):
    if values is None:
        return None
    rows, columns = ((2 * np.arange(to) + 1) * of // (2 * to) for of, to in zip(values.shape, size, strict=True))
    return values[rows][:, columns]
