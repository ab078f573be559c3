"""Motion between two frames of a video, and maps moved along with it."""

import dataclasses

import cv2
import numpy as np
from scipy import sparse

FLOW_SIDE = 240  # pixels of the shorter side at which motion is estimated, about half of a 360x480 frame
UNLIKE_ERROR = 24  # grey levels
CUT_SHARE = 0.35  # `unlike_share` above which another scene begins


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

    @property
    def unlike_share(self) -> float:
        """Share of the pixels, 0 to 1, that the frame before does not explain, moved as well as it can be."""
        return float(np.mean(self.error > UNLIKE_ERROR))


def motion_image(frame) -> np.ndarray:
    """Returns the grey levels of a [height, width, 3] uint8 RGB frame, made smaller, on which motion is estimated."""
    grey = cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY)
    scale = FLOW_SIDE / min(grey.shape)
    if scale >= 1:
        return grey
    size = tuple(max(round(side * scale), 1) for side in grey.shape[::-1])  # (width, height)
    return cv2.resize(grey, size, interpolation=cv2.INTER_AREA)


def no_motion(before, after) -> Motion:
    """Returns the Motion of a picture that stands still, for two results of `motion_image` of one size."""
    return Motion(np.zeros((*after.shape, 2), np.float32), cv2.absdiff(before, after).astype(np.float32))


class MotionEstimator:
    """Estimates motion with dense inverse search (Kroeger et al., "Fast Optical Flow using Dense Inverse Search")."""

    def __init__(self):
        self._search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def between(self, before, after) -> Motion:
        """Estimates the motion between two results of `motion_image` of one size."""
        if min(after.shape) < 16:  # smaller than the patches that are searched for
            return no_motion(before, after)
        flow = self._search.calc(after, before, None)
        moved = cv2.remap(before, *_places(flow), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        share = flow / np.float32([after.shape[1], after.shape[0]])
        return Motion(share, cv2.absdiff(moved, after).astype(np.float32))


def movement(motion, size, trust_scale) -> sparse.csr_array:
    """Returns what moves maps of the frame before to where their content is now, as a matrix for `moved`.

    Args:
      motion: the Motion between the frames.
      size: (h, w) of the maps.
      trust_scale: grey levels of error at which a position keeps 1/e of its value: it is multiplied by
        exp(-(error / trust_scale)^2). 0 means that everything is kept.
    Returns:
      [h * w, h * w] float32: for each position now, the shares of the four positions between which its content was;
      beyond the border the last row and column are repeated.
    """
    height, width = size
    offset = cv2.resize(motion.offset, (width, height), interpolation=cv2.INTER_AREA) * np.float32([width, height])
    columns, rows = (
        np.clip(places, 0, last).ravel() for places, last in zip(_places(offset), (width - 1, height - 1), strict=True)
    )
    left, top = columns.astype(np.int32), rows.astype(np.int32)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    across, down = columns - left.astype(np.float32), rows - top.astype(np.float32)
    kept = np.ones(height * width, np.float32)
    if trust_scale:
        error = cv2.resize(motion.error, (width, height), interpolation=cv2.INTER_AREA).ravel()
        kept *= np.exp(-np.square(error / np.float32(trust_scale)))
    upper, lower = kept * (1 - down), kept * down
    shares = np.stack([upper * (1 - across), upper * across, lower * (1 - across), lower * across], 1)
    sources = np.stack([top * width + left, top * width + right, bottom * width + left, bottom * width + right], 1)
    ends = np.arange(0, 4 * height * width + 1, 4, dtype=np.int32)
    return sparse.csr_array((shares.ravel(), sources.ravel(), ends), shape=(height * width,) * 2)


def moved(maps, matrix) -> np.ndarray:
    """Moves [h, w, channels] float32 maps by a matrix of `movement`; returns maps of the same shape."""
    return (matrix @ maps.reshape(-1, maps.shape[-1])).reshape(maps.shape)


class Carrier:
    """Takes what a model made of one frame over to the next.

    Args:
      motion: the Motion between the two frames.
      carry: the model's CarryConfig.
    """

    def __init__(self, motion, carry):
        self._motion, self._carry = motion, carry
        self._matrices = {}

    def start(self, state) -> dict[str, np.ndarray]:
        """Returns what the next frame starts from, as `Segmenter.gated` takes it.

        Args:
          state: the state of the frame before, {name: [1, h, w, channels] float32}; maps may differ in size.
        """
        carry, result = self._carry, {}
        if carry.has_gate:
            height, width = state["canvas"].shape[1:3]
            error = cv2.resize(self._motion.error, (width, height), interpolation=cv2.INTER_AREA)
            result["error"] = error[np.newaxis, ..., np.newaxis]
        for name, maps in state.items():
            is_kept = name == "canvas" or carry.with_memory
            result[name] = (
                np.float32(carry.scale) * self._moved(maps[0])[np.newaxis] if is_kept else np.zeros_like(maps)
            )
        return result

    def blended(self, canvas, before) -> np.ndarray:
        """Blends the canvas of the next frame with that of the frame before.

        Args:
          canvas, before: [h, w, num_classes] float32 logits.
        Returns:
          (1 - share) * canvas + share * before, moved; the share is `blend` times the trust at each position.
        """
        blend = np.float32(self._carry.blend)
        if not self._carry.with_motion:
            return canvas + blend * (before - canvas)
        size = canvas.shape[:2]
        matrix = self._matrix(size)
        trust = (matrix @ np.ones(matrix.shape[1], np.float32)).reshape(*size, 1)
        return canvas + blend * (self._moved(before) - trust * canvas)

    def _moved(self, maps):
        return moved(maps, self._matrix(maps.shape[:2])) if self._carry.with_motion else maps

    def _matrix(self, size):
        if size not in self._matrices:
            self._matrices[size] = movement(self._motion, size, self._carry.trust_scale)
        return self._matrices[size]


def _places(offset):
    """Returns the columns and rows, each [h, w] float32, to which offsets in pixels (across, down) lead."""
    height, width = offset.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return columns + offset[..., 0], rows + offset[..., 1]
