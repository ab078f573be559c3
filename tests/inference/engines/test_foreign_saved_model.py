"""A SavedModel of another program is used if it takes one image and gives one map of classes."""

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorflow import keras

from tests.fake_network import blocks
from tfseg.errors import InputError
from tfseg.inference.predictor import Predictor

SIZE = (16, 24)
CLASS_IDS = np.random.default_rng(0).integers(0, 3, [4, 6])
IMAGE = blocks(CLASS_IDS)  # class 0 is red, 1 green, 2 blue


def network(size=(None, None), activation=None, outputs=1, channels=3):
    """A Keras model whose logits are the colours of 2x2 pixels, in steps of 1/32."""
    image = keras.Input([*size, 3])
    colors = keras.layers.AveragePooling2D(2)(image)
    kernel = tf.constant(np.eye(3, channels)[np.newaxis, np.newaxis] / 32, tf.float32)
    layer = keras.layers.Conv2D(channels, 1, activation=activation, use_bias=False)
    maps = [layer(colors) if not number else keras.layers.ReLU()(colors) for number in range(outputs)]
    layer.set_weights([kernel.numpy()])
    return keras.Model(image, maps[0] if outputs == 1 else maps)


def save(path, run, spec):
    """A SavedModel of `run(image)`."""
    module = tf.Module()
    module.run = tf.function(run, input_signature=[spec])
    tf.saved_model.save(module, str(path), {"serving_default": module.run.get_concrete_function()})
    return path


def load(path, **options):
    return Predictor.load(path, trust=True, **options)


def grid(class_ids):
    return class_ids[2::4, 2::4]


@pytest.mark.parametrize("form", ["save", "export"])
@pytest.mark.parametrize("size", [(None, None), SIZE])
def test_a_keras_model_is_used_as_it_is_saved(tmp_path, form, size):
    model = network(size)
    getattr(model, form)(str(tmp_path / "model"))
    predictor = load(tmp_path / "model", mean=0, std=1)
    assert predictor.size == (None if None in size else SIZE)
    assert (predictor.max_iterations, predictor.is_recurrent, predictor.serve) == (1, False, None)
    assert predictor.info.class_names == ("class_0", "class_1", "class_2")
    prediction = predictor.predict(IMAGE, with_confidence=True)
    np.testing.assert_array_equal(grid(prediction.class_ids), CLASS_IDS)
    large = IMAGE.repeat(3, 0).repeat(3, 1)
    np.testing.assert_array_equal(predictor.predict(large).class_ids[6::12, 6::12], CLASS_IDS)


def test_images_are_normalised_as_the_caller_says(tmp_path):
    network().save(tmp_path / "model")
    plain = load(tmp_path / "model", mean=0, std=1).predict(IMAGE).class_ids
    moved = load(tmp_path / "model", mean=[300, 0, -300], std=1).predict(IMAGE).class_ids
    assert (grid(moved) == 2).all()  # blue gains 300
    scaled = load(tmp_path / "model", mean=127.5, std=[1, 1, 1]).predict(IMAGE).class_ids
    np.testing.assert_array_equal(plain, scaled)


def test_probabilities_and_logits_give_the_same_confidence(tmp_path):
    found = {}
    for activation in (None, "softmax"):
        network(activation=activation).save(tmp_path / str(activation))
        predictor = load(tmp_path / str(activation), mean=0, std=1)
        found[activation] = predictor.predict(IMAGE, with_confidence=True)
    np.testing.assert_array_equal(found[None].class_ids, found["softmax"].class_ids)
    middles = [prediction.confidence[2::4, 2::4] for prediction in found.values()]
    np.testing.assert_allclose(*middles, atol=1e-3)


def test_a_model_of_whole_numbers_takes_the_image_itself(tmp_path):
    path = save(
        tmp_path / "1", lambda image: {"map": tf.cast(image, tf.float32)}, tf.TensorSpec([1, *SIZE, 3], tf.uint8)
    )
    np.testing.assert_array_equal(grid(load(path).predict(IMAGE).class_ids), CLASS_IDS)
    with pytest.raises(InputError, match="--mean and --std do not apply to .*1: it takes uint8 images as they are"):
        load(path, mean=0, std=1)


def test_the_command_runs_a_keras_model(command):
    network().save(command.folder / "keras_model")
    Image.fromarray(IMAGE).save(command.folder / "photo.png")
    words = ["segment.py", "--model=keras_model", "photo.png"]
    assert "keras_model: not made on this machine" in command(*words)["err"]
    done = command(*words, "--trust")
    assert (done["code"], len(done["err"].splitlines())) == (2, 1)
    assert (
        "keras_model: not made by tfseg, and takes float32 images; say how they are normalised: --mean" in done["err"]
    )
    done = command(*words, "--trust", "--mean=0", "--std=1")
    assert done["code"] == 0, done["err"]
    class_ids = np.asarray(Image.open(command.folder / "segmented" / "photo_classes.png"))
    np.testing.assert_array_equal(grid(class_ids), CLASS_IDS)


IMAGES = tf.TensorSpec([None, None, None, 3])


@pytest.mark.parametrize(
    "run,message",
    [
        (lambda image: {"a": image, "b": image}, "the outputs are a, b; wanted is one, float"),
        (lambda image: {"a": image[..., :1]}, r"the output is a, float32 \(None, None, None, 1\); wanted is one"),
        (lambda image: {"a": tf.argmax(image, -1)}, r"the output is a, int64 \(None, None, None\); wanted is one"),
        (lambda image: {"a": tf.reduce_mean(image, [1, 2])}, r"the output is a, float32 \(None, 3\); wanted is one"),
    ],
)
def test_other_outputs_are_refused_with_what_is_wanted(tmp_path, run, message):
    with pytest.raises(InputError, match=f"model: not made by tfseg; of serving_default {message}") as caught:
        load(save(tmp_path / "model", run, IMAGES), mean=0, std=1)
    assert len(str(caught.value).replace(str(tmp_path), "")) < 300


@pytest.mark.parametrize(
    "run,message",
    [
        # Channels before rows, which looks like 24 classes.
        (
            lambda image: {"a": tf.transpose(tf.ensure_shape(image, [1, *SIZE, 3]), [0, 3, 1, 2])},
            r"gives \[1, 3, 16, 24\] for an image of 16x24",
        ),
        (lambda image: {"a": tf.tile(image, [2, 1, 1, 1])}, r"gives \[2, 16, 24, 3\] for an image of 16x24"),
        (lambda image: {"a": image / 0}, "numbers that are not finite"),
        (lambda image: {"a": tf.reshape(image, [1, 7, -1, 3])}, r"serving_default at 16x24: .+"),
    ],
)
def test_answers_that_are_no_map_of_the_image_are_refused(tmp_path, run, message):
    predictor = load(save(tmp_path / "model", run, IMAGES), mean=0, std=1)
    with pytest.raises(InputError, match=message) as caught:
        predictor.predict(IMAGE)
    assert str(tmp_path) in str(caught.value) and len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("mean,std", [(0, 0), ([1, 2], 1), (float("nan"), 1), (0, [1, 1, -1])])
def test_a_normalisation_that_cannot_be_is_refused(tmp_path, mean, std):
    path = save(tmp_path / "model", lambda image: {"a": image}, IMAGES)
    with pytest.raises(InputError, match="wanted are one number or three each, std above 0"):
        load(path, mean=mean, std=std)
