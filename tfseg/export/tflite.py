"""Converts functions of a network to a .tflite file, in a separate process because the converter can crash."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tfseg.errors import InputError, listed
from tfseg.export.functions import GATE, SEGMENT, START
from tfseg.formats import saved_model
from tfseg.system import child_process
from tfseg.system.temporary import TemporaryFolder

# Precision of the weights; in int8 files also that of the activations.
PRECISIONS = ("fp32", "fp16", "dynamic", "int8")
TIMEOUT = 3600  # seconds; int8 calibration runs every image through slow kernels
MOST_ERROR = 64.0  # grey levels
STILL_FRAMES = 2  # the first starts from the other step's state, the second from its own


def convert(holder, signatures, precision, images=None, max_iterations=1) -> bytes:
    """Returns the .tflite file of some functions.

    Args:
      holder: tf.Module that holds their variables.
      signatures: {name: ConcreteFunction}, the result of a method of `NetworkFunctions`.
      precision: "fp32"; "fp16" (16-bit weights); "dynamic" (8-bit weights, and 8-bit activations inside each product);
        "int8" (everything in 8 bits).
      images: [count, height, width, 3] uint8 images on which the ranges of all values are measured; only int8 needs
        them. The input and the logits of a segment file are then uint8; a stream keeps float32 inputs and outputs.
      max_iterations: number of iterations over which the ranges of an int8 stream are measured.
    Raises:
      InputError: int8 is asked for a loop (the converter crashes on it) or without images, or the converter fails.
    """
    if precision not in PRECISIONS:
        raise InputError(f"precision {precision!r}: one of {listed(PRECISIONS)}")
    is_loop = SEGMENT in signatures and "iterations" in signatures[SEGMENT].structured_outputs
    if precision == "int8" and is_loop:
        raise InputError("int8 is not possible with a number of iterations at run time: fix it, or export a stream")
    if precision == "int8" and images is None:
        raise InputError("int8 needs images to measure the range of values on")
    with TemporaryFolder() as folder:
        job = {"folder": str(folder), "precision": precision, "max_iterations": max_iterations}
        tf.saved_model.save(holder, f"{folder}/functions", signatures)
        if precision == "int8":
            np.save(f"{folder}/images.npy", images)
        try:
            child_process.run("tfseg.export.tflite", job | {"signatures": list(signatures)}, TIMEOUT)
        except child_process.ChildError as error:
            raise InputError(f"the TFLite converter cannot convert this model to {precision}: {error}") from error
        return (folder / "model.tflite").read_bytes()


def _convert(job):
    """Runs in the child process: writes model.tflite into the job's folder."""
    folder = Path(job["folder"])
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "functions"), signature_keys=job["signatures"])
    if job["precision"] != "fp32":
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if job["precision"] == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    if job["precision"] == "int8":
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        images = np.load(folder / "images.npy")
        if job["signatures"] == [SEGMENT]:
            converter.representative_dataset = lambda: ({"image": image} for image in _singly(images))
            converter.inference_input_type = converter.inference_output_type = tf.uint8
        else:
            functions = saved_model.run_program(folder / "functions", trust=True).loaded.signatures
            converter.representative_dataset = lambda: stream_inputs(functions, images, job["max_iterations"])
    (folder / "model.tflite").write_bytes(converter.convert())
    return {}


def stream_inputs(functions, images, iterations):
    """Yields (signature, {input: array}) for every call of a stream on the images, iteration by iteration.

    If a frame that starts afresh has a step of its own, each image is shown STILL_FRAMES more times.
    """
    state_names = set(functions["refine"].structured_outputs)
    for image in _singly(images):
        yield "encode", {"image": image}
        features = functions["encode"](image=tf.constant(image))
        inputs = functions["refine"].structured_input_signature[1]
        state = {name: tf.zeros(inputs[name].shape) for name in state_names}
        if START in functions:
            yield START, _arrays(features)
            state = functions[START](**features)
            yield "decode", _arrays({"canvas": state["canvas"]})
        for _ in range(STILL_FRAMES if START in functions else iterations):
            yield "refine", _arrays(features | state)
            state = functions["refine"](**features, **state)
            yield "decode", _arrays({"canvas": state["canvas"]})
        if GATE in functions:
            # Differences of a moved picture from none to large ones, over the map.
            size = state["canvas"].shape[1] * state["canvas"].shape[2]
            error = tf.reshape(tf.linspace(0.0, MOST_ERROR, size), [*state["canvas"].shape[:3], 1])
            yield GATE, _arrays(features | state | {"error": error})
            state = functions[GATE](**features, **state, error=error)
            yield "refine", _arrays(features | state)


def _arrays(tensors):
    return {name: value.numpy() for name, value in tensors.items()}


def _singly(images):
    return (image[np.newaxis].astype(np.float32) for image in images)


if __name__ == "__main__":
    child_process.answer(_convert)
