"""Small SavedModels and .tflite files for tests."""

from pathlib import Path

import flatbuffers
import numpy as np
import tensorflow as tf
from tensorflow.lite.python.schema_py_generated import ModelT

from tfseg.formats import tflite_file


def converted(run, *specs, precision="float32") -> bytes:
    """A .tflite file of a function.

    Args:
      run: tensors -> tensor or {name: tensor}.
      specs: shapes of float32 inputs, or TensorSpecs.
      precision: float32, float16, or dynamic: 8 bit kernels.
    """
    specs = [spec if isinstance(spec, tf.TensorSpec) else tf.TensorSpec(spec) for spec in specs]
    function = tf.function(run).get_concrete_function(*specs)
    return _written(tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module()), precision)


def from_saved_model(folder, signatures) -> bytes:
    """A .tflite file of some signatures of a SavedModel."""
    return _written(tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=signatures), "float32")


def quantized(run, spec, lowest=0.0, highest=255.0, ends=tf.uint8) -> bytes:
    """A .tflite file in 8 bits of a function of one float32 input.

    Args:
      run: tensor -> tensor or {name: tensor}.
      spec: the input's TensorSpec.
      lowest, highest: range of the input.
      ends: type of input and outputs.
    """
    function = tf.function(run).get_concrete_function(spec)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], tf.Module())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    ramp = np.linspace(lowest, highest, int(np.prod(spec.shape)), dtype=np.float32).reshape(spec.shape)
    converter.representative_dataset = lambda: [[ramp], [ramp[:, ::-1]]]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = ends
    return bytes(converter.convert())


def rescaled_resize(folder) -> Path:
    """A .tflite file with a quantised resize that changes the scale, which XNNPACK refuses; returns its path."""
    spec = tf.TensorSpec([1, 8, 8, 3], name="image")
    content = quantized(
        lambda image: tf.image.resize(tf.nn.conv2d(image, tf.eye(3)[None, None] / 255, 2, "SAME"), [8, 8]), spec
    )

    def rescale(model):
        [graph] = model.subgraphs
        for operator in graph.operators:
            if tflite_file.kind(model, operator) == "RESIZE_BILINEAR":
                quantization = graph.tensors[operator.outputs[0]].quantization
                quantization.scale = [1.5 * float(quantization.scale[0])]

    path = folder / "rescaled.tflite"
    path.write_bytes(changed(content, rescale))
    return path


def _written(converter, precision):
    if precision != "float32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if precision == "float16":
        converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def changed(data, change) -> bytes:
    """The file after `change(ModelT)`."""
    model = ModelT.InitFromPackedBuf(bytearray(data))
    change(model)
    builder = flatbuffers.Builder(len(data))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def kernel(*shape):
    """Random float32 numbers, which the converter does not fold away."""
    return tf.constant(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def loop(image, iterations):
    """[1, 9, 7, 4], [1] int32 -> the image after that many convolutions with a 1x1 kernel."""
    weights = kernel(1, 1, 4, 4)
    body = lambda i, x: (i + 1, tf.nn.relu(tf.nn.conv2d(x, weights, 1, "SAME")))  # noqa: E731
    return tf.while_loop(lambda i, _: i < iterations[0], body, (0, image))[1]


class Recurrent(tf.Module):
    """A network like an exported one: open sizes, weights in variables, a loop, and a function for each step."""

    def __init__(self):
        self.mean = tf.Variable([1.0, 2.0, 3.0], trainable=False)
        self.first = tf.Variable(kernel(3, 3, 3, 4))
        self.repeated = tf.Variable(kernel(1, 1, 4, 4))

    @tf.function
    def encode(self, images):
        return tf.nn.relu(tf.nn.conv2d(images - self.mean, self.first, 2, "SAME"))

    @tf.function
    def refine(self, features, iterations):
        body = lambda i, x: (i + 1, x + tf.nn.conv2d(x, self.repeated, 1, "SAME"))  # noqa: E731
        return tf.while_loop(lambda i, _: i < iterations, body, (0, features))[1]

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 3], tf.uint8), tf.TensorSpec([None], tf.int32)])
    def segment(self, images, iterations):
        features = self.encode(tf.cast(images, tf.float32))
        logits = self.refine(features, tf.reduce_max(iterations))
        logits = tf.image.resize(logits, tf.shape(images)[1:3])
        return {"confidence": tf.reduce_max(tf.nn.softmax(logits), -1)}

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string)])
    def segment_bytes(self, image_bytes):
        return {"length": tf.strings.length(image_bytes)}

    @tf.function(input_signature=[tf.TensorSpec([1, 9, 14, 3])])
    def fixed(self, image):
        return {"features": self.encode(image)}

    @tf.function(input_signature=[tf.TensorSpec([1, 9, None, 3]), tf.TensorSpec([], tf.int32)])
    def half_open(self, image, iterations):
        return {"features": self.refine(self.encode(image), iterations)}

    @tf.function(input_signature=[tf.TensorSpec([None, None, None, 1])])
    def grey(self, image):
        return {"image": image}

    @tf.function(input_signature=[tf.TensorSpec([1, 8, 8, 3]), tf.TensorSpec([1, 8, 8, 3])])
    def pair(self, first, second):
        return {"image": first + second}


def save(folder, **signatures):
    """Saves signatures of a `Recurrent`, {name: method's name}; returns the folder."""
    module = Recurrent()
    tf.saved_model.save(module, folder, {name: getattr(module, method) for name, method in signatures.items()})
    return folder
