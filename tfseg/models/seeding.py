"""Training a recurrent network to start from a state, as the frames of a video do, on labelled images.

Only the last frame of a clip needs a label; see `models.clips` for where the others come from.
"""

import dataclasses

import tensorflow as tf

from tfseg.errors import InputError
from tfseg.models import clips

KINDS = ("other_rate", "noise_rate", "wrong_rate")  # of states that are not the frame's own


@dataclasses.dataclass
class SeedingConfig:
    """How training starts from states.

    Attributes:
      rate: share of the training steps in which the labelled frame starts from a state; in the others it starts from
        zero, with the network's usual iterations. 0 is off.
      frames: number of frames of a clip, the labelled one included: 2 to 4.
      iterations: (first, last) range from which the number of iterations of a frame that starts from a state is drawn.
      iterations_before: (first, last) range from which the number of iterations of a clip's first frame is drawn; empty
        for that of a frame that starts from zero. Long ranges stand for the many frames of a video through which a
        state goes.
      zoom: largest zoom from one frame to the next, e.g. 0.05 for 5 %.
      shift: largest shift from one frame to the next, as a share of the picture's height and width.
      drop: largest share of positions, in blocks, whose state is lost, as where a moved picture does not fit.
      other_rate: share of the seeded steps in which the state is that of another image of the batch.
      noise_rate: share of the seeded steps in which the state is disturbed by noise of half its strength.
      wrong_rate: share of the seeded steps in which the canvas shows wrong classes, the same for all of a class, and
        nothing else is carried: mistakes that the network must be able to undo.
      gate_alone: whether only the gate learns (`carry.has_gate`); everything that starts from zero then stays as it is,
        moving statistics included.
      back_propagate: whether gradients flow through the state into the frames before. Their batch normalisation always
        uses its moving statistics, as in use.
    """

    rate: float = 0.0
    frames: int = 2
    iterations: tuple[int, int] = (1, 2)
    iterations_before: tuple[int, ...] = ()
    zoom: float = 0.05
    shift: float = 0.03
    drop: float = 0.3
    other_rate: float = 0.1
    noise_rate: float = 0.1
    wrong_rate: float = 0.1
    gate_alone: bool = False
    back_propagate: bool = False

    def __post_init__(self):
        for name in ("rate", "drop", *KINDS):
            if not 0 <= getattr(self, name) <= 1:
                raise InputError(f"seeding.{name} is {getattr(self, name)}; it must be in [0, 1]")
        changed = [one.name for one in dataclasses.fields(self) if getattr(self, one.name) != one.default]
        if not self.rate and changed:
            raise InputError(f"seeding.{changed[0]} does nothing while seeding.rate is 0")
        if not 2 <= self.frames <= 4:
            raise InputError(f"seeding.frames is {self.frames}; 2 to 4")
        for name in ("iterations", "iterations_before"):
            given = getattr(self, name)
            if given and not (len(given) == 2 and 1 <= given[0] <= given[1]):
                raise InputError(f"seeding.{name} is {given}; first:last with 1 <= first <= last")
        if not (0 <= self.zoom < 0.5 and 0 <= self.shift < 0.5):
            raise InputError(f"seeding.zoom {self.zoom} and seeding.shift {self.shift} must be in [0, 0.5)")
        if sum(getattr(self, name) for name in KINDS) > 1:
            raise InputError(f"seeding.{', '.join(KINDS)} are shares of the same steps: at most 1 together")


def training_outputs(network, batch, seed, afresh):
    """Runs a clip that ends with the labelled images.

    Args:
      network: a recurrent `Segmenter` that keeps a state and has `refine_for`.
      batch: "image" [batch, height, width, 3] float32, the labelled frames, and perhaps the entries
        `data.targets.OF_FRAMES_BEFORE`. Where there is a real frame before, it takes the place of the one that is made.
      seed: [2] int32; equal seeds give equal clips.
      afresh: int32 scalar tensor, number of iterations of a frame that starts from zero.
    Returns:
      {"semantic_logits": the canvas of the labelled frames, [batch, h, w, num_classes]}.
    """
    config, carry = network.config.seeding, network.config.carry
    of_motion, of_kind, of_state, of_count = tf.unstack(tf.random.experimental.stateless_split(seed, 4))
    is_seeded, kinds = _draw_kinds(of_kind, config)
    images = batch["image"]
    features = network.encode(images, training=not config.gate_alone)
    motion = clips.draw_motion(tf.shape(images)[0], of_motion, config)

    def count_of(index, limits=config.iterations):
        first, last = limits
        return tf.random.stateless_uniform([], of_count + index, first, last + 1, dtype=tf.int32)

    def state_before():
        clip = [clips.frame_before(batch, motion, steps) for steps in range(config.frames - 1, 0, -1)]
        # As in use: the frames before are not what is learned from.
        earlier = network.encode(tf.concat(clip, 0), training=False)
        of_frame = {name: tf.split(maps, config.frames - 1) for name, maps in earlier.items()}
        count = count_of(config.frames - 1, config.iterations_before) if config.iterations_before else afresh
        state = network.refine_for({name: parts[0] for name, parts in of_frame.items()}, count)
        for index in range(1, config.frames - 1):
            now = {name: parts[index] for name, parts in of_frame.items()}
            start = clips.carried(state, batch, motion, config.frames - index, carry)
            state = network.refine_for(now, count_of(index), network.gated(now, start))
        # Cut before the gate, which learns in either case.
        state = state if config.back_propagate else tf.nest.map_structure(tf.stop_gradient, state)
        start = clips.carried(state, batch, motion, 1, carry)
        start |= _disturbed({name: start[name] for name in state}, of_state, config, kinds)
        start = network.gated(features, start)
        return start

    start = tf.cond(is_seeded, state_before, lambda: network.initial_state(features))
    count = tf.where(is_seeded, count_of(0), afresh)
    return {"semantic_logits": network.refine_for(features, count, start)["canvas"]}


def _draw_kinds(seed, config):
    """Returns whether this step is seeded, and {name of KINDS: whether the state is of that kind}: bool scalars."""
    draws = tf.random.stateless_uniform([2], seed)
    kinds, end = {}, 0.0
    for name in KINDS:
        begin, end = end, end + getattr(config, name)
        kinds[name] = (draws[1] >= begin) & (draws[1] < end)
    return draws[0] < config.rate, kinds


def _disturbed(state, seed, config, kinds):
    """Exchanges images or classes or adds noise, if the step is of such a kind, and loses blocks of positions."""
    of_drop, of_noise, of_class = tf.unstack(tf.random.experimental.stateless_split(seed, 3))
    is_kept = _blocks_kept(tf.shape(state["canvas"]), of_drop, config.drop)
    is_wrong = kinds["wrong_rate"]
    result = {}
    for number, (name, maps) in enumerate(sorted(state.items())):
        maps = tf.where(kinds["other_rate"], tf.roll(maps, 1, 0), maps)
        wrong = _exchanged(maps, of_class) if name == "canvas" else tf.zeros_like(maps)
        maps = tf.where(is_wrong, wrong, maps)
        strength = 0.5 * tf.cast(kinds["noise_rate"], tf.float32) * tf.math.reduce_std(maps)
        maps += strength * tf.random.stateless_normal(tf.shape(maps), of_noise + number)
        result[name] = maps * is_kept
    return result


def _exchanged(canvas, seed):
    """Moves all classes of [batch, h, w, num_classes] logits on by the same number, drawn from 1 to num_classes - 1."""
    num_classes = canvas.shape[-1]
    shift = tf.random.stateless_uniform([], seed, min(1, num_classes - 1), max(num_classes, 1), dtype=tf.int32)
    return tf.roll(canvas, shift, -1)


def _blocks_kept(shape, seed, drop):
    """Returns [batch, h, w, 1] float32, 0 in blocks of an eighth of the sides, whose share is drawn up to `drop`."""
    of_share, of_blocks = tf.unstack(tf.random.experimental.stateless_split(seed, 2))
    share = drop * tf.random.stateless_uniform([shape[0], 1, 1, 1], of_share)
    blocks = tf.random.stateless_uniform([shape[0], 8, 8, 1], of_blocks)
    return tf.image.resize(tf.cast(blocks >= share, tf.float32), shape[1:3], method="nearest")
