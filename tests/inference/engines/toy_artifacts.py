"""A network whose answers are known by heart, and every artifact that can be made of it."""

import contextlib
import dataclasses
import io
import tempfile

import tensorflow as tf
from tensorflow import keras

from tests.fake_network import INFO, STRIDE
from tfseg.export.serving import service
from tfseg.formats import tflite_metadata
from tfseg.layers.resize import upsample
from tfseg.models.segmenter import CarryConfig, Segmenter

OFFSET = (1000.0, 0.0, 0.0)
DEFAULT, MOST = 3, 5


class ToyNetwork(Segmenter, keras.Model):
    """As `FakeNetwork`, but without state it says what it says of zeros, as exported networks do.

    Canvas after iteration n: n times the mean RGB of 4x4 pixels, and 1000 more of red in the first.
    """

    default_iterations = trained_iterations = DEFAULT
    num_classes, canvas_stride = 3, STRIDE
    carry = CarryConfig(iterations=1, scale=0.5)

    def __init__(self, is_recurrent=True, padding="same"):
        super().__init__(autocast=False)
        self.is_recurrent, self.padding = is_recurrent, padding
        self.offset = self.add_weight("offset", [3], initializer=tf.constant_initializer(OFFSET))

    def state_spec(self):
        shape = [None, None, None, 3]
        return {name: tf.TensorSpec(shape, tf.float32, name) for name in ("canvas", "h1") if self.is_recurrent}

    def encode(self, images, training=False):
        images = tf.cast(images, tf.float32)
        if self.padding == "symmetric":  # every fourth pixel, from the first on
            return {"canvas" if not self.is_recurrent else "colors": images[:, ::STRIDE, ::STRIDE]}
        colors = tf.nn.avg_pool2d(images, STRIDE, STRIDE, "SAME")
        return {"colors": colors} if self.is_recurrent else {"canvas": colors}

    def refine(self, features, state=None):
        if not self.is_recurrent:
            return {"canvas": features["canvas"]}
        colors = features["colors"]
        if state is None:
            state = {"canvas": tf.zeros_like(colors), "h1": tf.zeros_like(colors)}
        is_first, is_second = (tf.cast(tf.equal(state["h1"], count), tf.float32) for count in (0.0, 1.0))
        canvas = state["canvas"] + colors + (is_first - is_second) * self.offset
        return {"canvas": canvas, "h1": state["h1"] + 1}


def description(network, kind, size=None, iterations=DEFAULT):
    """tfseg.json of an artifact."""
    return {
        "format": "tfseg 1",
        "name": "toy",
        "classes": INFO.to_dict(),
        "is_recurrent": network.is_recurrent,
        "iterations": iterations if network.is_recurrent else 1,
        "max_iterations": MOST if network.is_recurrent else 1,
        "size": size and list(size),
        "padding": network.padding,
        "stride": STRIDE,
        "kind": kind,
        "precision": "fp32",
        "carry": dataclasses.asdict(network.carry),
    }


def save_model(network, path, size=None):
    """Writes a SavedModel folder; returns its path."""
    service.save(network, path, description(network, "savedmodel", size), MOST, size)
    return path


def tflite(network, kind, size, iterations=DEFAULT) -> bytes:
    """A .tflite file of a kind."""
    make = {"segment": _segment, "class_map": _class_map, "resizable": _resizable}
    make |= {"stream": _stream, "dynamic": _dynamic}
    functions = make[kind](network, size, iterations)
    return tflite_metadata.with_metadata(
        converted(functions, network.variables), description(network, kind, size, iterations)
    )


def converted(functions, variables=()) -> bytes:
    """A .tflite file of {signature: ConcreteFunction}."""
    module = tf.Module()
    module.weights = list(variables)
    for name, function in functions.items():
        setattr(module, f"function_{name}", function)
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        tf.saved_model.save(module, folder, functions)
        return tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(functions)).convert()


def traced(run, **specs):
    """ConcreteFunction of `run(**tensors)`; specs are shapes of float32 tensors, or TensorSpecs."""
    named = {
        name: tf.TensorSpec(spec.shape, spec.dtype, name)
        if isinstance(spec, tf.TensorSpec)
        else tf.TensorSpec(spec, tf.float32, name)
        for name, spec in specs.items()
    }
    return tf.function(run).get_concrete_function(**named)


def _canvas(network, image, iterations):
    features, state = network.encode(image), None
    for _ in range(iterations):
        state = network.refine(features, state)
    return state["canvas"]


def _segment(network, size, iterations):
    def segment(image):
        canvas = _canvas(network, image, iterations if network.is_recurrent else 1)
        return {"logits": upsample(canvas, size, STRIDE, network.padding)}

    return {"serving_default": traced(segment, image=[1, *size, 3])}


def _class_map(network, size, iterations):
    [segment] = _segment(network, size, iterations).values()

    def class_map(image):
        return {"class_ids": tf.cast(tf.argmax(segment(image=image)["logits"], -1, output_type=tf.int32), tf.uint8)}

    return {"serving_default": traced(class_map, image=[1, *size, 3])}


def _resizable(network, size, iterations):
    def segment(image):
        canvas = _canvas(network, image, iterations)
        return {"logits": upsample(canvas, tf.shape(image)[1:3], STRIDE, network.padding)}

    return {"serving_default": traced(segment, image=[1, None, None, 3])}


def _stream(network, size, iterations):
    shape = [1, *(-(-side // STRIDE) for side in size), 3]

    def refine(colors, canvas, h1):
        return network.refine({"colors": colors}, {"canvas": canvas, "h1": h1})

    def decode(canvas):
        return {"logits": upsample(canvas, size, STRIDE, network.padding)}

    return {
        "encode": traced(lambda image: network.encode(image), image=[1, *size, 3]),
        "refine": traced(refine, colors=shape, canvas=shape, h1=shape),
        "decode": traced(decode, canvas=shape),
    }


def _dynamic(network, size, iterations):
    def segment(image, iterations, tolerance):
        count = tf.clip_by_value(iterations[0], 1, MOST)
        features = network.encode(image)
        state = network.refine(features, None)

        def step(number, changed, state):
            refined = network.refine(features, state)
            is_other = tf.argmax(refined["canvas"], -1) != tf.argmax(state["canvas"], -1)
            return number + 1, tf.reduce_mean(tf.cast(is_other, tf.float32)), refined

        number, _, state = tf.while_loop(
            lambda number, changed, state: (number < count) & (changed > tolerance[0]),
            step,
            (tf.constant(1), tf.constant(1.0), state),
        )
        return {"logits": upsample(state["canvas"], size, STRIDE, network.padding), "iterations": number[tf.newaxis]}

    numbers = {"iterations": tf.TensorSpec([1], tf.int32), "tolerance": tf.TensorSpec([1], tf.float32)}
    return {"serving_default": traced(segment, image=[1, *size, 3], **numbers)}
