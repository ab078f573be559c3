"""The gate on a state: what it keeps at the start, what it reads, and a network that is trained with it."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.inference.test_motion import texture
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.config import DataConfig
from tfseg.errors import InputError
from tfseg.inference import motion as in_use
from tfseg.inference.predictor import Predictor
from tfseg.labels import DatasetInfo
from tfseg.layers.state_gate import StateGate
from tfseg.models import rnn
from tfseg.models.rnn import RNNConfig
from tfseg.models.seeding import SeedingConfig
from tfseg.models.segmenter import CarryConfig
from tfseg.profiling import flops

GATED = CarryConfig(scale=1.0, has_gate=True)
QUARTER = CarryConfig(scale=0.25)
ALONE = SeedingConfig(rate=1.0, gate_alone=True)
INFO = DatasetInfo("toy", ("a", "b", "c"), ((0, 0, 0), (9, 9, 9), (99, 99, 99)))


def gate_and_inputs():
    gate = StateGate({"canvas": 3, "h1": 2}, width=4)
    random = np.random.default_rng(0)
    features, canvas, h1 = (tf.constant(random.normal(size=(1, 5, 6, n)), tf.float32) for n in (7, 3, 2))
    return gate, features, {"canvas": canvas, "h1": h1}, tf.fill([1, 5, 6, 1], 4.0)


def network_of(carry, **fields):
    config = RNNConfig(tiny(), iterations=3, widths=(8, 4), canvas_stride=8, carry=carry, **fields)
    return architectures.build(config, num_classes=3)


def images(count=2):
    return tf.constant(np.stack([texture(48, 64, across=40 * index) for index in range(count)]), tf.float32)


def test_at_the_start_a_quarter_of_everything_is_kept():
    gate, *inputs = gate_and_inputs()
    kept = gate(*inputs)
    for name, maps in inputs[1].items():
        np.testing.assert_allclose(kept[name], 0.25 * maps, rtol=1e-5)


@pytest.mark.parametrize("changed", ["features", "canvas", "error"])
def test_it_reads_features_canvas_and_error(changed):
    gate, features, state, error = gate_and_inputs()
    gate(features, state, error)
    gate.gates.kernel.assign(tf.random.stateless_normal(gate.gates.kernel.shape, [1, 2]))
    before = gate(features, state, error)["h1"] / state["h1"]
    others = {"features": features + 1, "canvas": state["canvas"] * 3, "error": error + 40}
    given = {"features": features, "canvas": state["canvas"], "error": error} | {changed: others[changed]}
    after = gate(given["features"], {**state, "canvas": given["canvas"]}, given["error"])["h1"] / state["h1"]
    assert np.abs(before - after).max() > 1e-3
    assert np.min(after) > 0 and np.max(after) < 1


def test_a_new_gate_changes_nothing_against_a_scale_of_a_quarter():
    plain, gated = network_of(QUARTER), network_of(GATED)
    for name, cell in enumerate(gated.cells):
        cell.set_weights(plain.cells[name].get_weights())
    gated.backbone.set_weights(plain.backbone.get_weights())
    gated.projection.set_weights(plain.projection.get_weights())
    streams = [Predictor(network, INFO).stream(iters=1, with_confidence=True) for network in (plain, gated)]
    for shift in range(4):
        frame = texture(48, 64, across=2 * shift).astype(np.uint8)
        one, other = (stream.next(frame) for stream in streams)
        assert one.reset == other.reset == ("first frame" if not shift else "")
        np.testing.assert_allclose(one.confidence, other.confidence, atol=1e-4)


def test_the_error_of_the_motion_goes_to_the_gate():
    state = {"canvas": np.ones((1, 6, 8, 3), np.float32)}
    error = np.full((48, 64), 8.0, np.float32)
    error[:, 32:] = 24.0
    moved = in_use.Motion(np.zeros((48, 64, 2), np.float32), error)
    start = in_use.Carrier(moved, dataclasses.replace(GATED, trust_scale=0.0)).start(state)
    assert start["error"].shape == (1, 6, 8, 1)
    np.testing.assert_allclose(start["error"][0, :, :4], 8.0)
    np.testing.assert_allclose(start["error"][0, :, 4:], 24.0)
    np.testing.assert_allclose(start["canvas"], 1.0)
    assert "error" not in in_use.Carrier(moved, QUARTER).start(state)


def test_training_the_gate_alone_leaves_all_else_as_it_is():
    network = network_of(GATED, seeding=ALONE)
    assert {"state_gate" in variable.name for variable in network.trainable_variables} == {True}
    before = [variable.numpy() for variable in network.variables]
    with tf.GradientTape() as tape:
        outputs = rnn.training_outputs(network, {"image": images()}, tf.constant([0, 1]))
        loss = tf.reduce_sum(outputs["semantic_logits"] ** 2)
    gradients = tape.gradient(loss, network.trainable_variables)
    assert np.abs(gradients[-1]).max() > 0  # of the gates' bias
    for old, variable in zip(before, network.variables, strict=True):
        np.testing.assert_array_equal(old, variable)  # nor did moving statistics change


def test_a_real_pair_of_frames_brings_the_error_of_its_motion():
    network = network_of(
        GATED, seeding=dataclasses.replace(ALONE, drop=0.0, other_rate=0.0, noise_rate=0.0, wrong_rate=0.0)
    )
    network.state_gate.gates.kernel.assign(tf.random.stateless_normal(network.state_gate.gates.kernel.shape, [1, 2]))
    batch = {
        "image": images(),
        "previous_images": images()[:, tf.newaxis],
        "has_previous": tf.constant([[True], [False]]),
        "motion_offset": tf.zeros([2, 1, 6, 8, 2]),
    }
    results = [
        rnn.training_outputs(network, batch | {"motion_error": tf.fill([2, 1, 6, 8], error)}, tf.constant([3, 1]))
        for error in (0.0, 6.0)
    ]
    first, second = (one["semantic_logits"] for one in results)
    assert np.abs(first[0] - second[0]).max() > 1e-4
    np.testing.assert_allclose(first[1], second[1], atol=1e-6)  # that frame before is a made one


def test_its_cost_is_counted_where_a_frame_starts_from_the_one_before():
    """By hand, for 6x8 positions: 1x1 of 4 * 8 channels to 16; 3x3 of 16 + 3 + 1 to 32; 1x1 to 33."""
    gated, plain = (
        flops.gmacs(flops.count(flops.trace(network_of(carry), (48, 64), 1, from_zeros=True)))
        for carry in (GATED, QUARTER)
    )
    channels = 3 + 2 * (8 + 4 + 3)
    by_hand = 6 * 8 * (4 * 8 * 16 + 9 * 20 * 32 + 32 * channels)
    assert round(1e9 * (gated - plain)) == by_hand


def test_a_gate_that_is_not_there_cannot_be_trained():
    with pytest.raises(InputError, match="there is no gate to train"):
        RNNConfig(tiny(), seeding=ALONE).check(DataConfig())
