"""Random street worlds: places streets, facades, trees and things."""

import dataclasses
import itertools

import numpy as np

from tfseg.data.scenes.traffic import NEAREST, SIDES, sample_cyclists, sample_parked_cars, sample_people, sample_traffic
from tfseg.data.scenes.world import (
    BRIGHT,
    BUILDING,
    LEAVES,
    MUTED,
    POLE,
    SIGN,
    STREET_END,
    STREET_START,
    VEGETATION,
    VOID,
    Street,
    Thing,
    Wall,
    World,
    pick_color,
    sample_camera,
    sample_light,
    sample_motion,
)

PARK_RATE, CROSSING_RATE, HOOD_RATE = 0.42, 0.35, 0.35
FACADE_DEPTH = 12.0
PARK_DEPTH = 14.0


def sample_world(rng: np.random.Generator) -> World:
    """Samples a street with everything in it; instance ids count from 1 in the order in which things are placed."""
    street = _sample_street(rng)
    walls = [*_sample_backdrop(rng)]
    things = []
    for index, side in enumerate(SIDES):
        walls += _sample_park(rng, street, side) if street.has_grass[index] else _sample_row(rng, street, side)
        things += _sample_trees(rng, street, side) + _sample_street_furniture(rng, street, side)
        things += sample_parked_cars(rng, street, side)
    things += sample_traffic(rng, street) + sample_cyclists(rng, street) + sample_people(rng, street)
    return World(
        camera=sample_camera(rng, street.half_width),
        motion=sample_motion(rng),
        street=street,
        walls=tuple(walls),
        things=tuple(numbered(things)),
        light=sample_light(rng),
        hood=rng.uniform(0.04, 0.1) if rng.random() < HOOD_RATE else 0.0,
    )


def numbered(things):
    """Iterates over the things with their instance ids; stuff and things without a label get 0."""
    last = 0
    for thing in things:
        is_stuff = thing.class_id in (VEGETATION, VOID)
        last += not is_stuff
        yield thing if is_stuff else dataclasses.replace(thing, instance_id=last)


def _sample_street(rng):
    half_width = rng.uniform(2.9, 4.8)
    pavements = rng.uniform(2.0, 5.0, 2)
    crossing = rng.uniform(10, 30)
    road = pick_color(rng, MUTED[[1, 2, 2, 3, 4]])
    pavement = road * rng.uniform(0.85, 1.2) if rng.random() < 0.3 else pick_color(rng, MUTED[[0, 1, 2, 4, 5, 6]])
    colors = np.stack([road, pavement, pavement * 1.2, pick_color(rng, LEAVES), np.array([0.85, 0.85, 0.8])])
    return Street(
        half_width=half_width,
        edges=(half_width + pavements[0], half_width + pavements[1]),
        has_grass=tuple(rng.random(2) < PARK_RATE),
        crossing=(crossing, crossing + rng.uniform(6, 9)) if rng.random() < CROSSING_RATE else None,
        colors=colors.clip(0, 1),
        slab=rng.uniform(0.5, 1.3),
        cobble=rng.uniform(0.25, 0.5) if rng.random() < 0.2 else 0.0,
        has_marking=rng.random() < 0.7,
        zebra=rng.uniform(6, 25) if rng.random() < 0.3 else None,
    )


def _sample_facade(rng, start, end, height):
    """Samples a building's face; one in six is a blank wall."""
    wall = pick_color(rng, MUTED)
    glass = pick_color(rng, MUTED[[2, 3, 9]]) * 0.7
    floor = pick_color(rng, MUTED if rng.random() < 0.6 else BRIGHT)
    windows = (rng.uniform(1.6, 3.2), rng.uniform(2.6, 3.6), rng.uniform(0.35, 0.75), rng.uniform(0.4, 0.65))
    return Wall(
        start,
        end,
        height,
        BUILDING,
        np.stack([wall, glass, glass * 1.8, floor]),
        brick=rng.uniform(0.25, 0.5) if rng.random() < 0.6 else 0.0,
        windows=windows if rng.random() < 5 / 6 else None,
        seed=int(rng.integers(1 << 16)),
    )


def _sample_leaves(rng, start, end, height, bump):
    green = pick_color(rng, LEAVES)
    return Wall(start, end, height, VEGETATION, np.stack([green] * 4), bump=bump, seed=int(rng.integers(1 << 16)))


def _sample_backdrop(rng):
    """Samples the walls that close the street at its far end."""
    cuts = np.cumsum(rng.uniform(8, 30, 14)) - 130
    for left, right in itertools.pairwise(cuts):
        z = STREET_END + rng.uniform(0, 10)
        if rng.random() < 0.45:
            yield _sample_leaves(rng, (left, z), (right, z), rng.uniform(6, 12), 3.0)
        else:
            yield _sample_facade(rng, (left, z), (right, z), rng.uniform(8, 28))


def _sample_row(rng, street, side):
    """Samples the buildings on a side, farthest first: each has a face towards the camera and one on the street."""
    walls, z = [], STREET_START
    before = None  # the building before this one, if there is no gap
    while z < STREET_END:
        length = rng.uniform(7, 20) + 0.1 * max(z, 0)  # facades are longer, so fewer, far away
        if street.crossing and z < street.crossing[1] and z + length > street.crossing[0]:
            length = street.crossing[0] - z if street.crossing[0] - z > 3 else 0.0
        if length:
            x = side * (street.edges[SIDES.index(side)] + rng.choice([0.0, rng.uniform(0, 1.5)]))
            face = _sample_facade(rng, (x, z), (x, z + length), rng.uniform(3.5, 17))
            end = dataclasses.replace(face, start=(x, z), end=(x + side * FACADE_DEPTH, z), seed=face.seed + 1)
            is_hidden = z < 0 or (before and before.height >= face.height and abs(before.start[0]) <= abs(x))
            walls += [face] if is_hidden else [face, end]
            gap = rng.uniform(1.5, 5) if rng.random() < 0.25 else 0.0
            z, before = z + length + gap, None if gap else face
        if street.crossing and street.crossing[0] - 3 <= z < street.crossing[1]:
            z, before = street.crossing[1], None
    return walls[::-1]


def _sample_park(rng, street, side):
    """Samples far trees or houses behind grass, and a hedge on half of the sides."""
    edge = street.edges[SIDES.index(side)]
    far, near = side * (edge + PARK_DEPTH), side * (edge + 0.4)
    middle = rng.uniform(15, 60)
    walls = []
    for start, end in ((middle, STREET_END), (STREET_START, middle)):
        if rng.random() < 0.6:
            walls.append(_sample_leaves(rng, (far, start), (far, end), rng.uniform(4, 9), 2.5))
        else:
            walls.append(_sample_facade(rng, (far, start), (far, end), rng.uniform(6, 14)))
    if rng.random() < 0.5:
        begin = rng.uniform(STREET_START, 15)
        walls.append(_sample_leaves(rng, (near, begin), (near, begin + rng.uniform(10, 40)), rng.uniform(0.7, 2), 0.3))
    return walls


def _sample_trees(rng, street, side):
    """Samples a row of trees at the kerb on every third side, and trees and bushes all over the grass."""
    index = SIDES.index(side)
    trees = []
    if rng.random() < 0.33:
        for z in np.arange(rng.uniform(4, 12), 60, rng.uniform(7, 13)):
            trees.append(_tree(rng, (side * (street.half_width + 0.7), z), rng.uniform(2.4, 3.6)))
    if street.has_grass[index]:
        for z in np.arange(rng.uniform(3, 8), 70, rng.uniform(4, 8)):
            x = side * (street.edges[index] + rng.uniform(1.5, PARK_DEPTH - 2))
            trees.append(_tree(rng, (x, z), rng.choice([0.0, rng.uniform(1, 3)])))
    return trees


def _tree(rng, position, trunk):
    """Samples a tree; `trunk` is the height of the crown's lower edge in m, 0 for a bush."""
    crown = rng.uniform(1.2, 2.2) if trunk else rng.uniform(0.6, 1.3)
    colors = np.stack([pick_color(rng, LEAVES), pick_color(rng, MUTED[[2, 3, 5]])])
    return Thing("tree", VEGETATION, 0, position, (crown, trunk + 1.6 * crown), colors, variant=int(rng.integers(64)))


def _sample_street_furniture(rng, street, side):
    """Samples lamp posts, signs on posts, bollards, and bins, which have no class."""
    kerb = side * (street.half_width + 0.35)
    things = []
    for z in np.arange(rng.uniform(5, 14), 55, rng.uniform(10, 18)):
        if rng.random() < 0.75:
            size = (rng.uniform(0.16, 0.3), rng.uniform(4, 7.5))
            color = pick_color(rng, MUTED[[0, 1, 2, 3, 7]])[None]
            things.append(Thing("lamp", POLE, 0, (kerb, z), size, color, heading=-side, variant=int(rng.integers(3))))
    for z in rng.uniform(NEAREST + 1, 24, rng.integers(0, 4)):
        things += _sign(rng, (kerb + side * rng.uniform(0, 0.5), z))
    if rng.random() < 0.25:
        start, color = rng.uniform(4, 15), pick_color(rng, MUTED)[None]
        things += [Thing("post", POLE, 0, (kerb, start + 2 * i), (0.22, 0.95), color) for i in range(5)]
    if rng.random() < 0.3:
        x = side * (street.edges[SIDES.index(side)] - 0.5)
        color = pick_color(rng, np.concatenate([MUTED, BRIGHT]))[None]
        things.append(Thing("bin", VOID, 0, (x, rng.uniform(NEAREST, 20)), (0.8, 1.2), color))
    return things


def _sign(rng, position):
    """Samples a post and a plate, which are two instances. One plate in five shows its grey back."""
    height = rng.uniform(2.0, 3.2)
    post = Thing("post", POLE, 0, position, (rng.uniform(0.12, 0.18), height), pick_color(rng, MUTED[[0, 1, 2]])[None])
    face = pick_color(rng, MUTED[[0, 1]]) if rng.random() < 0.2 else pick_color(rng, BRIGHT)
    colors = np.stack([face, pick_color(rng, BRIGHT)])
    plate = (rng.uniform(0.65, 1.2), height)
    front = (position[0], position[1] - 0.1)
    return [post, Thing("sign", SIGN, 0, front, plate, colors, variant=int(rng.integers(5)))]
