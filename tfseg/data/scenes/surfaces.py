"""Draws the surfaces of a street: sky, ground with shadows, and walls with their textures."""

import cv2
import numpy as np

from tfseg.data.scenes.drawing import NEAR, Canvas
from tfseg.data.scenes.world import PAVEMENT, ROAD, STREET_END, STREET_START, VEGETATION, Street, Thing, Wall, World

FARTHEST = 300.0  # m; the ground ends here
FARTHEST_SHADOW = 60.0  # m; things farther away cast no shadows
SKY_STEP = 4  # pixels of the canvas per computed sky pixel; clouds are soft
# Surfaces of the ground; they are also the rows of Street.colors.
ON_ROAD, ON_PAVEMENT, ON_KERB, ON_GRASS, ON_MARKING = range(5)
GROUND_CLASSES = np.array([ROAD, PAVEMENT, PAVEMENT, VEGETATION, ROAD], np.int32)
GROUND_CONTRAST = np.array([0.06, 0.06, 0.04, 0.2, 0.08], np.float32)
SUN_SHADOW, CONTACT_SHADOW = 1, 2
SHADOW_DEPTH = 0.55  # share of brightness lost in the shadow of a clear sun
CONTACT_BRIGHTNESS = 0.5
SHADED_WALL = 0.4  # share of brightness that a wall lacks if a clear sun does not reach it
SHADOW_STEP = 0.5  # m


def draw_sky(canvas: Canvas):
    """Draws a gradient with clouds that stay in place while the camera turns."""
    rows, columns = int(canvas.horizon) + 2, canvas.rgb.shape[1]
    height = np.linspace(1, 0, rows // SKY_STEP, dtype=np.float32)[:, None]
    angles = np.arange(0, columns, SKY_STEP, dtype=np.float32)[None] / canvas.focal + canvas.camera.yaw
    clouds = canvas.noise(angles, 2 - height * 2, 12.0) * canvas.light.clouds * 0.4 * (0.3 + height)
    weight = np.clip(height - clouds, 0, 1)[..., None]
    horizon, overhead = canvas.light.sky_colors.astype(np.float32)
    colors = horizon + (overhead - horizon) * weight + np.maximum(clouds, 0)[..., None] * 0.15
    canvas.rgb[:rows] = cv2.resize(cv2.convertScaleAbs(colors, alpha=255), (columns, rows))


def is_in_building_shadow(world: World, x, z):
    """Returns which points of the ground [...] lie in the shadow of the walls along the street."""
    shadow_x, shadow_z = world.light.shadow
    towards = np.sign(shadow_x)
    reach = np.full(int((STREET_END - STREET_START) / SHADOW_STEP) + 1, -np.inf)
    for wall in world.walls:
        if wall.start[0] == wall.end[0] and wall.start[0] * towards < 0:
            first, last = ((np.array([wall.start[1], wall.end[1]]) - STREET_START) / SHADOW_STEP).astype(int)
            tip = wall.height * abs(shadow_x) - abs(wall.start[0])
            np.maximum(reach[first:last], tip, out=reach[first:last])
    edge = -towards * world.street.edges[0 if towards > 0 else 1]
    source = (z - (x - edge) * shadow_z / shadow_x - STREET_START) / SHADOW_STEP
    return x * towards < reach[np.clip(source, 0, len(reach) - 1).astype(int)]


def draw_ground(canvas: Canvas, world: World, frame_id: int):
    """Draws road, pavements and grass from the horizon down, with the shadows of buildings and things."""
    top = max(int(np.ceil(canvas.horizon)) + 1, 0)
    rows, columns = slice(top, canvas.rgb.shape[0]), slice(0, canvas.rgb.shape[1])
    depth = canvas.focal * canvas.camera.y / (np.arange(rows.start, rows.stop, dtype=np.float32) - canvas.horizon)
    depth = np.minimum(depth, FARTHEST)[:, None]
    slope = (np.arange(columns.stop, dtype=np.float32) - columns.stop / 2) / canvas.focal
    x, z = (values.astype(np.float32) for values in canvas.to_world(slope * depth, depth))
    surface = _surfaces(world.street, x, z)
    noise = canvas.noise(x, z, 7.0)
    surface[(surface == ON_MARKING) & (noise > 1.2)] = ON_ROAD  # worn off
    near = np.clip(canvas.focal / depth / 14, 0.3, 1)
    brightness = 1 + GROUND_CONTRAST[surface] * noise * near + 0.05 * canvas.noise(x + 9, z, 0.8)
    brightness *= 1 - _joints(world.street, surface, x, z) * 0.16 * np.clip(canvas.focal / depth / 25 - 0.2, 0, 1)
    brightness *= _shadows(canvas, world, frame_id, x, z, rows)
    left = canvas.haze(depth)
    colors = world.street.colors.astype(np.float32)[surface] * (brightness * left)[..., None]
    colors += (1 - left)[..., None] * canvas.light.sky_colors[0].astype(np.float32)
    canvas.paint(rows, columns, colors, GROUND_CLASSES[surface], np.ones(surface.shape, bool))


def _surfaces(street: Street, x, z):
    """Returns the [h, w] rows of Street.colors at world x, z [h, w]."""
    away = np.abs(x)
    is_left = x < 0
    edge = np.where(is_left, *(np.float32(value) for value in street.edges))
    grass = np.where(is_left, *street.has_grass)
    surface = np.full(x.shape, ON_ROAD, np.int8)
    if street.has_marking:
        surface[(away < 0.09) & (_fraction(z / 6) < 0.5)] = ON_MARKING
    if street.zebra:
        surface[(z > street.zebra) & (z < street.zebra + 3) & (_fraction(x) < 0.5)] = ON_MARKING
    is_beside = away > street.half_width
    if street.crossing:
        is_beside &= (z < street.crossing[0]) | (z > street.crossing[1])
    surface[is_beside] = ON_PAVEMENT
    surface[is_beside & (away < street.half_width + 0.18)] = ON_KERB
    surface[is_beside & grass & (away > edge)] = ON_GRASS
    return surface


def _joints(street: Street, surface, x, z):
    """Returns [h, w] bool: true in the gaps between slabs and between cobbles."""
    size = np.where(surface == ON_PAVEMENT, np.float32(street.slab), np.float32(street.cobble or 1))
    has_joints = surface == ON_PAVEMENT
    if street.cobble:
        has_joints = has_joints | (surface == ON_ROAD)
    return has_joints & _is_joint(x / size, z / size, 0.14)


def _is_joint(along, up, gap):
    """Returns where bricks of size 1, with every other row shifted by half, have a gap of this width between them."""
    course = np.floor(up)
    return (up - course < gap) | (_fraction(along + 0.5 * course) < gap)


def _fraction(values):
    return values - np.floor(values)


def _shadows(canvas, world, frame_id, x, z, rows):
    """Returns the [h, w] brightness of the ground in and out of shadows."""
    mask = np.zeros(canvas.labels.shape, np.uint8)
    places = np.array([thing.at(frame_id) for thing in world.things]).reshape(-1, 2)
    depth = canvas.to_camera(*places.T)[1]
    things = [world.things[i] for i in np.flatnonzero((depth > NEAR) & (depth < FARTHEST_SHADOW))]
    if canvas.light.sun:
        for thing in things:
            _cast(canvas, thing, frame_id, mask)
        mask[rows][is_in_building_shadow(world, x, z)] = SUN_SHADOW
    for thing in things:
        if thing.kind in ("car", "bin", "cyclist"):
            _fill_hull(canvas, mask, _footprint(thing, frame_id, 0.95), CONTACT_SHADOW)
    sun = 1 - SHADOW_DEPTH * canvas.light.sun
    return np.array([1, sun, min(sun, 1) * CONTACT_BRIGHTNESS], np.float32)[mask[rows]]


def _footprint(thing: Thing, frame_id, scale):
    """Returns the [n, 2] corners (x, z) of the ground that a thing covers."""
    half_length, half_width = {"car": (2.1, 0.9), "cyclist": (0.8, 0.15)}.get(thing.kind, (0.3, 0.3))
    if thing.kind in ("lamp", "post"):
        half_length = half_width = thing.size[0] / 2
    corners = np.array([(1, 1), (1, -1), (-1, -1), (-1, 1)]) * (half_length * scale, half_width * scale)
    cos, sin = np.cos(thing.heading), np.sin(thing.heading)
    if thing.kind in ("lamp", "bin"):
        cos, sin = 1.0, 0.0
    return thing.at(frame_id) + corners @ np.array([(sin, cos), (cos, -sin)])


def _cast(canvas, thing, frame_id, mask):
    """Draws the shadow that a thing casts in the sun."""
    heights = {"car": 1.4, "cyclist": 1.7, "bin": 1.2}
    height = heights.get(thing.kind, thing.size[1])
    tip = height * np.array(canvas.light.shadow)
    if thing.kind == "tree":
        crown, foot = thing.size[0], np.array(thing.at(frame_id))
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        circle = foot + tip * (1 - 0.8 * crown / height) + crown * np.stack([np.cos(angles), np.sin(angles)], 1)
        _fill_hull(canvas, mask, circle, SUN_SHADOW)
        _fill_hull(canvas, mask, foot + np.array([(-0.15, 0), (0.15, 0), 0.7 * tip]), SUN_SHADOW)
    elif thing.kind == "sign":
        foot = np.array(thing.at(frame_id)) + tip
        _fill_hull(
            canvas, mask, foot + thing.size[0] * np.array([(0.4, 0), (0, 0.4), (-0.4, 0), (0, -0.4)]), SUN_SHADOW
        )
    else:
        corners = _footprint(thing, frame_id, 0.8)
        _fill_hull(canvas, mask, np.concatenate([corners, corners + tip]), SUN_SHADOW)


def _fill_hull(canvas, mask, ground, value):
    """Fills the convex hull of [n, 2] ground points (x, z), if all of them are in front of the camera."""
    points, depth = canvas.project(np.insert(ground, 1, 0, axis=1))
    if depth.min() > NEAR:
        hull = cv2.convexHull(np.round(points).astype(np.int32))
        cv2.fillConvexPoly(mask, hull, value)


def draw_wall(canvas: Canvas, wall: Wall):
    """Draws a vertical face, unless it is behind the camera or beside the frame."""
    columns, depth, along = _columns(canvas, wall)
    if columns is None:
        return
    top_edge = np.full(len(depth), np.float32(wall.height))
    if wall.bump:
        top_edge -= wall.bump * np.clip(
            0.4 + 0.35 * canvas.noise(along[None], np.float32(wall.seed % 97), 3.0)[0], 0, 1
        )
    first = int(max(canvas.horizon + canvas.focal * ((canvas.camera.y - top_edge) / depth).min(), 0))
    last = int(min(canvas.horizon + canvas.focal * canvas.camera.y / depth.min() + 1, canvas.rgb.shape[0]))
    if first >= last:
        return
    rows = np.arange(first, last, dtype=np.float32)[:, None]
    up = canvas.camera.y - (rows - canvas.horizon) * (depth / canvas.focal)
    mask = (up >= 0) & (up <= top_edge)
    paint = _leaves if wall.class_id == VEGETATION else _facade
    left = canvas.haze(depth)
    colors = paint(canvas, wall, along, up, canvas.focal / depth)
    colors = colors * (left * _wall_light(canvas, wall))[None, :, None]
    colors += (1 - left)[:, None] * canvas.light.sky_colors[0].astype(np.float32)
    canvas.paint(slice(first, last), columns, colors, wall.class_id, mask)


def _columns(canvas, wall):
    """Returns (slice of columns, their depths [w], their distances from the wall's start [w]), or three None."""
    nothing = None, None, None
    x, z = np.array([wall.start, wall.end]).T
    right, depth = canvas.to_camera(x, z)
    if depth.max() <= NEAR:
        return nothing
    if depth.min() < NEAR:  # cut off the part behind the camera
        behind = int(np.argmin(depth))
        share = (NEAR - depth[behind]) / (depth[1 - behind] - depth[behind])
        cut = right[behind] + share * (right[1 - behind] - right[behind])
        ends = np.array([cut / NEAR, right[1 - behind] / depth[1 - behind]])
    else:
        ends = right / depth
    ends = np.sort(ends) * canvas.focal + canvas.rgb.shape[1] / 2
    first, last = int(max(np.ceil(ends[0]), 0)), int(min(np.floor(ends[1]) + 1, canvas.rgb.shape[1]))
    if first >= last:
        return nothing
    slope = (np.arange(first, last) - canvas.rgb.shape[1] / 2) / canvas.focal
    step = np.array([right[1] - right[0], depth[1] - depth[0]])
    share = ((slope * depth[0] - right[0]) / (step[0] - slope * step[1])).clip(0, 1)
    depths = np.maximum(depth[0] + share * step[1], NEAR)
    return slice(first, last), depths.astype(np.float32), (share * np.hypot(*step)).astype(np.float32)


def _wall_light(canvas, wall):
    """Returns the wall's brightness: full if sun and camera are on the same side of the wall."""
    (x, z), (end_x, end_z) = wall.start, wall.end
    normal = np.array([-(end_z - z), end_x - x]) / np.hypot(end_x - x, end_z - z)
    normal *= np.sign(normal @ np.array([canvas.camera.x - x, canvas.camera.z - z]))
    is_lit = normal @ np.array(canvas.light.shadow) < 0
    return np.float32(1 if is_lit else 1 - SHADED_WALL * canvas.light.sun)


def _leaves(canvas, wall, along, up, scale):
    """Returns the [h, w, 3] colours of a hedge or of far trees."""
    noise = canvas.noise(along + wall.seed, up, 6.0) * np.clip(scale / 12, 0.5, 1)
    noise = noise + 0.6 * canvas.noise(along + wall.seed, up, 1.2)
    return wall.colors[0].astype(np.float32) * (0.9 + 0.16 * noise)[..., None]


def _facade(canvas, wall, along, up, scale):
    """Returns the [h, w, 3] colours of a building: plaster or brick, windows, and a different ground floor."""
    part = np.zeros(up.shape, np.int8)
    if wall.windows:
        spacing, storey, width, height = wall.windows
        part[up < storey] = 3
        column, floor = along / spacing, up / storey
        choice = np.random.default_rng(wall.seed).integers(0, 5, (8, 16))
        kind = choice[floor.astype(np.int32) % 8, (column.astype(np.int32) % 16)[None]]
        is_window = (np.abs(_fraction(column) - 0.5) < width / 2) & (np.abs(_fraction(floor) - 0.5) < height / 2)
        part[is_window] = np.where(kind[is_window] < 4, 1, 2)
    brightness = 1 + 0.05 * canvas.noise(along + wall.seed, up, 5.0) + 0.04 * canvas.noise(along, up, 0.6)
    if wall.brick:
        joint = _is_joint(along / wall.brick / 2, up / wall.brick, 0.16) & (part == 0)
        brightness -= joint * np.float32(0.16) * np.clip(scale * wall.brick / 5 - 0.2, 0, 1)
    brightness[up > wall.height - 0.35] *= 0.8  # the eaves
    return wall.colors.astype(np.float32)[part] * brightness[..., None]
