"""Generated street scenes: sample data that needs no download, and the default data set.

A street has a road, pavements, facades or a park on each side, trees, and cars, people, cyclists, poles and signs
between 2 and 50 m away, so from the full height of the frame down to a few pixels. Near things cover far ones. The sun
casts shadows of buildings and things; exposure, gamma, colour cast, haze, lens blur and sensor noise differ from scene
to scene. Colours alone do not tell the classes apart; see `world.py`. Bins and, in some scenes, the hood of the
camera's own car have no label (255).

The splits `train`, `val` and `test` are single frames of different streets; models are chosen on `val` and reported on
`test`. `train_clips`, `val_clips` and `clips` are short videos, to train on, to choose on and to report on: the camera
drives and turns, cars, people and cyclists move at their own speeds, and every thing keeps its instance id.

A frame depends only on (split, index): it is the same in every process and in any order.
"""

import dataclasses

import cv2
import numpy as np

from tfseg.data.scenes.drawing import HEIGHT, SCALE, WIDTH, Canvas
from tfseg.data.scenes.layout import sample_world
from tfseg.data.scenes.surfaces import SHADOW_DEPTH, draw_ground, draw_sky, draw_wall, is_in_building_shadow
from tfseg.data.scenes.things import draw_thing
from tfseg.data.scenes.world import CAR, CLASS_NAMES, CYCLIST, PERSON, POLE, SIGN, VOID, Light, World
from tfseg.labels import DatasetInfo

CLIP_FRAMES = 8
NUM_CLIPS = {"train_clips": 75, "val_clips": 12, "clips": 12}
SPLIT_SIZES = {"train": 1200, "val": 100, "test": 100} | {split: n * CLIP_FRAMES for split, n in NUM_CLIPS.items()}
# The first words of every seed are the data set's version and the split, so splits never share a street.
SEED = 20180618
SPLIT_SEEDS = {"train": 1, "val": 2, "clips": 3, "test": 4, "train_clips": 8, "val_clips": 9}
LAYOUT_SEED, TEXTURE_SEED, SENSOR_SEED = 0, 1, 2
SHADED_THING = 0.8  # depth of a building's shadow on things, as a share of its depth on the ground
HOOD_COLOR = (38, 40, 44)

INFO = DatasetInfo(
    name="scenes",
    class_names=CLASS_NAMES,
    colors=(
        (128, 64, 128),
        (244, 35, 232),
        (120, 90, 80),
        (107, 142, 35),
        (70, 130, 180),
        (240, 230, 160),
        (250, 120, 0),
        (220, 20, 60),
        (0, 220, 220),
        (0, 0, 160),
    ),
    thing_ids=frozenset({POLE, SIGN, PERSON, CYCLIST, CAR}),
    split_sizes=SPLIT_SIZES,
    categories=("flat", "flat", "construction", "nature", "sky", "object", "object", "human", "human", "vehicle"),
)


@dataclasses.dataclass(frozen=True)
class Scene:
    """One frame and its labels.

    Attributes:
      image: [height, width, 3] uint8 RGB; 128x192 pixels in these scenes.
      class_ids: [height, width] uint8 class ids, or 255 for ignored pixels.
      instance_ids: [height, width] int32: one id, from 1, per thing of the sequence; 0 for stuff and ignored pixels.
      sequence_id: name of the street; all frames of a clip share it.
      frame_id: number of the frame in its sequence, from 0.
    """

    image: np.ndarray
    class_ids: np.ndarray
    instance_ids: np.ndarray
    sequence_id: str
    frame_id: int


def generate(split: str, index: int) -> Scene:
    """Generates frame `index` of a split, 0 to SPLIT_SIZES[split] - 1.

    Raises:
      ValueError: there is no such split or frame.
    """
    if split not in SPLIT_SIZES or not 0 <= index < SPLIT_SIZES[split]:
        raise ValueError(f"scenes have no frame {index} in split {split}; there are {SPLIT_SIZES}")
    sequence, frame_id = divmod(index, CLIP_FRAMES) if split in NUM_CLIPS else (index, 0)
    seed = (SEED, SPLIT_SEEDS[split], sequence)
    image, class_ids, instance_ids = render(sample_world(rng_of(*seed, LAYOUT_SEED)), frame_id, seed)
    return Scene(image, class_ids, instance_ids, f"{split}_{sequence:04d}", frame_id)


def render(
    world: World, frame_id: int, seed: tuple[int, ...], size: tuple[int, int] = (HEIGHT, WIDTH)
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Renders a frame of a world.

    Args:
      world: the world.
      frame_id: number of the frame, from 0.
      seed: seed for the textures, which are the same in all frames of a sequence; together with `frame_id`, also the
        seed for the sensor's noise.
      size: (height, width) of the frame, in pixels.
    Returns:
      (image [height, width, 3] uint8, class ids [height, width] uint8, instance ids [height, width] int32).
    """
    canvas = Canvas(world.camera_at(frame_id), world.light, rng_of(*seed, TEXTURE_SEED), size)
    draw_sky(canvas)
    draw_ground(canvas, world, frame_id)
    for wall in world.walls:
        draw_wall(canvas, wall)
    _draw_things(canvas, world, frame_id)
    _draw_hood(canvas, world.hood)
    picture, class_ids, instance_ids = canvas.finish()
    return _expose(picture, world.light, rng_of(*seed, SENSOR_SEED, frame_id)), class_ids, instance_ids


def rng_of(*seed: int) -> np.random.Generator:
    """Returns a generator of random numbers for a seed of several words."""
    return np.random.default_rng(np.random.SeedSequence(seed))


def _draw_things(canvas, world, frame_id):
    """Draws all things, the farthest first."""
    if not world.things:
        return
    x, z = np.array([thing.at(frame_id) for thing in world.things]).T
    depth = canvas.to_camera(x, z)[1]
    shade = SHADED_THING * SHADOW_DEPTH * world.light.sun * is_in_building_shadow(world, x, z)
    for i in np.argsort(-depth, kind="stable"):
        draw_thing(canvas, world.things[i], frame_id, 1 - shade[i])


def _draw_hood(canvas, share):
    """Draws the bonnet of the camera's own car, a flat arc at the lower edge."""
    if share:
        height, width = canvas.labels.shape
        angles = np.linspace(np.pi, 2 * np.pi, 40)
        arc = np.stack([width / 2 + 0.62 * width * np.cos(angles), height + share * height * np.sin(angles)], 1)
        canvas.polygon(arc, HOOD_COLOR, VOID)
        canvas.stroke(arc + np.array([0, 3 * SCALE]), SCALE, tuple(2 * value for value in HOOD_COLOR), VOID)


def _expose(picture, light: Light, rng):
    """Turns light [h, w, 3], 0 to 1, into the camera's uint8 picture: blur, exposure, colour cast, gamma, noise."""
    if light.blur > 0.2:
        picture = cv2.GaussianBlur(picture, (0, 0), light.blur)
    picture = np.clip(picture * (light.gain * light.cast).astype(np.float32), 0, 1) ** np.float32(light.gamma)
    noise = rng.standard_normal(picture.shape, np.float32) * np.float32(light.noise)
    picture = picture + noise * (0.5 + picture)  # brighter pixels have more noise
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
