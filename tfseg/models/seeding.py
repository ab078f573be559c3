"""Training a recurrent network to start from a state, as the frames of a video do, on labelled images.

Unless the data hold the frame before an image, it is made from it: it sees it zoomed and shifted a little, as a moving
camera would. So the motion is known exactly. In either case only the last frame needs a label.
"""

import dataclasses

import tensorflow as tf

from tfseg.errors import InputError


@dataclasses.dataclass
class SeedingConfig:
    """How training starts from states.

    Attributes:
      rate: share of the training steps in which the labelled frame starts from a state; in the others it starts from
        zero, with the network's usual iterations. 0 is off.
      frames: number of frames of a clip, the labelled one included: 2 to 4.
      iterations: (first, last) range from which the number of iterations of a frame that starts from a state is drawn.
      zoom: largest zoom from one frame to the next, e.g. 0.05 for 5 %.
      shift: largest shift from one frame to the next, as a share of the picture's height and width.
      drop: largest share of positions, in blocks, whose state is lost, as where a moved picture does not fit.
      other_rate: share of the seeded steps in which the state is that of another image of the batch.
      noise_rate: share of the seeded steps in which the state is disturbed by noise of half its strength.
      back_propagate: whether gradients flow through the state into the frames before. Their batch normalisation always
        uses its moving statistics, as in use.
    """

    rate: float = 0.0
    frames: int = 2
    iterations: tuple[int, int] = (1, 2)
    zoom: float = 0.05
    shift: float = 0.03
    drop: float = 0.3
    other_rate: float = 0.1
    noise_rate: float = 0.1
    back_propagate: bool = False

    def __post_init__(self):
        for name in ("rate", "drop", "other_rate", "noise_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"seeding.{name} is {getattr(self, name)}; it must be in [0, 1]")
        changed = [one.name for one in dataclasses.fields(self) if getattr(self, one.name) != one.default]
        if not self.rate and changed:
            raise InputError(f"seeding.{changed[0]} does nothing while seeding.rate is 0")
        if not 2 <= self.frames <= 4:
            raise InputError(f"seeding.frames is {self.frames}; 2 to 4")
        if not 1 <= self.iterations[0] <= self.iterations[1]:
            raise InputError(f"seeding.iterations is {self.iterations}; first:last with 1 <= first <= last")
        if not (0 <= self.zoom < 0.5 and 0 <= self.shift < 0.5):
            raise InputError(f"seeding.zoom {self.zoom} and seeding.shift {self.shift} must be in [0, 0.5)")
        if self.other_rate + self.noise_rate > 1:
            raise InputError("seeding.other_rate and noise_rate are shares of the same steps: at most 1 together")


def training_outputs(network, batch, seed, afresh):
    """Runs a clip that ends with the labelled images.

    Args:
      network: a recurrent `Segmenter` that keeps a state and has `refine_for`.
      batch: "image" [batch, height, width, 3] float32, the labelled frames, and perhaps the entries
        `data.targets.OF_FRAME_BEFORE`. Where there is a real frame before, it takes the place of the one that is made.
      seed: [2] int32; equal seeds give equal clips.
      afresh: int32 scalar tensor, number of iterations of a frame that starts from zero.
    Returns:
      {"semantic_logits": the canvas of the labelled frames, [batch, h, w, num_classes]}.
    """
    config, carry = network.config.seeding, network.config.carry
    of_motion, of_kind, of_state, of_count = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    is_seeded, is_other, is_noisy = _draw_kinds(of_kind, config)
    images = batch["image"]
    features = network.encode(images, training=True)
    motion = draw_motion(tf.shape(images)[0], of_motion, config)

    def count_of(index):
        first, last = config.iterations
        return tf.random.stateless_uniform([], of_count + index, first, last + 1, dtype=tf.int32)

    def carried(state, is_last=False):
        if carry.with_motion and is_last and "has_previous" in batch:
            state = _moved_by_estimate(state, batch, motion, carry)
        elif carry.with_motion:
            state = {name: moved_state(maps, motion) for name, maps in state.items()}
        return {name: _kept(name, maps, carry) * carry.scale for name, maps in state.items()}

    def state_before():
        clip = [_frame_of_clip(batch, motion, steps) for steps in range(config.frames - 1, 0, -1)]
        # As in use: the frames before are not what is learned from.
        earlier = network.encode(tf.concat(clip, 0), training=False)
        of_frame = {name: tf.split(maps, config.frames - 1) for name, maps in earlier.items()}
        state = network.refine_for({name: parts[0] for name, parts in of_frame.items()}, afresh)
        for index in range(1, config.frames - 1):
            now = {name: parts[index] for name, parts in of_frame.items()}
            state = network.refine_for(now, count_of(index), carried(state))
        start = _disturbed(carried(state, is_last=True), of_state, config, is_other, is_noisy)
        return start if config.back_propagate else tf.nest.map_structure(tf.stop_gradient, start)

    start = tf.cond(is_seeded, state_before, lambda: network.initial_state(features))
    count = tf.where(is_seeded, count_of(0), afresh)
    return {"semantic_logits": network.refine_for(features, count, start)["canvas"]}


def _frame_of_clip(batch, motion, steps):
    """Returns the frame so many steps before the labelled one: a real one, or one made from it."""
    made = earlier_frame(batch["image"], motion, steps)
    if "has_previous" not in batch:
        return made
    real = batch["previous_image"]
    real = real if steps == 1 else earlier_frame(real, motion, steps - 1)
    return tf.where(batch["has_previous"][:, tf.newaxis, tf.newaxis, tf.newaxis], real, made)


def _moved_by_estimate(state, batch, motion, carry):
    """Moves a state to the labelled frame: by the estimated motion where there is a real frame before."""
    is_real = batch["has_previous"][:, tf.newaxis, tf.newaxis, tf.newaxis]
    estimate = batch["motion_offset"], batch["motion_error"]
    return {
        name: tf.where(is_real, moved_by_flow(maps, *estimate, carry.trust_scale), moved_state(maps, motion))
        for name, maps in state.items()
    }


def draw_motion(batch, seed, config):
    """Draws how each image moves from frame to frame.

    Returns:
      [batch, 3] float32: zoom (the frame before is seen this much larger), and the shift down and across as shares of
      the height and width.
    """
    draws = tf.random.stateless_uniform([batch, 3], seed, -1.0, 1.0)
    return tf.stack([1 + config.zoom * draws[:, 0], config.shift * draws[:, 1], config.shift * draws[:, 2]], 1)


def earlier_frame(images, motion, steps):
    """Returns the images as they were `steps` frames before; beyond the border they are mirrored."""
    return _transformed(images, _affine(images, motion, steps, backwards=True), "REFLECT")


def moved_state(maps, motion):
    """Moves maps of the frame before along with the picture; positions that come into view are 0."""
    return _transformed(maps, _affine(maps, motion, 1, backwards=False), "CONSTANT")


def moved_by_flow(maps, offset, error, trust_scale):
    """Moves maps by an estimated motion, as `inference.motion` does in use.

    Args:
      maps: [batch, h, w, channels] float32 of the frame before.
      offset: [batch, H, W, 2] and
      error: [batch, H, W] float32, see `inference.motion.Motion`.
      trust_scale: see `inference.motion.movement`.
    Returns:
      [batch, h, w, channels].
    """
    height, width = tf.shape(maps)[1], tf.shape(maps)[2]
    size = tf.stack([width, height])
    # Nothing is learned from the motion, and resizing by areas has no gradient, which tf.cond asks for.
    offset = tf.stop_gradient(tf.image.resize(offset, [height, width], "area"))
    shift = offset * tf.cast(size, tf.float32)  # (across, down)
    places = tf.stack(tf.meshgrid(tf.range(width), tf.range(height)), -1)  # [h, w, 2]
    places = tf.clip_by_value(tf.cast(places, tf.float32) + shift, 0.0, tf.cast(size - 1, tf.float32))
    first = tf.cast(places, tf.int32)
    last, share = tf.minimum(first + 1, size - 1), places - tf.floor(places)
    across, down = share[..., :1], share[..., 1:]
    (left, top), (right, bottom) = tf.unstack(first, axis=-1), tf.unstack(last, axis=-1)

    def at(rows, columns):
        return tf.gather_nd(maps, tf.stack([rows, columns], -1), batch_dims=1)

    upper = at(top, left) * (1 - across) + at(top, right) * across
    lower = at(bottom, left) * (1 - across) + at(bottom, right) * across
    result = upper * (1 - down) + lower * down
    if trust_scale:
        difference = tf.stop_gradient(tf.image.resize(error[..., tf.newaxis], [height, width], "area"))
        result *= tf.exp(-tf.square(difference / trust_scale))
    return tf.ensure_shape(result, maps.shape)


def _affine(maps, motion, steps, backwards):
    """Returns [batch, 8] transforms for `_transformed`: from positions of the result to positions of `maps`.

    A position p of a frame, relative to the picture's centre, was at zoom * p + shift in the frame before.
    """
    size = tf.cast(tf.shape(maps)[1:3], tf.float32)
    centre = (size - 1) / 2
    zoom, shift = motion[:, 0], motion[:, 1:] * size
    for _ in range(steps - 1):
        zoom, shift = motion[:, 0] * zoom, motion[:, :1] * shift + motion[:, 1:] * size
    if backwards:
        zoom, shift = 1 / zoom, -shift / zoom[:, tf.newaxis]
    offset = centre + shift - zoom[:, tf.newaxis] * centre  # [batch, 2]: down, across
    zero = tf.zeros_like(zoom)
    return tf.stack([zoom, zero, offset[:, 1], zero, zoom, offset[:, 0], zero, zero], 1)


def _transformed(maps, transforms, fill):
    result = tf.raw_ops.ImageProjectiveTransformV3(
        images=maps,
        transforms=transforms,
        output_shape=tf.shape(maps)[1:3],
        interpolation="BILINEAR",
        fill_mode=fill,
        fill_value=0.0,
    )
    return tf.ensure_shape(result, maps.shape)


def _draw_kinds(seed, config):
    """Returns whether this step is seeded, with the state of another image, and with noise: three bool scalars."""
    draws = tf.random.stateless_uniform([2], seed)
    is_other = draws[1] < config.other_rate
    return draws[0] < config.rate, is_other, ~is_other & (draws[1] < config.other_rate + config.noise_rate)


def _disturbed(state, seed, config, is_other, is_noisy):
    """Exchanges the images' states or adds noise if the step is of that kind, and loses blocks of positions."""
    of_drop, of_noise = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    is_kept = _blocks_kept(tf.shape(state["canvas"]), of_drop, config.drop)
    result = {}
    for number, (name, maps) in enumerate(sorted(state.items())):
        maps = tf.where(is_other, tf.roll(maps, 1, 0), maps)
        strength = 0.5 * tf.cast(is_noisy, tf.float32) * tf.math.reduce_std(maps)
        maps += strength * tf.random.stateless_normal(tf.shape(maps), of_noise + number)
        result[name] = maps * is_kept
    return result


def _blocks_kept(shape, seed, drop):
    """Returns [batch, h, w, 1] float32, 0 in blocks of an eighth of the sides, whose share is drawn up to `drop`."""
    of_share, of_blocks = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    share = drop * tf.random.stateless_uniform([shape[0], 1, 1, 1], of_share)
    blocks = tf.random.stateless_uniform([shape[0], 8, 8, 1], of_blocks)
    return tf.image.resize(tf.cast(blocks >= share, tf.float32), shape[1:3], method="nearest")


def _kept(name, maps, carry):
    return maps if name == "canvas" or carry.with_memory else tf.zeros_like(maps)
