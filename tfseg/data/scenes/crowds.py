"""Generated crowded streets: sample data for panoptic models, in which most things overlap others of their class.

They are the streets of `streets.py` at a higher resolution, full of groups of people, cyclists side by side and rows of
cars. Most things are 3 to 15 m away, so from the full height of the frame down to a tenth of it. There are three
classes of things and two of stuff. Bins, the hood of the camera's own car and hardly visible things are not labelled
(255).

The splits `train`, `val` and `test` are single frames of different streets. A frame depends only on (split, index).
"""

import dataclasses
import math

import numpy as np

from tfseg.data.scenes import streets
from tfseg.data.scenes.layout import numbered, sample_world
from tfseg.data.scenes.traffic import LEFT, RIDE, RIGHT, SIDES, make_car, make_cyclist, make_person
from tfseg.data.scenes.world import CAR, CYCLIST, PAVEMENT, PERSON, ROAD, VOID, World
from tfseg.labels import DatasetInfo

HEIGHT, WIDTH = 193, 257
SPLIT_SIZES = {"train": 2000, "val": 100, "test": 200}
SPLIT_SEEDS = {"train": 5, "val": 6, "test": 7}
MIN_VISIBLE = 80  # pixels; a thing that shows fewer is not labelled
NEAREST, FARTHEST = 3.5, 13.0
CLASS_IDS = {ROAD: 0, PAVEMENT: 0, PERSON: 2, CYCLIST: 3, CAR: 4, VOID: VOID}
BACKGROUND = 1

INFO = DatasetInfo(
    name="crowds",
    class_names=("street", "background", "person", "cyclist", "car"),
    colors=((128, 64, 128), (107, 142, 35), (220, 20, 60), (0, 220, 220), (0, 0, 160)),
    thing_ids=frozenset({2, 3, 4}),
    split_sizes=SPLIT_SIZES,
    categories=("flat", "background", "human", "human", "vehicle"),
)
_CLASS_ID = np.array([CLASS_IDS.get(class_id, BACKGROUND) for class_id in range(256)], np.uint8)


def generate(split: str, index: int) -> streets.Scene:
    """Generates frame `index` of a split, 0 to SPLIT_SIZES[split] - 1, in 193x257 pixels.

    Raises:
      ValueError: there is no such split or frame.
    """
    if split not in SPLIT_SIZES or not 0 <= index < SPLIT_SIZES[split]:
        raise ValueError(f"crowds have no frame {index} in split {split}; there are {SPLIT_SIZES}")
    seed = (streets.SEED, SPLIT_SEEDS[split], index)
    world = sample_crowd(streets.rng_of(*seed, streets.LAYOUT_SEED))
    image, class_ids, instance_ids = streets.render(world, 0, seed, (HEIGHT, WIDTH))
    class_ids = _CLASS_ID[class_ids]
    instance_ids[~np.isin(class_ids, list(INFO.thing_ids))] = 0
    is_hidden = np.bincount(instance_ids.ravel()) < MIN_VISIBLE
    is_hidden[0] = False
    class_ids[is_hidden[instance_ids]] = VOID
    instance_ids[is_hidden[instance_ids]] = 0
    return streets.Scene(image, class_ids, instance_ids, f"{split}_{index:04d}", 0)


def sample_crowd(rng: np.random.Generator) -> World:
    """Samples a street as in `streets.py`, with crowds in place of its traffic."""
    world = sample_world(rng)
    street = world.street
    things = [thing for thing in world.things if thing.class_id not in (CAR, CYCLIST, PERSON)]
    for side in SIDES:
        things += _sample_parked_cars(rng, street, side)
    things += _sample_traffic(rng, street) + _sample_cyclists(rng, street) + _sample_people(rng, street)
    camera = dataclasses.replace(
        world.camera,
        focal=rng.uniform(200, 270),
        horizon=rng.uniform(60, 90),
        x=street.half_width * rng.uniform(-0.3, 0.6),
    )
    return dataclasses.replace(world, camera=camera, things=tuple(numbered(things)))


def _depths(rng, count):
    """Samples [count] depths z, uniform on a logarithmic scale."""
    return np.exp(rng.uniform(math.log(NEAREST), math.log(FARTHEST), count))


def _sample_parked_cars(rng, street, side):
    """Samples parked cars, bumper to bumper, on half of the sides."""
    if rng.random() < 0.5:
        return []
    x, heading = side * (street.half_width - 1.0), 0.0 if side == RIGHT else math.pi
    places = np.arange(rng.uniform(5, 12), 24, rng.uniform(4.7, 5.6))
    return [make_car(rng, (x + rng.normal(0, 0.1), z), heading + rng.normal(0, 0.03)) for z in places]


def _sample_traffic(rng, street):
    """Samples up to two cars in each lane, and a car driving across in every third street."""
    cars = []
    for side, heading in ((RIGHT, 0.0), (LEFT, math.pi)):
        for z in rng.uniform(6, 11) + 6 * np.arange(rng.integers(0, 3)):
            cars.append(make_car(rng, (side * street.half_width * rng.uniform(0.3, 0.5), z), heading))
    if rng.random() < 0.33:
        cars.append(make_car(rng, (rng.uniform(-4, 4), rng.uniform(7, 15)), rng.choice(SIDES) * math.pi / 2))
    return cars


def _sample_cyclists(rng, street):
    """Samples groups of one to three cyclists who ride the same way, next to or behind each other."""
    cyclists = []
    for z in _depths(rng, rng.integers(0, 4)):
        x, across = rng.uniform(-1, 1) * street.half_width, rng.random() < 0.5
        heading = rng.choice(SIDES) * math.pi / 2 if across else rng.choice([0.0, math.pi])
        for member in range(rng.integers(1, 4)):
            gap = np.array([rng.uniform(0.7, 1.4), rng.uniform(0.3, 1.0)]) * member
            place = (x + gap[0], z + gap[1])
            cyclists.append(make_cyclist(rng, place, heading + rng.normal(0, 0.2), RIDE))
    return cyclists


def _sample_people(rng, street):
    """Samples two to five groups of one to four people, shoulder to shoulder."""
    people = []
    for z in _depths(rng, rng.integers(2, 6)):
        x = rng.uniform(-1, 1) * max(street.edges)
        for member in range(rng.integers(1, 5)):
            place = (x + member * rng.uniform(0.32, 0.6), z + rng.uniform(-0.5, 0.5))
            people.append(make_person(rng, place))
    return people
