"""Draws single things: cars as extruded side views, cyclists and people as strokes, trees, posts and plates.

Lengths are in metres. Local coordinates are (forward, right, up) from the middle of the thing's footprint.
"""

import numpy as np

from tfseg.data.scenes.drawing import INSTANCE_UNIT, NEAR, SCALE, Canvas
from tfseg.data.scenes.world import VEGETATION, Thing

CLOSEST = 2.2  # depth of the nearest thing that is drawn
REACH = 3.0  # no thing extends farther to either side of its middle
# Side views (forward, up) of sedan, hatchback, off-roader and van: the outline from the rear bumper over the roof to
# the front bumper, the edges that are glass, and the side windows.
PROFILES = (
    (
        [
            (-2.2, 0.3),
            (-2.2, 0.8),
            (-2.05, 0.98),
            (-1.35, 1.02),
            (-0.75, 1.45),
            (0.35, 1.45),
            (1.05, 1.0),
            (2.0, 0.85),
            (2.2, 0.65),
            (2.2, 0.3),
        ],
        (3, 5),
        [(-1.15, 1.05), (-0.7, 1.38), (0.3, 1.38), (0.8, 1.03)],
    ),
    (
        [
            (-1.8, 0.3),
            (-1.85, 0.85),
            (-1.75, 1.0),
            (-1.45, 1.48),
            (0.3, 1.5),
            (0.95, 1.02),
            (1.75, 0.88),
            (1.9, 0.65),
            (1.9, 0.3),
        ],
        (2, 4),
        [(-1.5, 1.05), (-1.3, 1.4), (0.25, 1.42), (0.7, 1.05)],
    ),
    (
        [
            (-2.1, 0.35),
            (-2.15, 1.0),
            (-2.0, 1.15),
            (-1.8, 1.75),
            (0.4, 1.75),
            (1.0, 1.15),
            (2.0, 1.05),
            (2.15, 0.8),
            (2.15, 0.35),
        ],
        (2, 4),
        [(-1.75, 1.2), (-1.6, 1.66), (0.35, 1.66), (0.75, 1.2)],
    ),
    (
        [(-2.5, 0.35), (-2.5, 1.2), (-2.5, 2.2), (1.3, 2.25), (1.9, 1.3), (2.4, 1.1), (2.5, 0.8), (2.5, 0.35)],
        (3,),
        [(0.8, 1.3), (0.8, 2.0), (1.2, 2.0), (1.65, 1.3)],
    ),
)
HALF_WIDTH = 0.9
WHEEL, AXLES = 0.33, (-1.3, 1.3)
GLASS, TYRE = np.array((0.14, 0.17, 0.20)), np.array((0.09, 0.09, 0.10))
TAIL_LIGHT, HEAD_LIGHT = np.array((0.75, 0.08, 0.06)), np.array((0.95, 0.93, 0.85))
CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 20, endpoint=False)) for f in (np.cos, np.sin)], 1)
# Plates as centred outlines (right, up) in units of their width: disc, triangle, square, diamond, wide board.
PLATES = (
    CIRCLE / 2,
    np.array([(-0.55, -0.45), (0.55, -0.45), (0, 0.5)]),
    np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)]),
    np.array([(0, -0.6), (0.6, 0), (0, 0.6), (-0.6, 0)]),
    np.array([(-1.0, -0.5), (1.0, -0.5), (1.0, 0.5), (-1.0, 0.5)]),
)


class Brush:
    """Draws in one thing's local coordinates, with its label, in its light."""

    def __init__(self, canvas: Canvas, thing: Thing, frame_id: int, brightness: float):
        self.canvas, self.thing, self.brightness = canvas, thing, brightness
        self.x, self.z = thing.at(frame_id)
        self.label = thing.class_id + INSTANCE_UNIT * thing.instance_id
        self.depth = float(canvas.to_camera(self.x, self.z)[1])
        self.scale = canvas.focal / max(self.depth, NEAR)
        self.foot = canvas.project([(self.x, 0, self.z)])[0][0]
        self.stride = thing.variant + frame_id

    def camera(self):
        """Returns the camera's position as (forward, right, up)."""
        dx, dz = self.canvas.camera.x - self.x, self.canvas.camera.z - self.z
        cos, sin = np.cos(self.thing.heading), np.sin(self.thing.heading)
        return dx * sin + dz * cos, dx * cos - dz * sin, self.canvas.camera.y

    def place(self, points):
        """Maps [n, 3] (forward, right, up) to [n, 2] canvas points."""
        forward, right, up = np.asarray(points, np.float64).T
        cos, sin = np.cos(self.thing.heading), np.sin(self.thing.heading)
        world = np.stack([self.x + forward * sin + right * cos, up, self.z + forward * cos - right * sin], 1)
        return self.canvas.project(world)[0]

    def flat(self, points):
        """Maps [n, 2] (right, up) on a board that faces the camera to [n, 2] canvas points."""
        return self.foot + np.asarray(points) * (self.scale, -self.scale)

    def color(self, color, brightness=1.0):
        return self.canvas.color(color, self.depth, brightness * self.brightness)

    def fill(self, points, color, brightness=1.0):
        """Fills canvas points; see `Canvas.polygon`."""
        self.canvas.polygon(points, self.color(color, brightness), self.label)

    def stroke(self, points, width, color):
        """Draws a line through canvas points; `width` is in m."""
        self.canvas.stroke(points, width * self.scale, self.color(color), self.label)


def draw_thing(canvas: Canvas, thing: Thing, frame_id: int, brightness: float):
    """Draws a thing over what is there, unless it is behind the camera or too close to it.

    Args:
      canvas: the frame.
      thing: the thing.
      frame_id: number of the frame.
      brightness: brightness of the light where the thing stands.
    """
    brush = Brush(canvas, thing, frame_id, brightness)
    if abs(brush.foot[0] - canvas.rgb.shape[1] / 2) > canvas.rgb.shape[1] / 2 + REACH * brush.scale:
        return
    margin = 2.7 if thing.kind == "car" else 0.0
    if brush.depth - margin * abs(np.cos(thing.heading - canvas.camera.yaw)) > CLOSEST - margin / 3:
        PAINTERS[thing.kind](brush)


def _car(brush):
    profile, glass, window = PROFILES[brush.thing.variant]
    scale_length, scale_height = brush.thing.size
    body = brush.thing.colors[0]
    profile = np.array(profile) * (scale_length, scale_height)
    camera_forward, camera_right, camera_up = brush.camera()
    sides = [brush.place(np.insert(profile, 1, side * HALF_WIDTH, axis=1)) for side in (-1, 1)]
    middles, edges = (profile[1:] + profile[:-1]) / 2, np.diff(profile, axis=0)
    to_camera = (camera_forward, camera_up) - middles
    is_facing = edges[:, 0] * to_camera[:, 1] - edges[:, 1] * to_camera[:, 0] > 0
    for i in sorted(np.flatnonzero(is_facing), key=lambda i: -abs(to_camera[i, 0])):
        quad = np.concatenate([sides[0][[i, i + 1]], sides[1][[i + 1, i]]])
        steepness = abs(edges[i, 1]) / np.hypot(*edges[i])
        brush.fill(quad, *((GLASS, 1.1) if i in glass else (body, 1.15 - 0.35 * steepness)))
    end = -1 if camera_forward < 0 else 1
    if abs(camera_forward) > abs(profile[0, 0]):
        _car_end(brush, end, profile[0 if end < 0 else -1, 0], scale_height)
    if abs(camera_right) > HALF_WIDTH:
        side = int(np.sign(camera_right))
        brush.fill(sides[(side + 1) // 2], body, 0.82)
        brush.fill(brush.place(np.insert(np.array(window) * brush.thing.size, 1, side * HALF_WIDTH, axis=1)), GLASS)
        for axle in AXLES:
            wheel = CIRCLE * WHEEL + (axle * scale_length, WHEEL)
            brush.fill(brush.place(np.insert(wheel, 1, side * HALF_WIDTH, axis=1)), TYRE)
            brush.fill(
                brush.place(np.insert((wheel - wheel.mean(0)) * 0.5 + wheel.mean(0), 1, side, axis=1)), body * 0.6
            )


def _car_end(brush, end, forward, scale_height):
    """Draws bumper, wheels and lights of the end that is seen; `end` is -1 for the rear."""
    parts = [(-0.88, 0.88, 0.28, 0.45, brush.thing.colors[0] * 0.55)]
    parts += [(side * 0.85, side * 0.62, 0.02, 0.3, TYRE) for side in (-1, 1)]
    light = TAIL_LIGHT if end < 0 else HEAD_LIGHT
    parts += [(side * 0.85, side * 0.52, 0.58, 0.74, light) for side in (-1, 1)]
    for left, right, low, high, color in parts:
        corners = [(left, low), (right, low), (right, high), (left, high)]
        brush.fill(brush.place([(forward, across, up * scale_height) for across, up in corners]), color)


def _person(brush):
    skin, coat, trousers, hair = brush.thing.colors
    width, height = brush.thing.size
    unit = np.array([width * height / 1.75, height])  # below, right is in m of an adult and up is a share of the height
    swing = 0.16 * np.sin(brush.stride * np.pi / 4)
    for side in (-1, 1):
        leg = [(side * 0.08, 0.48), (side * (0.09 + swing), 0.25), (side * 0.09 + swing * side * 1.6, 0.03)]
        brush.stroke(brush.flat(leg * unit), 0.15 * unit[0], trousers)
    brush.fill(
        brush.flat([(-0.22, 0.82), (0.22, 0.82), (0.19, 0.6), (0.18, 0.44), (-0.18, 0.44), (-0.19, 0.6)] * unit), coat
    )
    for side in (-1, 1):
        arm = [(side * 0.23, 0.79), (side * 0.27, 0.62), (side * 0.25 - swing * 0.5, 0.47)]
        brush.stroke(brush.flat(arm * unit), 0.1 * unit[0], coat * 0.85)
    head = CIRCLE * (0.068 * height) + (0, 0.92 * height)
    brush.fill(brush.flat(head), hair)
    brush.fill(brush.flat(head * (0.85, 1) - (0, 0.03 * height)), skin)


def _cyclist(brush):
    skin, coat, trousers, _, frame = brush.thing.colors
    tall = brush.thing.size[1]
    for axle in (-0.54, 0.54):
        wheel = CIRCLE * 0.34 + (axle, 0.34)
        brush.fill(brush.place(np.insert(wheel, 1, 0, axis=1)), (0.42, 0.42, 0.42))
        brush.stroke(brush.place(np.insert(wheel[[*range(20), 0]], 1, 0, axis=1)), 0.07, TYRE)
    bars = [(-0.54, 0, 0.34), (-0.15, 0, 0.8), (0.42, 0, 0.85), (0.54, 0, 0.34), (0.42, 0, 0.85), (-0.05, 0, 0.35)]
    brush.stroke(brush.place(bars), 0.07, frame)
    push = 0.14 * np.sin(brush.stride * np.pi / 3)
    for side in (-1, 1):
        knee, foot = (0.15, side * 0.13, 0.68 + side * push), (0.02, side * 0.12, 0.3 + side * push)
        brush.stroke(brush.place([(-0.2, side * 0.1, 0.95), knee, foot]), 0.15, trousers)
    brush.stroke(brush.place([(-0.18, 0, 1.0), (0.08, 0, 1.0 + 0.36 * tall)]), 0.34, coat)
    for side in (-1, 1):
        brush.stroke(brush.place([(0.1, side * 0.2, 1.36 * tall), (0.42, side * 0.24, 1.0)]), 0.11, coat * 0.85)
    head = brush.place([(0.2, 0, 1.0 + 0.64 * tall)])[0]
    brush.fill(head + CIRCLE * (0.14 * brush.scale), skin)
    brush.fill(head - (0, 0.05 * brush.scale) + CIRCLE * (0.14 * brush.scale) * (1, 0.75), frame)


def _post(brush):
    half, height = brush.thing.size[0] / 2, brush.thing.size[1]
    brush.fill(brush.flat([(-half, 0), (half, 0), (half, height), (-half, height)]), brush.thing.colors[0])
    brush.fill(brush.flat([(0, 0), (half, 0), (half, height), (0, height)]), brush.thing.colors[0], 0.75)


def _lamp(brush):
    _post(brush)
    width, height = brush.thing.size
    color, towards = brush.thing.colors[0], brush.thing.heading
    if brush.thing.variant == 0:
        brush.fill(brush.flat(CIRCLE * 0.28 + (0, height)), color * 1.2)
        return
    brush.stroke(
        brush.flat([(0, height), (towards * 0.8, height + 0.2), (towards * 1.6, height + 0.2)]), width * 0.6, color
    )
    brush.stroke(brush.flat([(towards * 1.4, height + 0.15), (towards * 1.9, height + 0.15)]), 0.22, color * 0.8)


def _sign(brush):
    width, height = brush.thing.size
    face, border = brush.thing.colors
    plate = PLATES[brush.thing.variant] * width
    middle = (0, height + width * 0.25)
    brush.fill(brush.flat(plate + middle), border)
    brush.fill(brush.flat(plate * 0.78 + middle), face)
    bar = np.array([(-0.3, -0.08), (0.3, -0.08), (0.3, 0.08), (-0.3, 0.08)]) * width
    brush.fill(brush.flat(bar + middle), border)


def _bin(brush):
    half, height = brush.thing.size[0] / 2, brush.thing.size[1]
    brush.fill(
        brush.flat([(-half * 0.85, 0), (half * 0.85, 0), (half, height), (-half, height)]), brush.thing.colors[0]
    )
    lid = [(-half * 1.1, height), (half * 1.1, height), (half, height + 0.12), (-half, height + 0.12)]
    brush.fill(brush.flat(lid), brush.thing.colors[0], 0.7)


def _tree(brush):
    crown, height = brush.thing.size
    canvas, trunk = brush.canvas, brush.thing.size[1] - 1.6 * crown
    if trunk > 0:
        half = 0.07 * crown + 0.03
        bark = brush.thing.colors[1]
        brush.fill(
            brush.flat([(-half * 1.3, 0), (half * 1.3, 0), (half, height - crown), (-half, height - crown)]), bark
        )
    reach = np.array([1.15 * crown, crown])
    middle = np.array([0, trunk + 0.8 * crown])
    (left, top), (right, bottom) = brush.flat([middle + reach * (-1, 1), middle + reach * (1, -1)])
    columns = slice(max(int(left), 0), max(min(int(right) + 1, canvas.rgb.shape[1]), 0))
    rows = slice(max(int(top), 0), max(min(int(bottom) + 1, canvas.rgb.shape[0]), 0))
    if columns.start >= columns.stop or rows.start >= rows.stop:
        return
    across = (np.arange(columns.start, columns.stop, dtype=np.float32)[None] - (left + right) / 2) / brush.scale
    up = ((top + bottom) / 2 - np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]) / brush.scale
    shift = 3.7 * brush.thing.variant
    noise = canvas.noise(across + shift, up, 7.0)
    mask = (across / crown) ** 2 + (up / (0.9 * crown)) ** 2 < 0.85 + 0.16 * noise
    brightness = 0.95 + 0.17 * noise * min(1, brush.scale / SCALE / 8 + 0.4) + 0.18 * up / crown
    left_of_haze = canvas.haze(brush.depth)
    colors = brush.thing.colors[0].astype(np.float32) * (brightness * brush.brightness * left_of_haze)[..., None]
    colors = colors + np.float32(1 - left_of_haze) * canvas.light.sky_colors[0].astype(np.float32)
    canvas.paint(rows, columns, colors, VEGETATION, mask)


PAINTERS = {
    "car": _car,
    "person": _person,
    "cyclist": _cyclist,
    "post": _post,
    "lamp": _lamp,
    "sign": _sign,
    "bin": _bin,
    "tree": _tree,
}
