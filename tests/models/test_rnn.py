"""The recurrent segmenter: one function, however it is computed and wherever it is stopped."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.tiny_backbone import tiny
from tfseg.config import DataConfig
from tfseg.errors import InputError
from tfseg.models.rnn import RNNConfig, RNNSegmenter, training_outputs

NUM_CLASSES = 5


def toy_model(**fields):
    keras.utils.set_random_seed(3)
    backbone = tiny()
    model = RNNSegmenter(RNNConfig(**{"backbone": backbone, "iterations": 3, "widths": (8, 6)} | fields), NUM_CLASSES)
    model(tf.zeros([1, 32, 32, 3]))
    for variable in model.trainable_variables:
        if "bias" in variable.name:
            variable.assign(tf.random.normal(variable.shape))
    return model


@pytest.fixture(scope="module")
def model():
    return toy_model()


@pytest.fixture(scope="module")
def images():
    return tf.constant(np.random.default_rng(0).uniform(0, 255, [2, 64, 48, 3]), tf.float32)


def test_canvas_has_one_value_per_class_at_the_models_stride(model, images):
    outputs = model(images)
    assert outputs["semantic_logits"].shape == (2, 4, 3, NUM_CLASSES)
    assert [canvas.shape for canvas in outputs["canvases"]] == [(2, 4, 3, NUM_CLASSES)] * 3


@pytest.mark.parametrize("fields", [{}, {"canvas_stride": 8, "feature_strides": (4, 8)}, {"kernel_size": 3}])
def test_hoisted_recurrence_equals_the_plain_one(images, fields):
    hoisted, plain = toy_model(**fields), toy_model(**fields, hoist=False)
    plain.set_weights(hoisted.get_weights())
    for ours, theirs in zip(hoisted(images)["canvases"], plain(images)["canvases"], strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_recurrence_equals_stacked_keras_convlstm2d_fed_with_features_and_canvas(model, images):
    """Independent of our cells: three ConvLSTM2D step over [features, canvas] as the paper draws it."""
    features = model.backbone(images)["last"]
    widths = (8, 6, NUM_CLASSES)
    oracles = [keras.layers.ConvLSTM2D(width, 1, recurrent_activation="sigmoid", return_state=True) for width in widths]
    canvas, states = tf.zeros([2, 4, 3, NUM_CLASSES]), [None] * 3
    for iteration in range(3):
        value = tf.concat([features, canvas], -1)
        for layer, (cell, oracle) in enumerate(zip(model.cells, oracles, strict=True)):
            if not oracle.built:
                oracle.build([None, 1, *value.shape[1:]])
                kernel, changing = np.concatenate(cell.kernel.numpy(), -1), cell.input_channels
                inputs = [kernel[:, :, :changing]]
                if layer == 0:
                    inputs = [model.projection.kernels[0].numpy(), *inputs]
                forget = np.repeat([0.0, 1.0, 0.0, 0.0], cell.filters)
                bias = cell.bias.numpy().ravel() + forget
                oracle.set_weights([np.concatenate(inputs, 2), kernel[:, :, changing:], bias])
            value, *states[layer] = oracle(value[:, tf.newaxis], initial_state=states[layer])
        canvas += value
        np.testing.assert_allclose(model(images)["canvases"][iteration], canvas, atol=1e-5)


def test_two_then_three_iterations_equal_five(model, images):
    features = model.encode(images)
    state = None
    for _ in range(2):
        state = model.refine(features, state)
    kept = {name: value.numpy() for name, value in state.items()}
    for _ in range(3):
        kept = model.refine(features, {name: tf.constant(value) for name, value in kept.items()})
    np.testing.assert_allclose(kept["canvas"], model(images, iterations=5)["semantic_logits"], atol=1e-6)


def test_an_explicit_zero_state_equals_none(model, images):
    features = model.encode(images)
    skipped, computed = model.refine(features, None), model.refine(features, model.initial_state(features))
    assert skipped.keys() == computed.keys() == model.initial_state(features).keys()
    for name in skipped:
        np.testing.assert_allclose(skipped[name], computed[name], atol=1e-6)


def test_a_canvas_does_not_depend_on_how_many_follow(model, images):
    few, many = model(images, iterations=2)["canvases"], model(images, iterations=6)["canvases"]
    for early, same in zip(few, many, strict=False):
        np.testing.assert_array_equal(early, same)


@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_iterations_as_a_tensor_equal_the_unrolled_number(model, images, iterations):
    run = tf.function(lambda n: model(images, iterations=n)["semantic_logits"])
    expected = model(images, iterations=iterations)["semantic_logits"]
    np.testing.assert_allclose(run(tf.constant(iterations)), expected, atol=1e-5)


def test_a_seeded_canvas_moves_the_result(model, images):
    features = model.encode(images)
    seeded = model.initial_state(features) | {"canvas": tf.ones([2, 4, 3, NUM_CLASSES])}
    assert np.abs(model.refine(features, seeded)["canvas"] - model.refine(features)["canvas"]).max() > 0.1


def test_half_precision_keeps_canvas_state_and_logits_in_float32(images):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        model = toy_model()
        assert model.backbone(images)["last"].dtype == tf.bfloat16
        state = model.refine(model.encode(images))
        assert {name: value.dtype for name, value in state.items()} == dict.fromkeys(state, tf.float32)
        outputs = model(images)
        assert {canvas.dtype for canvas in [outputs["semantic_logits"], *outputs["canvases"]]} == {tf.float32}
    finally:
        keras.mixed_precision.set_global_policy("float32")


def test_gradients_reach_every_weight():
    model = toy_model(canvas_stride=8, feature_strides=(4, 8))
    images = tf.random.uniform([1, 32, 32, 3], 0, 255)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(tf.square(model(images, training=True)["semantic_logits"]))
    gradients = tape.gradient(loss, model.trainable_variables)
    dead = [v.name for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None]
    assert dead == []


def test_drawn_iterations_stay_in_their_range_and_follow_the_seed():
    model = toy_model(iterations_range=(2, 4))
    images = tf.random.uniform([1, 32, 32, 3], 0, 255)
    drawn = tf.function(lambda seed: training_outputs(model, {"image": images}, seed)["semantic_logits"])
    # Batch statistics make canvases of training differ from those of inference: compare in training mode.
    canvases = [model(images, training=True, iterations=n)["semantic_logits"].numpy() for n in range(1, 6)]
    counts = set()
    for step in range(12):
        canvas = drawn(tf.constant([0, step])).numpy()
        counts.add(int(np.argmin([np.abs(canvas - other).max() for other in canvases])) + 1)
        np.testing.assert_allclose(canvas, drawn(tf.constant([0, step])).numpy(), atol=1e-6)
    assert counts == {2, 3, 4}


@pytest.mark.parametrize("height,width", [(1, 1), (33, 17), (47, 65)])
def test_any_image_size_gives_a_canvas_that_covers_it(height, width):
    model = toy_model(canvas_stride=8, feature_strides=(4, 8))
    canvas = model(tf.zeros([1, height, width, 3]))["semantic_logits"]
    assert canvas.shape[1:3] == (-(-height // 8), -(-width // 8))


def test_default_widths_are_the_papers():
    assert RNNConfig().widths == (512, 256)


@pytest.mark.parametrize(
    "fields", [{"iterations": 0}, {"iterations_range": (4, 2)}, {"iterations_range": (0, 2)}, {"loss_at": ((9, 1.0),)}]
)
def test_impossible_iterations_are_refused(fields):
    with pytest.raises(InputError):
        RNNConfig(**fields)


@pytest.mark.parametrize("iterations", [2, 9])
def test_a_number_of_iterations_that_training_never_runs_is_refused_before_training(iterations):
    config = RNNConfig(tiny(), iterations=iterations, iterations_range=(3, 8))
    with pytest.raises(InputError, match=f"--iters={iterations} lies outside 3:8, .* or --iters_range=off"):
        config.check(DataConfig())


def test_a_feature_stride_the_backbone_lacks_is_refused():
    with pytest.raises(InputError, match="feature_strides names 64"):
        toy_model(feature_strides=(64,))
