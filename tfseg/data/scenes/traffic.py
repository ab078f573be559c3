"""The things of a street that can move (cars, cyclists and people) and their places in a street."""

import math

import numpy as np

from tfseg.data.scenes.world import BRIGHT, CAR, CYCLIST, MUTED, PERSON, SKIN, Street, Thing, pick_color

# Sides of the street: sign of x.
LEFT, RIGHT = -1, 1
SIDES = (LEFT, RIGHT)
NEAREST, FARTHEST = 4.0, 38.0  # z of things at frame 0
WALK, RIDE, DRIVE = 0.14, 0.4, 0.8  # m per frame, at ten frames per second


def make_car(rng, position, heading, speed=0.0) -> Thing:
    """Samples a car at (x, z) with one of four shapes; `speed` is in m per frame."""
    body = pick_color(rng, MUTED if rng.random() < 0.65 else BRIGHT)
    variant = int(rng.choice(4, p=[0.35, 0.3, 0.2, 0.15]))
    size = (rng.uniform(0.92, 1.08), rng.uniform(0.95, 1.08))
    velocity = (speed * math.sin(heading), speed * math.cos(heading))
    return Thing("car", CAR, 0, position, size, body[None], velocity, heading, variant)


def make_cyclist(rng, position, heading, speed) -> Thing:
    """Samples a cyclist at (x, z); `speed` is in m per frame."""
    velocity = (speed * math.sin(heading), speed * math.cos(heading))
    colors = np.stack([*_clothes(rng), pick_color(rng, np.concatenate([MUTED[[2, 3]], BRIGHT]))])
    return Thing("cyclist", CYCLIST, 0, position, (1, rng.uniform(0.95, 1.1)), colors, velocity, heading)


def make_person(rng, position, velocity=(0.0, 0.0)) -> Thing:
    """Samples a person at (x, z), one in eight a child; `velocity` (x, z) is in m per frame."""
    height = rng.uniform(1.05, 1.4) if rng.random() < 0.12 else rng.uniform(1.55, 1.95)
    size, phase = (rng.uniform(0.9, 1.2), height), int(rng.integers(8))
    return Thing("person", PERSON, 0, position, size, np.stack(_clothes(rng)), velocity, 0.0, phase)


def _clothes(rng):
    """Samples colours of skin, coat, trousers and hair."""
    cloth = MUTED if rng.random() < 0.6 else BRIGHT
    return (
        pick_color(rng, SKIN),
        pick_color(rng, cloth),
        pick_color(rng, MUTED[[2, 3, 4, 9]]),
        pick_color(rng, MUTED[3:6]),
    )


def sample_parked_cars(rng, street: Street, side: int) -> list[Thing]:
    """Samples a row of cars at the kerb, on half of the sides."""
    if rng.random() < 0.5:
        return []
    places = np.arange(rng.uniform(5, 16), 50, rng.uniform(5, 6.5))[: rng.integers(2, 7)]
    heading = 0.0 if side == RIGHT else math.pi
    taken = places[rng.random(len(places)) < 0.75]
    x = side * (street.half_width - 1.0)
    return [make_car(rng, (x + rng.normal(0, 0.1), z), heading + rng.normal(0, 0.03)) for z in taken]


def sample_traffic(rng, street: Street) -> list[Thing]:
    """Samples cars ahead, oncoming cars, and one in the side street."""
    lane = street.half_width * 0.42
    cars = []
    for side, heading in ((RIGHT, 0.0), (LEFT, math.pi)):
        if rng.random() < 0.5:
            cars.append(make_car(rng, (side * lane, rng.uniform(7, 35)), heading, DRIVE * rng.uniform(0.3, 1)))
    if street.crossing and rng.random() < 0.6:
        side = rng.choice(SIDES)
        z = np.mean(street.crossing) - side * 1.5
        cars.append(make_car(rng, (-side * rng.uniform(0, 9), z), side * math.pi / 2, DRIVE * rng.uniform(0.3, 0.8)))
    return cars


def _near_first(rng, count):
    """Samples [count] depths z, as many between 4 and 12 m as between 12 and 38 m."""
    return np.exp(rng.uniform(math.log(NEAREST), math.log(FARTHEST), count))


def sample_cyclists(rng, street: Street) -> list[Thing]:
    """Samples cyclists: most ride along the kerb, one in three crosses the road."""
    cyclists = []
    for z in _near_first(rng, rng.choice(4, p=[0.15, 0.35, 0.3, 0.2])) * 0.8 + 1:
        if rng.random() < 0.35:
            x, heading = rng.uniform(-1, 1) * street.half_width, rng.choice(SIDES) * math.pi / 2 + rng.normal(0, 0.3)
        else:
            side = rng.choice(SIDES)
            x = side * (street.half_width - rng.uniform(-0.8, 2.4))
            heading = (0.0 if side == RIGHT else math.pi) + rng.normal(0, 0.25)
        speed = RIDE * rng.uniform(0.5, 1.3)
        cyclists.append(make_cyclist(rng, (x, z), heading, speed))
    return cyclists


def sample_people(rng, street: Street) -> list[Thing]:
    """Samples groups of one to three people on the pavements; every fourth group crosses the road."""
    people = []
    for z in _near_first(rng, rng.integers(2, 7)):
        side = rng.choice(SIDES)
        edge = street.edges[SIDES.index(side)]
        x, velocity = side * rng.uniform(street.half_width + 0.3, edge - 0.3), (0.0, rng.choice([-1, 0, 1]) * WALK)
        if rng.random() < 0.25:
            x, velocity = rng.uniform(-1, 1) * street.half_width, (rng.choice([-1, 1]) * WALK, 0.0)
        for member in range(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1])):
            place = (x + member * rng.uniform(0.4, 0.7), z + rng.uniform(-0.5, 0.5))
            people.append(make_person(rng, place, velocity))
    return people
