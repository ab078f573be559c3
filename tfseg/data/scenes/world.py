"""The world of a generated street scene: what stands where, its colours and how it moves.

Coordinates are in metres: x to the right, y up, z along the street. The middle of the road is at x = 0, the ground at
y = 0, and the camera of frame 0 at z = 0. Velocities are in metres per frame, headings in radians from +z towards +x.

The scenes are difficult on purpose: roads, pavements, facades, cars and clothes draw from the same muted colours, signs
and cars from the same bright ones; leaves and facades share greens and browns; tree trunks look like poles. Shape,
texture and surroundings tell them apart.
"""

import dataclasses
import math

import numpy as np

CLASS_NAMES = ("road", "pavement", "building", "vegetation", "sky", "pole", "sign", "person", "cyclist", "car")
ROAD, PAVEMENT, BUILDING, VEGETATION, SKY, POLE, SIGN, PERSON, CYCLIST, CAR = range(10)
VOID = 255

# Red, green, blue, 0 to 1, under an overcast sky of brightness 1.
MUTED = np.array(
    [
        (0.72, 0.71, 0.69),  # light concrete
        (0.50, 0.50, 0.51),  # grey
        (0.34, 0.35, 0.37),  # asphalt
        (0.20, 0.20, 0.22),  # anthracite
        (0.62, 0.55, 0.44),  # sandstone
        (0.48, 0.36, 0.28),  # brown
        (0.55, 0.32, 0.26),  # brick
        (0.42, 0.45, 0.33),  # olive
        (0.84, 0.82, 0.77),  # off-white
        (0.45, 0.50, 0.57),  # blue-grey
    ]
)
BRIGHT = np.array([(0.75, 0.13, 0.12), (0.12, 0.26, 0.62), (0.86, 0.70, 0.14), (0.13, 0.45, 0.27), (0.92, 0.92, 0.90)])
LEAVES = np.array([(0.24, 0.38, 0.15), (0.33, 0.42, 0.20), (0.16, 0.28, 0.14), (0.50, 0.38, 0.18), (0.42, 0.42, 0.28)])
SKIN = np.array([(0.86, 0.68, 0.56), (0.62, 0.44, 0.33), (0.36, 0.25, 0.19)])
COLOR_JITTER = 0.05

STREET_START, STREET_END = -12.0, 115.0  # range of z with buildings


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera.

    Attributes:
      x, y, z: position, m.
      yaw: heading, radians.
      focal: focal length, in pixels of the final image.
      horizon: row of the horizon in the final image.
    """

    x: float
    y: float
    z: float
    yaw: float
    focal: float
    horizon: float


@dataclasses.dataclass(frozen=True)
class CameraMotion:
    """The camera's motion.

    Attributes:
      speed: distance along the street, m per frame.
      yaw_rate: change of the yaw, radians per frame.
      bobbing: amplitude of the horizon's up and down, in rows.
    """

    speed: float
    yaw_rate: float
    bobbing: float


@dataclasses.dataclass(frozen=True)
class Street:
    """The ground. With distance from x = 0: road, then pavement, then grass or more pavement.

    Attributes:
      half_width: distance at which the road ends, m.
      edges: distances at which the left and the right pavement end, m.
      has_grass: whether there is grass beyond the left and the right pavement, instead of more pavement.
      crossing: (near, far) z range of a side street, or None.
      colors: [5, 3] colours of road, pavement, kerb, grass and marking.
      slab: distance between the pavement's joints, m.
      cobble: distance between the road's joints, m; 0 for asphalt.
      has_marking: whether the road has a broken line in the middle.
      zebra: z where a zebra crossing begins, or None.
    """

    half_width: float
    edges: tuple[float, float]
    has_grass: tuple[bool, bool]
    crossing: tuple[float, float] | None
    colors: np.ndarray
    slab: float
    cobble: float
    has_marking: bool
    zebra: float | None


@dataclasses.dataclass(frozen=True)
class Wall:
    """A vertical face: a facade, a hedge, or a row of far trees.

    Attributes:
      start, end: ends (x, z) of the line on which it stands.
      height: height, m.
      class_id: BUILDING or VEGETATION.
      colors: [4, 3] colours of wall, window, lit window and ground floor.
      bump: how much the height of the upper edge varies, m.
      brick: height of a brick, m; 0 for plaster.
      windows: (spacing, storey height, share of the width, share of the height), or None.
      seed: number that selects the windows and shifts the textures.
    """

    start: tuple[float, float]
    end: tuple[float, float]
    height: float
    class_id: int
    colors: np.ndarray
    bump: float = 0.0
    brick: float = 0.0
    windows: tuple[float, float, float, float] | None = None
    seed: int = 0


@dataclasses.dataclass(frozen=True)
class Thing:
    """Anything that stands on the ground. Things are drawn from far to near.

    Attributes:
      kind: key of `things.PAINTERS`.
      class_id: class of the thing; 255 if it has no label.
      instance_id: number from 1, unique in the world; 0 for stuff.
      position: (x, z) at frame 0.
      size: (width or length, height), in m or as factors on the painter's size.
      colors: [n, 3] colours; the painter defines what they mean.
      velocity: (x, z), m per frame.
      heading: direction it faces, radians; the side of the arm for a lamp.
      variant: which of the painter's shapes, or the phase of its steps.
    """

    kind: str
    class_id: int
    instance_id: int
    position: tuple[float, float]
    size: tuple[float, float]
    colors: np.ndarray
    velocity: tuple[float, float] = (0.0, 0.0)
    heading: float = 0.0
    variant: int = 0

    def at(self, frame_id: int) -> tuple[float, float]:
        """Returns (x, z) at a frame."""
        return tuple(start + speed * frame_id for start, speed in zip(self.position, self.velocity, strict=True))


@dataclasses.dataclass(frozen=True)
class Light:
    """Light and lens.

    Attributes:
      sun: strength of the sun, from 0 (overcast) to 1 (clear).
      shadow: (x, z) from a stick 1 m high to the tip of its shadow.
      sky_colors: [2, 3] colours at the horizon and overhead; far things fade into the first.
      clouds: strength of the clouds, 0 to 1.
      haze: fading with depth, 1 / m: a colour keeps exp(-haze * depth) of itself.
      gain, gamma, cast: exposure, gamma and colour cast of the picture; cast [3] multiplies red, green, blue.
      noise: standard deviation of the sensor's noise at half brightness, where white is 1.
      blur: standard deviation of the lens' blur, pixels.
    """

    sun: float
    shadow: tuple[float, float]
    sky_colors: np.ndarray
    clouds: float
    haze: float
    gain: float
    gamma: float
    cast: np.ndarray
    noise: float
    blur: float


@dataclasses.dataclass(frozen=True)
class World:
    """A whole scene.

    Attributes:
      camera: the camera at frame 0.
      motion: how the camera moves.
      street: the ground.
      walls: vertical faces, in the order in which they are drawn.
      things: all things, in any order.
      light: light and lens.
      hood: share of the frame's height that the camera's own car hides; these pixels have no label.
    """

    camera: Camera
    motion: CameraMotion
    street: Street
    walls: tuple[Wall, ...]
    things: tuple[Thing, ...]
    light: Light
    hood: float

    def camera_at(self, frame_id: int) -> Camera:
        """Returns the camera at a frame. It drives along the street, wherever it looks."""
        return dataclasses.replace(
            self.camera,
            z=self.camera.z + self.motion.speed * frame_id,
            yaw=self.camera.yaw + self.motion.yaw_rate * frame_id,
            horizon=self.camera.horizon + self.motion.bobbing * math.sin(1.7 * frame_id),
        )


def pick_color(rng, palette: np.ndarray) -> np.ndarray:
    """Returns one of the palette's colours [3], slightly changed."""
    color = palette[rng.integers(len(palette))] * rng.uniform(0.8, 1.15) + rng.normal(0, COLOR_JITTER / 2, 3)
    return np.clip(color, 0.04, 0.98)


def sample_camera(rng, half_width: float) -> Camera:
    """Samples a camera on the road, mostly in its right half."""
    return Camera(
        x=half_width * rng.uniform(-0.4, 0.75),
        y=rng.uniform(1.3, 2.3),
        z=0.0,
        yaw=rng.uniform(-0.2, 0.2),
        focal=rng.uniform(135, 190),
        horizon=rng.uniform(42, 64),
    )


def sample_motion(rng) -> CameraMotion:
    """Samples the camera's motion; one camera in five stands still and only turns."""
    speed = 0.0 if rng.random() < 0.2 else rng.uniform(0.25, 0.8)
    return CameraMotion(speed, rng.choice([-1, 1]) * rng.uniform(0.004, 0.015), rng.uniform(0, 0.8))


def sample_light(rng) -> Light:
    """Samples light from clear to overcast, from noon to dusk."""
    sun = rng.choice([0.0, rng.uniform(0.3, 1)], p=[0.35, 0.65])
    grey, blue = np.array([0.80, 0.82, 0.84]), np.array([0.40, 0.58, 0.85])
    warm = np.array([0.92, 0.80, 0.66])
    horizon = grey + (warm - grey) * rng.uniform(0, 0.8) * (rng.random() < 0.4)
    overhead = grey * rng.uniform(0.75, 1) + (blue - grey) * sun * rng.uniform(0.4, 1)
    return Light(
        sun=float(sun),
        shadow=(rng.choice([-1, 1]) * rng.uniform(0.3, 1.8), rng.uniform(-1, 1)),
        sky_colors=np.stack([horizon, overhead]),
        clouds=rng.uniform(0.1, 1),
        haze=rng.uniform(0.001, 0.012),
        gain=rng.uniform(0.7, 1.3),
        gamma=rng.uniform(0.75, 1.2),
        cast=1 + rng.uniform(-0.1, 0.1, 3),
        noise=rng.uniform(0.008, 0.035),
        blur=rng.uniform(0, 0.6),
    )
