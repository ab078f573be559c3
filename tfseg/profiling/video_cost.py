"""What the frames of a video cost: those that start afresh, and those that start from the frame before."""

import dataclasses

import numpy as np
import tensorflow as tf

from tfseg import architectures
from tfseg.errors import InputError
from tfseg.inference.motion import Carrier, MotionEstimator, motion_image
from tfseg.profiling import flops
from tfseg.profiling.measurement import timed
from tfseg.profiling.profile import image_call, matrix_product
from tfseg.system import timing

AFRESH, SEEDED, MOTION = "afresh", "from the frame before", "motion"
COLUMNS = {
    "frames": "frames",
    "iterations": "iterations",
    "published_gmacs": "paper GMACs",
    "tensorflow_gflops": "TensorFlow GFLOPs",
    "executed_gmacs": "executed GMACs",
    "executed_gflops": "executed GFLOPs",
    "milliseconds": "ms median",
    "share_of_afresh": "GFLOPs of a frame afresh",
}
LEGEND = (
    "ms: from the frame in memory to the logits, at the model's stride; for frames from the one before with the motion",
    "  between the two frames, as OpenCV finds it, and the state moved by it. Motion counts no multiply-accumulates.",
)


@dataclasses.dataclass(frozen=True)
class Policy:
    """How a video is run.

    Attributes:
      iterations: iterations of a frame that starts from the one before.
      key_iterations: iterations of a frame that starts afresh.
      key_every: one of so many frames starts afresh; 0: only the first frame.
    """

    iterations: int
    key_iterations: int
    key_every: int = 0


def video_cost(model_config, num_classes, size, policy: Policy, rounds=20) -> list[dict]:
    """Returns rows with the keys of COLUMNS: a frame afresh, a frame from the one before, and their mean if it is one.

    Args:
      model_config: config of a network that keeps a state; its weights are random, which does not change the cost.
      num_classes: number of classes.
      size: (height, width) of a frame.
      policy: a Policy.
      rounds: number of timing rounds, in which all kinds of frames take turns; 0 for no timing.
    Raises:
      InputError: the network keeps no state.
    """
    network = architectures.build(model_config, num_classes)
    if not network.state_spec():
        raise InputError("--video: this model keeps no state, so every frame of a video costs what an image costs")
    written = architectures.build(model_config.published(), num_classes)
    kinds = {AFRESH: (policy.key_iterations, False), SEEDED: (policy.iterations, True)}
    most = max(policy.iterations, policy.key_iterations)
    traced = {name: flops.trace(network, size, count, from_zeros) for name, (count, from_zeros) in kinds.items()}
    times = _milliseconds(network, traced, size, rounds) if rounds else dict.fromkeys(kinds)
    rows = []
    for name, (count, is_seeded) in kinds.items():
        counts = flops.published_gmacs, flops.tensorflow_gflops
        published, counted = (float(one(written, size, most, is_seeded)[count - 1]) for one in counts)
        gmacs = flops.gmacs(flops.count(traced[name]))
        figures = published, counted, gmacs, 2 * gmacs, times[name]
        rows.append(dict(zip(COLUMNS, (name, float(count), *figures), strict=False)))
    if policy.key_every:
        rows.append(_mean(*rows, policy.key_every))
    for row in rows:
        row["share_of_afresh"] = row["executed_gflops"] / rows[0]["executed_gflops"]
    return rows


def _mean(afresh, seeded, key_every):
    row = {"frames": f"mean, one of {key_every} afresh"}
    for name in list(COLUMNS)[1:-1]:
        both = afresh[name], seeded[name]
        row[name] = None if None in both else (both[0] + (key_every - 1) * both[1]) / key_every
    return row


def _milliseconds(network, traced, size, rounds):
    calls = {name: image_call(function, size) for name, function in traced.items()}
    calls[MOTION] = _motion(network, size)  # a stream looks for cuts even if nothing is moved
    times = {name: timing.median(taken) for name, taken in timed(calls, matrix_product(), rounds).items()}
    return {AFRESH: times[AFRESH], SEEDED: times[SEEDED] + times[MOTION]}


def _motion(network, size):
    """Returns a call that does what a stream does between two frames of random soft spots."""
    spots = np.random.default_rng(0).integers(0, 256, [-(-side // 8) for side in size], np.uint8)
    before = np.repeat(np.kron(spots, np.ones([8, 8], np.uint8))[: size[0], : size[1], np.newaxis], 3, -1)
    after, estimator = np.roll(before, 3, 1), MotionEstimator()
    state = network.initial_state(network.encode(tf.zeros([1, *size, 3])))
    state = {name: maps.numpy() for name, maps in state.items()}
    last = motion_image(before)

    def run():
        carrier = Carrier(estimator.between(last, motion_image(after)), network.carry)
        carrier.start(state)
        if network.carry.blend:
            carrier.blended(state["canvas"][0], state["canvas"][0])

    return run
