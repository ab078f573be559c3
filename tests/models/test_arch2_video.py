"""arch2 on videos: the first frame is arch2's, further ones are the cell's, and only the cell learns."""

import dataclasses
import hashlib

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.random_weights import images, randomize
from tests.inference.test_motion import texture
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.config import TrainingConfig
from tfseg.errors import InputError
from tfseg.inference.predictor import Predictor
from tfseg.labels import DatasetInfo
from tfseg.layers.resize import resize_bilinear
from tfseg.models import arch2_video, clips
from tfseg.models.arch2 import Arch2, Arch2Config
from tfseg.models.arch2_video import Arch2VideoConfig
from tfseg.models.cells.genotype import CELLS
from tfseg.models.segmenter import CarryConfig
from tfseg.runs.run_directory import assign_weights, save_weights
from tfseg.training import schedule
from tfseg.training.averaging import WeightAverage
from tfseg.training.trainer import Trainer

# Reads the decoded map and layer4 of the frame before, and all three maps of this one.
GENOTYPE = "1 2 5 0 1  0 3 1 4 0  5 4 4 2 5  6 1 4 4 1"
CONFIG = Arch2VideoConfig(tiny(32), width=4, genotype=GENOTYPE)
INFO = DatasetInfo("toy", ("a", "b", "c"), ((0, 0, 0), (1, 1, 1), (2, 2, 2)))
SEED = tf.constant([0, 0])


def network_of(**fields):
    network = architectures.build(dataclasses.replace(CONFIG, **fields), num_classes=3)
    randomize(network)
    return network


@pytest.fixture(scope="module")
def built():
    network = network_of()
    return network, [weight.numpy() for weight in network.weights]


@pytest.fixture
def network(built):
    """One network for all tests, each time with the same random weights."""
    network, values = built
    for weight, value in zip(network.weights, values, strict=True):
        weight.assign(value)
    return network


@pytest.fixture(scope="module")
def arch2():
    network = architectures.build(Arch2Config(tiny(32), width=4, auxiliary_weight=0.0), num_classes=3)
    randomize(network, seed=1)
    return network


def clip(count=2, with_frames_before=False):
    """A batch of labelled images, perhaps with two real frames before each of them, the second one labelled."""
    batch = {
        "image": tf.constant(np.stack([texture(64, 64, across=40 * index) for index in range(count)]), tf.float32),
        "label": tf.random.stateless_uniform([count, 64, 64], SEED, 0, 3, tf.int32),
    }
    if with_frames_before:
        batch["previous_images"] = tf.stack([batch["image"] * 0.9, batch["image"] * 0.95], 1)
        batch["has_previous"] = tf.ones([count, 2], tf.bool)
        batch["previous_labels"] = 2 - batch["label"][:, tf.newaxis]
        batch["motion_offset"] = tf.zeros([count, 2, 16, 16, 2])
        batch["motion_error"] = tf.zeros([count, 2, 16, 16])
    return batch


def losses(batch, outputs, config=CONFIG):
    row = architectures.architecture_of(config)
    return row.losses(batch, outputs, config, upsample=resize_bilinear, ignore_label=255, class_weights=None)


def hashes(layers):
    """{name: digest} of all weights, moving statistics included."""
    return {
        weight.name: hashlib.sha256(weight.numpy().tobytes()).hexdigest()
        for layer in layers
        for weight in layer.weights
    }


def static_layers(network):
    return Arch2.exported_layers(network)


def trained(network, steps=2):
    """Trains with the Trainer on one clip."""
    trainer = Trainer(network, arch2_video.training_outputs, losses, WeightAverage(network, 0.0))
    config = TrainingConfig(optimizer="adamw", learning_rate=0.01, total_steps=100)
    trainer.compile(optimizer=schedule.build_optimizer(config, "off"))
    trainer.optimizer.build(network.trainable_variables)
    return [trainer.train_step(clip(with_frames_before=True)) for _ in range(steps)]


def gradients_of_the_last_frame(network):
    with tf.GradientTape() as tape:
        outputs = arch2_video.training_outputs(network, clip(), SEED)
        loss = tf.reduce_sum(outputs["semantic_logits"] ** 2)
    return tape.gradient(loss, network.trainable_variables)


def load(network, other, folder):
    """Starts a network from another's weights as a training does."""
    save_weights(folder / "weights.npz", other)
    lines = assign_weights(network, folder / "weights.npz", skip_mismatched=True)
    network.weights_were_loaded({line.split(":")[0] for line in lines})


def test_the_first_frame_is_arch2s_bit_for_bit(network, arch2, tmp_path):
    load(network, arch2, tmp_path)
    image = images(50, 37)
    expected = arch2(image)["semantic_logits"]
    np.testing.assert_array_equal(network.refine(network.encode(image))["canvas"], expected)
    np.testing.assert_array_equal(network(image)["semantic_logits"], expected)


def test_a_further_frame_is_the_cells_and_leaves_its_own_features(network):
    before, now = (network.encode(scale * images(50, 37)) for scale in (0.8, 1.0))
    state = network.refine(before)
    following = network.refine(now, state)
    maps = state["layer4"], state["dec"], now["layer2"], now["layer3"], now["layer4"]
    np.testing.assert_array_equal(following["dec"], network.cell(maps, (7, 5)))
    np.testing.assert_array_equal(following["canvas"], network.cell_classifier(following["dec"]))
    np.testing.assert_array_equal(following["layer4"], now["layer4"])


@pytest.mark.parametrize(("name", "is_read"), [("canvas", False), ("dec", True), ("layer4", True)])
def test_what_of_the_state_the_next_frame_reads(network, name, is_read):
    features = network.encode(images(50, 37))
    state = network.refine(features)
    changed = state | {name: state[name] + 1}
    difference = np.abs(network.refine(features, state)["canvas"] - network.refine(features, changed)["canvas"])
    assert (difference.max() > 1e-3) == is_read


def test_the_state_has_the_shapes_that_it_says(network):
    features = network.encode(images(50, 37))
    state, zeros, specs = network.refine(features), network.initial_state(features), network.state_spec()
    assert list(state) == list(zeros) == list(specs) == ["canvas", "dec", "layer4"]
    assert all(specs[name].is_compatible_with(state[name]) for name in specs)
    assert all(state[name].shape == zeros[name].shape and not zeros[name].numpy().any() for name in specs)


def test_a_size_that_is_known_only_at_run_time_gives_the_same(network):
    def two_frames(image):
        features = network.encode(image)
        return network.refine(features, network.refine(features))["canvas"]

    traced = tf.function(two_frames).get_concrete_function(tf.TensorSpec([1, None, None, 3]))
    np.testing.assert_allclose(traced(images(50, 37)), two_frames(images(50, 37)), atol=1e-4)


def test_a_frame_of_another_size_starts_afresh(network):
    predictor = Predictor(network, INFO)
    stream = predictor.stream()
    small, large = texture(40, 80), texture(64, 96)
    found = [stream.next(frame) for frame in (small, small, large, large, small)]
    assert [one.reset for one in found] == ["first frame", "", "frame size", "", "frame size"]
    for index, frame in ((0, small), (2, large), (4, small)):
        np.testing.assert_array_equal(found[index].class_ids, predictor.predict(frame).class_ids)
    # The frame after it comes from that one alone.
    alone = predictor.stream()
    np.testing.assert_array_equal([alone.next(large) for _ in range(2)][1].class_ids, found[3].class_ids)


def test_training_changes_the_cell_alone(network):
    own = [network.cell, network.cell_classifier]
    static, cell = hashes(static_layers(network)), hashes(own)
    steps = trained(network)
    assert all(float(step["is_finite"]) == 1 for step in steps) and float(steps[0]["loss"]) != float(steps[1]["loss"])
    assert hashes(static_layers(network)) == static
    assert not {name for name, digest in hashes(own).items() if cell[name] == digest}  # moving statistics, too
    assert {variable.ref() for variable in network.trainable_variables} == {
        variable.ref() for layer in own for variable in layer.trainable_variables
    }


def test_trained_as_a_whole_arch2_learns_too_but_keeps_its_statistics():
    """Its classifier does not: the first frame has no loss, and the others have a classifier of their own."""
    network = network_of(trains_static=True)
    before = hashes(static_layers(network))
    assert all(float(step["is_finite"]) == 1 for step in trained(network, steps=1))
    after = hashes(static_layers(network))
    changed = {name.split("/")[1] for name in before if after[name] != before[name]}
    assert changed == {layer.name for layer in static_layers(network)} - {network.classifier.name}
    assert all(after[name] == digest for name, digest in before.items() if "moving_" in name)


def test_what_a_training_treats_as_the_backbone_is_all_of_arch2(network, arch2):
    of_backbone = {weight.ref() for layer in network.backbone_layers() for weight in layer.weights}
    own = {weight.ref() for layer in (network.cell, network.cell_classifier) for weight in layer.weights}
    assert of_backbone == {weight.ref() for weight in network.weights} - own
    assert arch2.backbone_layers() == [arch2.backbone]


def test_the_losses_are_those_of_all_frames_but_the_first(network):
    batch = clip(with_frames_before=True)
    outputs = arch2_video.training_outputs(network, batch, SEED)
    assert len(outputs["earlier_logits"]) == 1
    terms = losses(batch, outputs)
    assert list(terms) == ["cross_entropy", "cross_entropy_frame_2"]
    assert all(weight == 1 and total == 2 * 64 * 64 for weight, _, total in terms.values())
    # The second frame's loss reads the second frame's label: with that of the third, it is another one.
    other = losses(batch | {"previous_labels": batch["label"][:, tf.newaxis]}, outputs)
    assert float(other["cross_entropy"][1]) == float(terms["cross_entropy"][1])
    assert float(other["cross_entropy_frame_2"][1]) != float(terms["cross_entropy_frame_2"][1])


def test_a_clip_of_real_frames_by_hand(network):
    batch = clip(with_frames_before=True)
    first, second = (network.encode(batch["previous_images"][:, index]) for index in range(2))
    state = network.refine(second, network.refine(first), training=True)
    last = network.refine(network.encode(batch["image"]), state, training=True)
    outputs = arch2_video.training_outputs(network, batch, SEED)
    np.testing.assert_allclose(outputs["earlier_logits"][0], state["canvas"], atol=1e-4)
    np.testing.assert_allclose(outputs["semantic_logits"], last["canvas"], atol=1e-4)


@pytest.mark.parametrize(("frames", "goes_through"), [(3, True), (2, False)])
def test_the_last_frames_loss_reaches_the_cell_through_the_frame_before(network, monkeypatch, frames, goes_through):
    """Of three frames, the cell made the second one's state. Of two, arch2 made it, which does not learn."""
    monkeypatch.setattr(network, "config", dataclasses.replace(CONFIG, frames=frames))
    whole = gradients_of_the_last_frame(network)
    carried = clips.carried

    def cut(*arguments):
        return {name: tf.stop_gradient(one) for name, one in carried(*arguments).items()}

    monkeypatch.setattr(clips, "carried", cut)
    difference = max(
        float(tf.norm(one - other) / tf.norm(other))
        for one, other in zip(whole, gradients_of_the_last_frame(network), strict=True)
    )
    assert difference > 1e-2 if goes_through else difference < 1e-4


def test_the_cells_classifier_starts_as_arch2s(network, arch2, tmp_path):
    cell = hashes([network.cell])
    load(network, arch2, tmp_path)
    for layer in (network.classifier, network.cell_classifier):
        for ours, theirs in zip(layer.get_weights(), arch2.classifier.get_weights(), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert hashes([network.cell]) == cell


def test_a_classifier_that_was_loaded_stays(network, tmp_path):
    before = hashes([network])
    load(network, network, tmp_path)
    assert hashes([network]) == before


def test_a_shared_classifier_classifies_both(network, arch2, tmp_path):
    shared = network_of(share_classifier=True)
    assert network.count_params() - shared.count_params() == 9 * 4 * 3 + 3
    layers = shared.exported_layers()
    assert len({id(layer) for layer in layers}) == len(layers) == len(network.exported_layers()) - 1
    load(shared, arch2, tmp_path)
    np.testing.assert_array_equal(shared.classifier.kernel, arch2.classifier.kernel)
    features = shared.encode(images(50, 37))
    state = shared.refine(features, shared.refine(features))
    np.testing.assert_array_equal(state["canvas"], shared.classifier(state["dec"]))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"genotype": "cell9"}, "neither numbers nor one of cell0_like"),
        ({"genotype": "9 0 0 0 0"}, "names place 9; 0 to 4"),
        ({"frames": 1}, "frames is 1; at least 2"),
        ({"sep_repeats": 0}, "sep_repeats is 0"),
        ({"predictive": "none"}, "predictive is one of local, global, not 'none'"),
        ({"zoom": 0.5}, "zoom 0.5 and shift 0.03 must be in"),
        ({"shift": -0.1}, "shift -0.1 must be in"),
        ({"shift": float("nan")}, "shift nan must be in"),
        ({"auxiliary_weight": 0.3}, "auxiliary_weight does nothing here"),
        ({"carry": CarryConfig(iterations=2)}, "a dynamic cell runs once a frame"),
        ({"carry": CarryConfig(iterations=1, with_memory=False)}, "reads all that the frame before left"),
        ({"carry": CarryConfig(iterations=1, has_gate=True)}, "a dynamic cell has no gate"),
        ({"width": 0}, "width is 0"),
    ],
)
def test_values_that_cannot_be_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(CONFIG, **fields)


@pytest.mark.parametrize("name", CELLS)
def test_every_named_cell_is_a_config(name):
    assert str(dataclasses.replace(CONFIG, genotype=name).genotype) == name
