"""The forms in which a network sees an image: scaled, mirrored, and in tiles if it is too large for one piece."""

import dataclasses
import itertools
import math

import numpy as np
import tensorflow as tf

from tfseg.errors import InputError, listed

WHOLE_IMAGE_PIXELS = 2_200_000  # 1025x2049 goes in one piece
TILE_SIDE, TILE_OVERLAP = 1024, 256
# Tiles begin and end on the coarsest grid of any backbone, so that their maps are parts of one common map.
TILE_GRID = 32
PAD_VALUE = 127.5  # the value with which training pads
SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
FUSIONS = ("logits", "probabilities", "exp_logits")  # how the views of an image become one answer, see `Refinement`


@dataclasses.dataclass(frozen=True)
class Window:
    """The windows that slide over a view.

    Attributes:
      size: (height, width) of each window in pixels.
      stride: (down, across) from one window to the next in pixels. The last window ends where the view does.
    """

    size: tuple[int, int]
    stride: tuple[int, int]

    def __post_init__(self):
        for name, sides in (("window", self.size), ("stride", self.stride)):
            if len(sides) != 2 or min(sides) < TILE_GRID or any(side % TILE_GRID for side in sides):
                raise InputError(
                    f"--{name}={listed(sides, 'x')}: two multiples of {TILE_GRID} are wanted, because windows lie on "
                    "the grid of the network's maps"
                )
        if any(step > side for step, side in zip(self.stride, self.size, strict=True)):
            stride, size = listed(self.stride, "x"), listed(self.size, "x")
            raise InputError(f"--stride={stride} leaves gaps between windows of {size}")

    @classmethod
    def of(cls, size, stride=None) -> "Window":
        """Returns windows of a size; without a stride, that of 2/3 of the size, to the nearest multiple of 32."""
        nearest = tuple(max(round(side * 2 / 3 / TILE_GRID), 1) * TILE_GRID for side in size)
        return cls(tuple(size), tuple(stride or nearest))


@dataclasses.dataclass(frozen=True)
class View:
    """One form in which a network sees an image.

    Attributes:
      scale: factor of both sides.
      is_flipped: whether the image is mirrored left to right.
      base_size: (height, width) to which `scale` is applied; None is the image's own size.
      long_side: pixels of the image's longer side to which `scale` is applied, in place of its own size.
      window: the windows that slide over the view; None for the whole view, in tiles if it is large.
    """

    scale: float = 1.0
    is_flipped: bool = False
    base_size: tuple[int, int] | None = None
    long_side: int | None = None
    window: Window | None = None

    def size(self, image_size):
        """Returns (height, width) that the network sees.

        It is int((side - 1) * scale + 1), e.g. 257 for 513 at scale 0.5; with `long_side`, the longer side is
        ceil(long_side * scale), and the other one is rounded to the image's proportions.
        """
        if self.long_side is None:
            return tuple(int((side - 1) * self.scale + 1) for side in self.base_size or image_size)
        longest = math.ceil(self.long_side * self.scale)
        return tuple(max(int(side * longest / max(image_size) + 0.5), 1) for side in image_size)


SINGLE_VIEW = (View(),)


def views_of(
    multi_scale=False, flip=False, base_size=None, *, scales=(), long_side=None, window=None
) -> tuple[View, ...]:
    """Returns the views that are fused to one answer: each scale, and also mirrored if `flip`.

    The scales are `scales`; without these they are six if `multi_scale`, or 1. For the rest see `View`.
    """
    flips = (False, True) if flip else (False,)
    scales = scales or (SCALES if multi_scale else (1.0,))
    return tuple(View(scale, flipped, base_size, long_side, window) for scale in scales for flipped in flips)


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How a view is cut into tiles.

    Attributes:
      size: (height, width) of the view in pixels.
      tile: (height, width) of every tile in pixels.
      tops, lefts: rows and columns where tiles begin. Together the tiles cover the view, which is padded at the bottom
        and on the right.
      is_blended: whether positions near a tile's border weigh less where tiles overlap; otherwise all weigh the same.
    """

    size: tuple[int, int]
    tile: tuple[int, int]
    tops: tuple[int, ...] = (0,)
    lefts: tuple[int, ...] = (0,)
    is_blended: bool = True

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


def windows_of(size, window: Window) -> Tiling:
    """Plans the windows that slide over a view; a view that fits into one window goes in one piece."""
    if all(side <= most for side, most in zip(size, window.size, strict=True)):
        return Tiling(size, size)
    padded = [math.ceil(side / TILE_GRID) * TILE_GRID for side in size]
    tile = tuple(min(side, most) for side, most in zip(padded, window.size, strict=True))
    starts = []
    for side, tile_side, step in zip(padded, tile, window.stride, strict=True):
        last = side - tile_side
        starts.append((*range(0, last, step), last))
    return Tiling(size, tile, *starts, is_blended=False)


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
    """Joins tiles and averages them where they overlap.

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
            weight = weight if tiling.is_blended else np.ones_like(weight)
        window = np.s_[top // stride : top // stride + height, left // stride : left // stride + width]
        total[:, *window] += canvases * weight
        weights[window] += weight
    total /= weights
    return total
