"""The forms in which a network sees an image: scaled, mirrored, and in tiles if it is too large for one piece."""

import dataclasses
import itertools
import math

import numpy as np
import tensorflow as tf

WHOLE_IMAGE_PIXELS = 2_200_000  # 1025x2049 goes in one piece
TILE_SIDE, TILE_OVERLAP = 1024, 256
# Tiles begin and end on the coarsest grid of any backbone, so that their maps are parts of one common map.
TILE_GRID = 32
PAD_VALUE = 127.5  # the value with which training pads
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)


@dataclasses.dataclass(frozen=True)
class View:
    """One form in which a network sees an image.

    Attributes:
      scale: factor of both sides.
      is_flipped: whether the image is mirrored left to right.
      base_size: (height, width) to which `scale` is applied; None is the image's own size.
    """

    scale: float = 1.0
    is_flipped: bool = False
    base_size: tuple[int, int] | None = None

    def size(self, image_size):
        """Returns (height, width) that the network sees: int((side - 1) * scale + 1), e.g. 257 for 513 at scale 0.5."""
        return tuple(int((side - 1) * self.scale + 1) for side in self.base_size or image_size)


SINGLE_VIEW = (View(),)


def views_of(multi_scale=False, flip=False, base_size=None) -> tuple[View, ...]:
    """Returns the views whose logits are averaged: one scale, or six if `multi_scale`; each also mirrored if `flip`."""
    flips = (False, True) if flip else (False,)
    return tuple(View(scale, flipped, base_size) for scale in (SCALES if multi_scale else (1.0,)) for flipped in flips)


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How a view is cut into tiles.

    Attributes:
      size: (height, width) of the view in pixels.
      tile: (height, width) of every tile in pixels.
      tops, lefts: rows and columns where tiles begin. Together the tiles cover the view, which is padded at the bottom
        and on the right.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    tops: tuple[int, ...] = (0,)
    lefts: tuple[int, ...] = (0,)

    @property
    def padded_size(self):
        return self.tops[-1] + self.tile[0], self.lefts[-1] + self.tile[1]

    @property
    def corners(self):
        return list(itertools.product(self.tops, self.lefts))


def tiling_of(size, whole_image_pixels=WHOLE_IMAGE_PIXELS) -> Tiling:
    """Plans the tiles: one for a view of up to `whole_image_pixels`, else overlapping ones of at most 1024x1024."""
    if size[0] * size[1] <= whole_image_pixels:
        return Tiling(size, size)
    padded = [math.ceil(side / TILE_GRID) * TILE_GRID for side in size]
    tile = tuple(min(side, TILE_SIDE) for side in padded)
    starts = []
    for side, tile_side in zip(padded, tile, strict=True):
        count = math.ceil(max(side - TILE_OVERLAP, 1) / (TILE_SIDE - TILE_OVERLAP)) if side > tile_side else 1
        last = side - tile_side
        starts.append(tuple(last * i // max(count - 1, 1) // TILE_GRID * TILE_GRID for i in range(count)))
    return Tiling(size, tile, *starts)


def network_inputs(image, view, tiling):
    """Yields the network inputs, each [1, *tile, 3] float32, of one view of a [height, width, 3] image."""
    if tiling.size != tuple(image.shape[:2]):
        image = tf.image.resize(image, tiling.size, antialias=True)
    for top, left in tiling.corners:
        piece = tf.cast(image[top : top + tiling.tile[0], left : left + tiling.tile[1]], tf.float32)
        missing = [[0, tiling.tile[axis] - piece.shape[axis]] for axis in range(2)]
        if tiling.padded_size != tiling.size:
            piece = tf.pad(piece, [*missing, [0, 0]], constant_values=PAD_VALUE)
        yield tf.reverse(piece, [1])[tf.newaxis] if view.is_flipped else piece[tf.newaxis]  # [1, *tile, 3]


def resized_pixels(image, size):
    """Resizes a [height, width, 3] image to `size` and rounds it; returns [*size, 3] uint8."""
    [pixels] = network_inputs(image, View(base_size=size), Tiling(tuple(size), tuple(size)))
    return rounded(pixels[0])


def rounded(pixels):
    """Rounds float values to a uint8 array; values outside 0 to 255 are clipped."""
    return tf.cast(tf.clip_by_value(tf.round(pixels), 0, 255), tf.uint8).numpy()


def join(tiles, tiling):
    """Joins tiles and averages them where they overlap; positions near a tile's border weigh less.

    Args:
      tiles: iterable of [iterations, h, w, num_classes] canvases, one for each of `tiling.corners`, in order.
      tiling: how the view was cut.
    Returns:
      [iterations, padded height / stride, padded width / stride, num_classes] float32.
    """
    total, weights = None, None
    for (top, left), canvases in zip(tiling.corners, tiles, strict=True):
        canvases = canvases.numpy()
        count, height, width, num_classes = canvases.shape
        stride = tiling.tile[0] // height
        if total is None:
            size = [side // stride for side in tiling.padded_size]
            total, weights = np.zeros([count, *size, num_classes], np.float32), np.zeros([*size, 1], np.float32)
            ramps = [np.minimum(np.arange(1, n + 1), np.arange(n, 0, -1)) / n for n in (height, width)]
            weight = np.outer(*ramps)[..., np.newaxis].astype(np.float32)
        window = np.s_[top // stride : top // stride + height, left // stride : left // stride + width]
        total[:, *window] += canvases * weight
        weights[window] += weight
    total /= weights
    return total
