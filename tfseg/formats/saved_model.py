"""Reads anybody's SavedModel: its signature for images, traced with static shapes."""

import contextlib
import dataclasses
import re
from pathlib import Path

import tensorflow as tf

from tfseg.errors import InputError

ITERATIONS = "iterations"
# Signatures that are tried first: the one for tensors, then the one that servers call by default.
PREFERRED = ("segment_tensors", "serving_default")
WANTED = "one image, uint8 or float32 [batch, height, width, 3], and at most iterations, int32 [] or [batch]"


@dataclasses.dataclass(frozen=True)
class ImageSignature:
    """A signature that takes one image and at most a number of iterations.

    Attributes:
      path: the SavedModel's path.
      name: the signature's name.
      function: the signature as a function of keywords.
      image_name, image: the image's keyword and TensorSpec.
      iterations: the iterations' TensorSpec; None if the signature takes none.
      loaded: the object that keeps the variables alive.
    """

    path: str
    name: str
    function: object
    image_name: str
    image: tf.TensorSpec
    iterations: tf.TensorSpec | None
    loaded: object


def load(path) -> ImageSignature:
    """Returns the first fitting signature of a SavedModel: one of PREFERRED, or else the first of the others.

    Raises:
      InputError: the folder is not a SavedModel, is damaged, or has no signature that takes what WANTED says.
    """
    if not (Path(path) / "saved_model.pb").is_file():
        raise InputError(f"{path}: not a SavedModel, which is a folder with saved_model.pb")
    try:
        loaded = tf.saved_model.load(str(path))
        signatures = {name: (loaded.signatures[name], _inputs(loaded.signatures[name])) for name in loaded.signatures}
    except Exception as error:  # on a damaged file, any part of TensorFlow's loader may fail
        raise InputError(f"{path}: not a complete SavedModel ({_first_line(error)}); export it again") from error
    names = sorted(signatures, key=lambda name: PREFERRED.index(name) if name in PREFERRED else len(PREFERRED))
    for name in names:
        function, inputs = signatures[name]
        images = [key for key, spec in inputs.items() if _is_image(spec)]
        others = [key for key in inputs if key not in images]
        if len(images) == 1 and all(_is_iterations(key, inputs[key]) for key in others):
            return ImageSignature(
                str(path), name, function, images[0], inputs[images[0]], inputs.get(ITERATIONS), loaded
            )
    has = "; ".join(f"{name}({_described(inputs)})" for name, (_, inputs) in signatures.items()) or "none"
    raise InputError(f"{path}: its signatures are {has}; one of them must take {WANTED}")


def trace(signature, size, iterations) -> tf.types.experimental.ConcreteFunction:
    """Traces the signature as a function of one image of a static size, with the iterations as a constant.

    Args:
      signature: an ImageSignature.
      size: (height, width).
      iterations: number of iterations; None if the signature takes none.
    Raises:
      InputError: the model cannot take this size.
    """

    def run(image):
        arguments = {signature.image_name: image}
        if iterations is not None:
            value = [iterations] if signature.iterations.shape.rank else iterations
            arguments[ITERATIONS] = tf.constant(value, tf.int32)
        return signature.function(**arguments)

    with refusing(signature, size):
        return tf.function(run).get_concrete_function(tf.TensorSpec([1, *size, 3], signature.image.dtype))


@contextlib.contextmanager
def refusing(signature, size):
    """Turns exceptions of TensorFlow, while the signature is traced, counted or run, into an InputError."""
    try:
        yield
    except (ValueError, TypeError, tf.errors.OpError) as error:
        where = f"{signature.path}: {signature.name} at {size[0]}x{size[1]}"
        raise InputError(f"{where}: {_first_line(error)}") from error


def _inputs(function):
    return function.structured_input_signature[1]


def _is_image(spec):
    is_one = spec.shape.rank == 4 and spec.shape[0] in (None, 1) and spec.shape[3] == 3
    return is_one and spec.dtype in (tf.uint8, tf.float32)


def _is_iterations(name, spec):
    return name == ITERATIONS and spec.dtype == tf.int32 and spec.shape.is_compatible_with([1] * (spec.shape.rank or 0))


def _described(inputs):
    return ", ".join(f"{name}: {spec.dtype.name} {_shape(spec.shape)}" for name, spec in inputs.items())


def _shape(shape):
    if shape.rank is None:
        return "of any shape"
    return "[" + ", ".join("?" if side is None else str(side) for side in shape) + "]"


def _first_line(error):
    # Removes the names that TensorFlow gives to parts of its graphs.
    text = re.sub(r"\{\{.*?\}\}", "", str(error))
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:200] if lines else type(error).__name__
