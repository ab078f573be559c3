"""Motion between two frames of a video, and maps moved along with it."""

import dataclasses

import cv2
import numpy as np

FLOW_SIDE = 240  # pixels of the shorter side at which motion is estimated, about half of a 360x480 frame
CHANNELS_AT_ONCE = 4  # what OpenCV's remap takes


@dataclasses.dataclass(frozen=True)
class Motion:
    """How a frame follows from the one before.

    Attributes:
      offset: [h, w, 2] float32 at the resolution of the estimate: where the content of each pixel was in the frame
        before, minus where it is now, (across, down), in shares of the frame's width and height.
      error: [h, w] float32, the difference of grey levels, 0 to 255, between the frame and the frame before moved so.
    """

    offset: np.ndarray
    error: np.ndarray


def motion_image(frame) -> np.ndarray:
    """Returns the grey levels of a [height, width, 3] uint8 RGB frame, made smaller, on which motion is estimated."""
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    scale = FLOW_SIDE / min(grey.shape)
    if scale >= 1:
        return grey
    size = tuple(max(round(side * scale), 1) for side in grey.shape[::-1])  # (width, height)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


class MotionEstimator:
    """Estimates motion with dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search")."""

    def __init__(self):
        self._search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def between(self, before, after) -> Motion:
        """Estimates the motion between two results of `motion_image` of one size."""
        if min(after.shape) < 16:  # smaller than the patches that are searched for
            still = np.zeros((*after.shape, 2), np.float32)
            return Motion(still, cv2.absdiff(before, after).astype(np.float32))
        flow = self._search.calc(after, before, None)
        moved = cv2.remap(before, *_places(flow), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        share = flow / np.float32([after.shape[1], after.shape[0]])
        return Motion(share, cv2.absdiff(moved, after).astype(np.float32))


def moved(maps, motion, trust_scale) -> np.ndarray:
    """Moves maps of the frame before to where their content is now.

    Args:
      maps: [h, w, channels] float32 of the frame before.
      motion: the Motion between the frames.
      trust_scale: grey levels of error at which a position keeps 1/e of its value: it is multiplied by
        exp(-(error / trust_scale)^2). 0 means that everything is kept.
    Returns:
      [h, w, channels] float32.
    """
    height, width, channels = maps.shape
    offset = cv2.resize(motion.offset, (width, height), interpolation=cv2.INTER_AREA) * np.float32([width, height])
    places = _places(offset)
    pieces = [maps[..., first : first + CHANNELS_AT_ONCE] for first in range(0, channels, CHANNELS_AT_ONCE)]
    warped = [cv2.remap(piece, *places, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for piece in pieces]
    result = np.concatenate([piece.reshape(height, width, -1) for piece in warped], axis=-1)
    if trust_scale:
        error = cv2.resize(motion.error, (width, height), interpolation=cv2.INTER_AREA)
        result *= np.exp(-np.square(error / np.float32(trust_scale)))[..., np.newaxis]
    return result


def _places(offset):
    """Returns the columns and rows, each [h, w] float32, to which offsets in pixels (across, down) lead."""
    height, width = offset.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return columns + offset[..., 0], rows + offset[..., 1]
