"""Scales, flips, crops and rotates image and label together, and changes colour and sharpness of the image, at random.

Crops are made before resizing: scale and crop are drawn first, then only the source window under the crop is decoded,
and one resampling maps it to the crop. Image and label share one `Geometry`, with half-pixel centres; labels are never
interpolated. All randomness comes from a seed; there is no stateful op.
"""

import importlib.util
import math
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# tensorflow-addons ended with TensorFlow 2.15; without it, the operation that it wraps is called.
HAS_ADDONS = importlib.util.find_spec("tensorflow_addons") is not None
FILL_COLOR = 127.5
MEAN_COLOR = (123.675, 116.28, 103.53)
"""The mean RGB of ImageNet's images, which becomes 0 where a network's normalisation subtracts it."""
FILLS = ("grey", "mean", "reflect")

BRIGHTNESS, CONTRAST, SATURATION, HUE = 0.25, 0.5, 0.5, math.pi / 10
"""Ranges of the colour jitter at strength 1. Brightness is a share of 255; contrast and saturation are the largest
distance of a factor from 1; hue is in radians."""

# RGB -> YIQ (FCC NTSC): luma, and chroma as a plane in which a change of hue is a rotation.
_TO_YIQ = [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
_FROM_YIQ = np.linalg.inv(_TO_YIQ).astype(np.float32)


class Geometry(NamedTuple):
    """Where a crop's pixels lie in their source image.

    On the scaled image, crop pixel (i, j) lies at `offset + (i, j) + 0.5`, rotated by `angle` around the crop's centre.
    Divided by `scale`, this is its position on the source, whose pixel (y, x) has its centre at (y + 0.5, x + 0.5).

    Attributes:
      source_size: [2] int32, (height, width) of the source in pixels.
      scale: [2] float32, scaled size divided by source size.
      scaled_size: [2] int32, (height, width) of the scaled image in pixels.
      offset: [2] int32, the crop's upper left corner on the scaled image; negative where the crop is padded.
      is_flipped: bool, whether the source is mirrored left to right before anything else.
      angle: float32, radians; 0 unless rotation is on.
    """

    source_size: tf.Tensor
    scale: tf.Tensor
    scaled_size: tf.Tensor
    offset: tf.Tensor
    is_flipped: tf.Tensor
    angle: tf.Tensor


def draw_geometry(source_size, seed, data) -> Geometry:
    """Draws scale, flip, crop and angle.

    Args:
      source_size: [2] int32 (height, width).
      seed: [2] int64; equal seeds give equal draws.
      data: has crop_size, scales, min_scale, max_scale, flip and rotation (degrees), as the data part of an experiment.
    Returns:
      A Geometry. Along each axis, its crop either lies inside the scaled image or contains all of it.
    """
    draws = tf.random.stateless_uniform([5], seed, alg="philox")
    size = tf.cast(source_size, tf.float32)
    if data.scales:
        index = tf.cast(draws[0] * len(data.scales), tf.int32)
        scale = tf.gather(tf.constant(data.scales, tf.float32), tf.minimum(index, len(data.scales) - 1))
    else:
        scale = data.min_scale + draws[0] * (data.max_scale - data.min_scale)
    scaled_size = tf.maximum(tf.round(size * scale), 1.0)
    spare = scaled_size - tf.constant(data.crop_size, tf.float32)
    # Uniform over the integer positions between both extremes; if spare is negative, padding is split over both sides.
    lowest = tf.minimum(spare, 0.0)
    offset = lowest + tf.minimum(tf.floor(draws[1:3] * (tf.abs(spare) + 1.0)), tf.abs(spare))
    return Geometry(
        source_size=source_size,
        scale=scaled_size / size,
        scaled_size=tf.cast(scaled_size, tf.int32),
        offset=tf.cast(offset, tf.int32),
        is_flipped=(draws[3] < 0.5) if data.flip else tf.constant(False),
        angle=(draws[4] * 2.0 - 1.0) * math.radians(data.rotation),
    )


def on_crop(points, geometry: Geometry):
    """Maps points of the source to the crop, for a geometry without rotation.

    Args:
      points: [..., 2] (y, x) in pixels of the source, which is already mirrored if the geometry is; pixel centres are
        at integers.
      geometry: where the crop lies.
    Returns:
      [..., 2] of the same type, in pixels of the crop; points may lie outside of the crop.
    """
    scale, offset = (tf.cast(values, points.dtype) for values in (geometry.scale, geometry.offset))
    return (points + 0.5) * scale - 0.5 - offset


def source_window(geometry: Geometry, data):
    """Returns the part of the (mirrored) source that a crop is made from.

    Returns:
      [4] int32 (top, left, height, width), inside the source, at least 1 x 1, wide enough for the resampling's support.
    """
    size = tf.constant(data.crop_size, tf.float32)
    half = size / 2.0
    reach = half
    if data.rotation:
        cosine, sine = tf.abs(tf.cos(geometry.angle)), tf.abs(tf.sin(geometry.angle))
        reach = half * cosine + half[::-1] * sine
    center = tf.cast(geometry.offset, tf.float32) + half
    support = tf.maximum(1.0, 1.0 / geometry.scale) + 1.0
    begin = tf.floor((center - reach) / geometry.scale - support)
    end = tf.math.ceil((center + reach) / geometry.scale + support)
    limit = geometry.source_size
    begin = tf.clip_by_value(tf.cast(begin, tf.int32), 0, limit - 1)
    end = tf.clip_by_value(tf.cast(end, tf.int32), begin + 1, limit)
    return tf.concat([begin, end - begin], axis=0)


def mirror(window, geometry: Geometry):
    """Maps a window on the mirrored source to the source itself; the function is its own inverse."""
    left = geometry.source_size[1] - window[1] - window[3]
    return tf.where(geometry.is_flipped, tf.stack([window[0], left, window[2], window[3]]), window)


def crop_image(pixels, window, geometry: Geometry, data):
    """Resamples the source window under a crop to the crop.

    Resampling is bilinear. Without rotation it is antialiased when it shrinks the image (with a triangle as wide as the
    target's pixel), like the view of a camera of lower resolution. A rotated crop is one bilinear affine resampling.

    Args:
      pixels: [height, width, 3] uint8 or float32, the window of the source (not yet mirrored).
      window: [4] int32 on the mirrored source, from `source_window`.
      geometry: where the crop lies.
      data: see `draw_geometry`; also has `fill`, what lies outside the source: "grey" (FILL_COLOR), "mean" (MEAN_COLOR)
        or "reflect" (its mirror image).
    Returns:
      [crop height, crop width, 3] float32 in 0..255.
    """
    pixels = tf.cond(geometry.is_flipped, lambda: tf.reverse(pixels, [1]), lambda: pixels)
    # Filling takes one value for all channels, so the mean colour is made 0 meanwhile.
    fill, shift = {"grey": (FILL_COLOR, 0.0), "mean": (0.0, MEAN_COLOR), "reflect": (None, 0.0)}[data.fill]
    if data.rotation:
        return _rotate(tf.cast(pixels, tf.float32) - shift, window, geometry, data, "bilinear", fill) + shift
    begin, end = _covered(geometry, data)
    # ScaleAndTranslate: output centre = scale * input centre + translation, both counted with half-pixel centres.
    start = tf.cast(geometry.offset + begin, tf.float32)
    image = tf.raw_ops.ScaleAndTranslate(
        images=pixels[tf.newaxis],
        size=end - begin,
        scale=geometry.scale,
        translation=tf.cast(window[:2], tf.float32) * geometry.scale - start,
        kernel_type="triangle",
        antialias=True,
    )[0]  # [*(end - begin), 3]
    if fill is None:
        rows, columns = (_reflected(axis, begin, end, data) for axis in (0, 1))
        image = tf.gather(tf.gather(image, rows), columns, axis=1)
        return tf.ensure_shape(image, [*data.crop_size, 3])
    return _pad(image - shift, begin, end, data, fill) + shift


def crop_label(label, geometry: Geometry, data, fill):
    """Resamples a label to the crop by nearest neighbour, with the same geometry as `crop_image`.

    Args:
      label: [height, width] uint8 class ids or int32 instance ids, the whole source.
      geometry: where the crop lies.
      data: see `draw_geometry`.
      fill: id of pixels outside the source: the ignore label, or 0 for instances.
    Returns:
      [crop height, crop width] int32.
    """
    if data.rotation:
        whole = tf.concat([tf.zeros([2], tf.int32), geometry.source_size], axis=0)
        label = tf.cond(geometry.is_flipped, lambda: tf.reverse(label, [1]), lambda: label)
        label = _rotate(label[..., tf.newaxis], whole, geometry, data, "nearest", fill)  # [*crop_size, 1]
        return tf.cast(label[..., 0], tf.int32)
    begin, end = _covered(geometry, data)
    rows, columns = (_nearest(axis, begin, end, geometry) for axis in (0, 1))
    columns = tf.where(geometry.is_flipped, geometry.source_size[1] - 1 - columns, columns)
    # Gathering whole rows is faster than gathering single pixels: hence the transposes.
    # [height, width] -> [rows, width] -> [width, rows] -> [columns, rows] -> [rows, columns]
    label = tf.transpose(tf.gather(tf.transpose(tf.gather(label, rows)), columns))
    return tf.cast(_pad(label, begin, end, data, fill), tf.int32)


def _covered(geometry, data):
    """Returns (begin, end), each [2] int32: the range of the crop's pixels that lie on the scaled image."""
    begin = tf.maximum(-geometry.offset, 0)
    return begin, tf.minimum(geometry.scaled_size - geometry.offset, data.crop_size)


def _nearest(axis, begin, end, geometry):
    centers = tf.cast(tf.range(begin[axis], end[axis]) + geometry.offset[axis], tf.float32) + 0.5
    indices = tf.cast(tf.floor(centers / geometry.scale[axis]), tf.int32)
    return tf.clip_by_value(indices, 0, geometry.source_size[axis] - 1)


def _reflected(axis, begin, end, data):
    """Returns [crop side] indices into the range from `begin` to `end`, mirrored at its borders again and again."""
    length = end[axis] - begin[axis]
    position = (tf.range(data.crop_size[axis]) - begin[axis]) % (2 * length)
    return tf.minimum(position, 2 * length - 1 - position)


def _pad(pixels, begin, end, data, value):
    paddings = tf.stack([begin, data.crop_size - end], axis=1)  # [2, 2]: (before, after) per axis
    if len(pixels.shape) == 3:
        paddings = tf.concat([paddings, [[0, 0]]], axis=0)
    padded = tf.pad(pixels, paddings, constant_values=tf.cast(value, pixels.dtype))
    return tf.ensure_shape(padded, [*data.crop_size, *pixels.shape[2:]])


def _rotate(pixels, window, geometry, data, interpolation, fill_value):
    height, width = data.crop_size
    cosine, sine = tf.cos(geometry.angle), tf.sin(geometry.angle)
    offset, window = tf.cast(geometry.offset, tf.float32), tf.cast(window, tf.float32)
    # Pixel index -> centre relative to the crop's centre: add 0.5, subtract half the size. On the source: the reverse.
    middle_y, middle_x = (height - 1) / 2, (width - 1) / 2
    shift_x = (offset[1] + width / 2 - cosine * middle_x + sine * middle_y) / geometry.scale[1] - window[1] - 0.5
    shift_y = (offset[0] + height / 2 - sine * middle_x - cosine * middle_y) / geometry.scale[0] - window[0] - 0.5
    row_x = [cosine / geometry.scale[1], -sine / geometry.scale[1], shift_x]
    row_y = [sine / geometry.scale[0], cosine / geometry.scale[0], shift_y]
    rotated = _projected(pixels, tf.stack([*row_x, *row_y, 0.0, 0.0]), data.crop_size, interpolation, fill_value)
    return tf.ensure_shape(rotated, [height, width, pixels.shape[-1]])


def _projected(pixels, transform, size, interpolation, fill_value, has_addons=HAS_ADDONS):
    """Resamples [height, width, channels] at the places of a projective transform [8] from target to source."""
    fill_mode, fill_value = "reflect" if fill_value is None else "constant", float(fill_value or 0)
    if has_addons:
        import tensorflow_addons as tfa  # at its end of life and slow to import, so used only for this

        return tfa.image.transform(pixels, transform, interpolation, fill_mode, size, fill_value=fill_value)
    projected = tf.raw_ops.ImageProjectiveTransformV3(
        images=pixels[tf.newaxis],
        transforms=transform[tf.newaxis],
        output_shape=size,
        fill_value=fill_value,
        interpolation=interpolation.upper(),
        fill_mode=fill_mode.upper(),
    )
    return projected[0]


def jitter_color(pixels, seed, strength):
    """Changes brightness, contrast, saturation and hue at random, as one linear map of RGB.

    Args:
      pixels: [height, width, 3] in 0..255.
      seed: [2] int64.
      strength: factor, 0 to 1, on the range of each of the four.
    Returns:
      [height, width, 3] float32, clipped to 0..255.
    """
    draws = strength * tf.random.stateless_uniform([4], seed, minval=-1.0, maxval=1.0, alg="philox")
    brightness, contrast = 255.0 * BRIGHTNESS * draws[0], 1.0 + CONTRAST * draws[1]
    saturation, hue = 1.0 + SATURATION * draws[2], HUE * draws[3]
    cosine, sine = saturation * tf.cos(hue), saturation * tf.sin(hue)
    turn = tf.stack([[1.0, 0.0, 0.0], tf.stack([0.0, cosine, -sine]), tf.stack([0.0, sine, cosine])])  # [3, 3]
    to_yiq = tf.constant(_TO_YIQ)
    matrix = contrast * tf.linalg.matmul(tf.constant(_FROM_YIQ), tf.linalg.matmul(turn, to_yiq))
    bias = (1.0 - contrast) * FILL_COLOR + brightness
    flat = tf.reshape(tf.cast(pixels, tf.float32), [-1, 3])  # [height * width, 3]
    changed = tf.clip_by_value(tf.linalg.matmul(flat, matrix, transpose_b=True) + bias, 0.0, 255.0)
    return tf.reshape(changed, tf.shape(pixels))


def blur(image, seed, data):
    """Blurs a share of the images by a Gaussian whose standard deviation is drawn anew for each of them.

    Args:
      image: [height, width, 3] float32.
      seed: [2] int64.
      data: has blur_rate, the share of images, and blur_radius, the largest standard deviation in pixels.
    Returns:
      [height, width, 3] float32; beyond its borders the image is taken to go on with its border pixels.
    """
    draws = tf.random.stateless_uniform([2], seed, alg="philox")
    reach = math.ceil(3 * data.blur_radius)
    distance = tf.range(-reach, reach + 1, dtype=tf.float32) / tf.maximum(draws[1] * data.blur_radius, 1e-3)
    weights = tf.nn.softmax(-(distance**2) / 2)  # [2 * reach + 1]

    def blurred():
        along = image
        for axis in (0, 1):
            last = tf.shape(image)[axis] - 1
            around = tf.gather(along, tf.clip_by_value(tf.range(-reach, last + reach + 1), 0, last), axis=axis)
            kernel = tf.reshape(weights, [-1, 1, 1, 1] if axis == 0 else [1, -1, 1, 1])
            kernel = tf.tile(kernel, [1, 1, 3, 1])  # [rows, columns, 3, 1]
            along = tf.nn.depthwise_conv2d(around[tf.newaxis], kernel, [1, 1, 1, 1], "VALID")[0]
        return tf.ensure_shape(along, image.shape)

    return tf.cond(draws[0] < data.blur_rate, blurred, lambda: image)
