"""The canvas that scenes are drawn on: colours and labels side by side, seen through a pinhole camera.

Every shape fills the same pixels in both, so that labels and colours cannot disagree. The canvas has SCALE times the
final resolution; `finish` filters the colours and takes every SCALE-th label, at the same pixel centres.
"""

import math

import cv2
import numpy as np

from tfseg.data.scenes.world import SKY, Camera, Light

HEIGHT, WIDTH = 128, 192
SCALE = 2
NEAR = 0.8  # m in front of the camera; nothing nearer is drawn
SUBPIXEL_BITS = 4
INSTANCE_UNIT = 256  # a label pixel is class id + INSTANCE_UNIT * instance id
NOISE_SIZE, NOISE_OCTAVES = 256, (32, 128)


class Canvas:
    """A frame being drawn.

    Attributes:
      rgb: [SCALE * height, SCALE * width, 3] uint8.
      labels: [SCALE * height, SCALE * width] int32, class id + 256 * instance id.
      focal, horizon: focal length and row of the horizon, in pixels of the canvas.
    """

    def __init__(self, camera: Camera, light: Light, rng: np.random.Generator, size: tuple[int, int] = (HEIGHT, WIDTH)):
        self.camera, self.light = camera, light
        self.focal, self.horizon = SCALE * camera.focal, SCALE * camera.horizon
        self.rgb = np.zeros((SCALE * size[0], SCALE * size[1], 3), np.uint8)
        self.labels = np.full(self.rgb.shape[:2], SKY, np.int32)
        self._cos, self._sin = math.cos(camera.yaw), math.sin(camera.yaw)
        self._noise = sum(
            cv2.resize(rng.standard_normal((size, size), np.float32), (NOISE_SIZE, NOISE_SIZE))
            for size in NOISE_OCTAVES
        )

    def to_camera(self, x, z):
        """Maps world x and z to (metres to the right of the optical axis, depth)."""
        dx, dz = np.asarray(x) - self.camera.x, np.asarray(z) - self.camera.z
        return dx * self._cos - dz * self._sin, dx * self._sin + dz * self._cos

    def to_world(self, right, depth):
        """Inverse of `to_camera`."""
        x = self.camera.x + right * self._cos + depth * self._sin
        return x, self.camera.z - right * self._sin + depth * self._cos

    def project(self, points):
        """Maps [n, 3] world (x, y, z) to ([n, 2] canvas (column, row), [n] depth). Depths below NEAR count as NEAR."""
        points = np.asarray(points, np.float64)
        right, depth = self.to_camera(points[:, 0], points[:, 2])
        scale = self.focal / np.maximum(depth, NEAR)
        columns = self.rgb.shape[1] / 2 + right * scale
        return np.stack([columns, self.horizon + (self.camera.y - points[:, 1]) * scale], 1), depth  # [n, 2], [n]

    def noise(self, along, up, per_metre):
        """Returns noise fixed to a surface, with mean 0 and deviation about 1; coordinates in m broadcast together."""
        along, up = np.broadcast_arrays(along, up)
        maps = [np.ascontiguousarray(values * per_metre, np.float32) for values in (along, up)]
        return cv2.remap(self._noise, *maps, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)

    def haze(self, depth):
        """Returns the share of a colour that is left at a depth in m."""
        return np.exp(-self.light.haze * np.asarray(depth, np.float32))

    def color(self, color, depth, brightness=1.0):
        """Turns a [3] colour, 0 to 1, into (red, green, blue), 0 to 255, as seen at a depth."""
        left = self.haze(depth)
        seen = np.asarray(color) * brightness * left + self.light.sky_colors[0] * (1 - left)
        return tuple(np.minimum(seen * 255, 255).tolist())

    def polygon(self, points, color, label):
        """Fills the polygon of [n, 2] canvas points."""
        points = [_fixed(points)]
        cv2.fillPoly(self.rgb, points, color, cv2.LINE_8, SUBPIXEL_BITS)
        cv2.fillPoly(self.labels, points, int(label), cv2.LINE_8, SUBPIXEL_BITS)

    def stroke(self, points, width, color, label):
        """Draws a line with round ends through [n, 2] canvas points, `width` pixels wide but at least one."""
        points, width = [_fixed(points)], max(1, round(width))
        cv2.polylines(self.rgb, points, False, color, width, cv2.LINE_8, SUBPIXEL_BITS)
        cv2.polylines(self.labels, points, False, int(label), width, cv2.LINE_8, SUBPIXEL_BITS)

    def paint(self, rows: slice, columns: slice, colors, labels, mask):
        """Paints a textured rectangle where mask [h, w] is true: colors [h, w, 3], 0 to 1; labels [h, w] or one."""
        colors = cv2.convertScaleAbs(colors, alpha=255)
        np.copyto(self.rgb[rows, columns], colors, where=mask[..., None])
        np.copyto(self.labels[rows, columns], np.int32(labels), where=mask)

    def finish(self):
        """Returns ([height, width, 3] float32 colours, 0 to 1; [height, width] uint8 class ids, int32 instance ids)."""
        kernel = np.array([1, 2, 1], np.float32) / 4  # centred on the pixels whose labels are kept
        smooth = cv2.sepFilter2D(self.rgb, cv2.CV_32F, kernel, kernel)[::SCALE, ::SCALE] / 255
        labels = self.labels[::SCALE, ::SCALE]
        return smooth, (labels % INSTANCE_UNIT).astype(np.uint8), labels // INSTANCE_UNIT


def _fixed(points):
    return np.round(np.asarray(points) * (1 << SUBPIXEL_BITS)).astype(np.int32).reshape(-1, 1, 2)  # [n, 1, 2]
