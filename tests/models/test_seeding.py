"""Training from states: kinds of seeds are drawn, real frames are used, gradients flow where they should."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.inference.test_motion import texture
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.config import DataConfig
from tfseg.errors import InputError
from tfseg.models import rnn, seeding
from tfseg.models.fcn import FCNConfig
from tfseg.models.rnn import RNNConfig
from tfseg.models.seeding import SeedingConfig
from tfseg.models.segmenter import CarryConfig

SURE = SeedingConfig(rate=1.0, drop=0.0, other_rate=0.0, noise_rate=0.0, wrong_rate=0.0)


def network_of(config, **fields):
    return architectures.build(
        RNNConfig(tiny(), iterations=3, widths=(8, 4), canvas_stride=8, seeding=config, **fields), num_classes=3
    )


def freeze_normalisation(network):
    """The frames before are normalised by moving statistics, which a step of training changes."""
    for layer in network.submodules:
        if hasattr(layer, "moving_mean"):
            layer.trainable = False


def images(count=3):
    return tf.constant(np.stack([texture(48, 64, across=40 * index) for index in range(count)]), tf.float32)


def outputs(network, seed=0):
    return rnn.training_outputs(network, {"image": images()}, tf.constant([seed, seed]))["semantic_logits"]


def test_a_still_clip_is_the_networks_own_second_frame():
    still = dataclasses.replace(SURE, zoom=0.0, shift=0.0, iterations=(2, 2))
    network = network_of(still, carry=CarryConfig(scale=0.5))
    freeze_normalisation(network)
    features = network.encode(images(), training=True)
    state = network.refine_for(features, tf.constant(3))
    by_hand = network.refine_for(features, tf.constant(2), {name: 0.5 * maps for name, maps in state.items()})
    np.testing.assert_allclose(outputs(network), by_hand["canvas"], atol=1e-5)


def test_steps_are_seeded_at_the_rate():
    kinds = [seeding._draw_kinds(tf.constant([5, step]), dataclasses.replace(SURE, rate=0.25)) for step in range(400)]
    assert 0.18 < np.mean([kind[0] for kind in kinds]) < 0.32


def test_of_the_seeded_steps_some_have_another_state():
    """Another image's, a noisy one, or one with wrong classes; never two of these at once."""
    config = dataclasses.replace(SURE, other_rate=0.3, noise_rate=0.2, wrong_rate=0.1)
    drawn = [seeding._draw_kinds(tf.constant([6, step]), config)[1] for step in range(400)]
    kinds = np.array([[one[name] for name in seeding.KINDS] for one in drawn])
    np.testing.assert_allclose(kinds.mean(0), [0.3, 0.2, 0.1], atol=0.06)
    assert (kinds.sum(1) <= 1).all()


def test_a_wrong_canvas_shows_every_class_as_another_and_nothing_else_is_carried():
    canvas = tf.random.stateless_normal([2, 4, 5, 3], [0, 0])
    kinds = {name: tf.constant(name == "wrong_rate") for name in seeding.KINDS}
    found = seeding._disturbed({"canvas": canvas, "h1": tf.ones([2, 4, 5, 7])}, tf.constant([1, 2]), SURE, kinds)
    assert not found["h1"].numpy().any()
    shifts = [shift for shift in (1, 2) if np.array_equal(found["canvas"], np.roll(canvas, shift, -1))]
    assert len(shifts) == 1
    assert (np.argmax(found["canvas"], -1) != np.argmax(canvas, -1)).all()


def test_a_step_that_is_not_seeded_starts_from_zero():
    network = network_of(dataclasses.replace(SURE, rate=1e-9))
    disturbed = network_of(dataclasses.replace(SURE, rate=1e-9, drop=1.0, zoom=0.0, shift=0.0))
    disturbed.set_weights(network.get_weights())
    still = network_of(dataclasses.replace(SURE, rate=1e-9, zoom=0.0, shift=0.0))
    still.set_weights(network.get_weights())
    freeze_normalisation(still)
    freeze_normalisation(disturbed)
    features = still.encode(images(), training=True)
    np.testing.assert_allclose(outputs(still), still.refine_for(features, tf.constant(3))["canvas"], atol=1e-5)
    np.testing.assert_allclose(outputs(disturbed), outputs(still), atol=1e-5)


@pytest.mark.parametrize("frames", [2, 3])
def test_a_real_frame_before_takes_the_place_of_a_made_one(frames):
    """The first image of the batch has a real frame before it, the second one has none."""
    network = network_of(dataclasses.replace(SURE, frames=frames, zoom=0.0, shift=0.0, iterations=(1, 1)))
    freeze_normalisation(network)
    size = [2, 6, 8]
    batch = {
        "image": images(2),
        "previous_images": images(2)[:, tf.newaxis] + 60.0,
        "has_previous": tf.constant([[True], [False]]),
        "motion_offset": tf.zeros([2, 1, *size[1:], 2]),
        "motion_error": tf.fill([2, 1, *size[1:]], 8.0),
    }
    seed = tf.constant([0, 0])
    with_real = rnn.training_outputs(network, batch, seed)["semantic_logits"]
    without = rnn.training_outputs(network, {"image": batch["image"]}, seed)["semantic_logits"]
    np.testing.assert_allclose(with_real[1], without[1], atol=1e-5)
    assert np.abs(with_real[0] - without[0]).max() > 1e-4
    # By hand: nothing moves, and an error of one trust scale keeps 1/e.
    state = None
    for index in range(frames - 1):
        features = network.encode(batch["previous_images"][:, -1], training=False)
        count = 3 if index == 0 else 1
        state = network.refine_for(features, tf.constant(count), carried(state, network))
    state = {name: np.exp(-1) * maps for name, maps in carried(state, network).items()}
    by_hand = network.refine_for(network.encode(batch["image"], training=True), tf.constant(1), state)
    np.testing.assert_allclose(with_real[0], by_hand["canvas"][0], atol=1e-5)


@pytest.mark.slow
def test_gradients_flow_through_real_frames_before_in_a_traced_step():
    """A traced step differentiates also what only one branch of a condition reads, such as the motion."""
    network = network_of(dataclasses.replace(SURE, frames=3, back_propagate=True))
    batch = {
        "image": images(2),
        "previous_images": images(2)[:, tf.newaxis] + 60.0,
        "has_previous": tf.constant([[True], [False]]),
        "motion_offset": tf.zeros([2, 1, 12, 16, 2]),
        "motion_error": tf.fill([2, 1, 12, 16], 8.0),
    }

    @tf.function
    def gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(rnn.training_outputs(network, batch, tf.constant([0, 0]))["semantic_logits"] ** 2)
        return tape.gradient(loss, network.trainable_variables)

    assert all(np.isfinite(one).all() and np.abs(one).max() > 0 for one in gradients())


def carried(state, network):
    return state and {name: network.config.carry.scale * maps for name, maps in state.items()}


def test_equal_seeds_give_equal_clips_and_others_do_not():
    network = network_of(SeedingConfig(rate=1.0))
    freeze_normalisation(network)
    np.testing.assert_array_equal(outputs(network, 1), outputs(network, 1))
    assert not np.array_equal(outputs(network, 1), outputs(network, 2))


@pytest.mark.parametrize("back_propagate", [True, False])
def test_gradients_flow_through_the_state_only_if_wanted(back_propagate):
    """Two frames, of which the second shows nothing: only the state can tell it of the first."""
    network = network_of(dataclasses.replace(SURE, back_propagate=back_propagate, zoom=0.0, shift=0.0))
    seen = []

    def encode(clip, training):
        features = {name: tf.Variable(maps) for name, maps in type(network).encode(network, clip, training).items()}
        seen.append(features)
        return {name: variable.value() for name, variable in features.items()}

    network.encode = encode
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(outputs(network) ** 2)
    gradients = tape.gradient(loss, [variable for features in seen for variable in features.values()])
    of_labelled, of_first = gradients[: len(gradients) // 2], gradients[len(gradients) // 2 :]
    assert all(np.abs(one).max() > 0 for one in of_labelled)
    assert any(one is not None and np.abs(one).max() > 0 for one in of_first) == back_propagate


def test_gradients_reach_every_weight():
    network = network_of(SURE)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(outputs(network) ** 2)
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(one is not None and np.isfinite(one.numpy()).all() for one in gradients)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate": 2}, "seeding.rate is 2"),
        ({"zoom": 0.1}, "seeding.zoom does nothing while seeding.rate is 0"),
        ({"frames": 5, "rate": 0.5}, "seeding.frames is 5"),
        ({"iterations": (2, 1), "rate": 0.5}, "seeding.iterations"),
        ({"zoom": 0.6, "rate": 0.5}, "seeding.zoom 0.6"),
        ({"other_rate": 0.6, "noise_rate": 0.6, "rate": 0.5}, "at most 1 together"),
    ],
)
def test_values_that_cannot_be_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        SeedingConfig(**fields)


def test_frames_before_need_a_training_that_reads_them():
    DataConfig(frame_gap=2).check()
    RNNConfig(tiny(), seeding=SURE).check(DataConfig(frame_gap=2))
    for config in (RNNConfig(tiny()), FCNConfig(tiny())):
        with pytest.raises(InputError, match="data.frame_gap does nothing unless"):
            config.check(DataConfig(frame_gap=2))


def test_clips_need_a_loss_on_the_last_canvas():
    config = RNNConfig(tiny(), seeding=SURE, loss_at=((1, 1.0),))
    with pytest.raises(InputError, match="a loss on the last canvas only"):
        config.check(DataConfig())
