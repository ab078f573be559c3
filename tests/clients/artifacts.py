"""Makes what the clients are tested with: python -m tests.clients.artifacts FOLDER

FOLDER gets
  NAME_segment_N_PRECISION.tflite and, where tf2onnx is installed, NAME_segment_N.onnx
  images.npz    "images" [count, height, width, 3] uint8 in the size of the files, "photo" [300, 401, 3] uint8
  serving/toy/1 the network as a SavedModel for servers; photos/ JPEG and PNG files of several sizes, to be sent to it
  expected.npz  {file name: logits of the images [count, height, width, num_classes] float32},
                {file name + "/photo": those of the photo in the size of the files [1, height, width, num_classes]}

Logits of .tflite files are those of LiteRT's interpreter, except for fp32 and .onnx files: the network's own.
"""

import importlib.util
import sys
from pathlib import Path

import cv2
import numpy as np

import tfseg  # noqa: F401  (keeps TensorFlow's start-up quiet)

# isort: split
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.export import onnx, tflite
from tfseg.export.functions import NetworkFunctions
from tfseg.export.serving import service
from tfseg.formats import tflite_metadata
from tfseg.labels import DatasetInfo, default_colors
from tfseg.models.rnn import RNNConfig

SIZE, PHOTO_SIZE = (65, 97), (300, 401)
SERVED_SIZES = ((120, 160), (97, 65), (64, 201))
NUM_IMAGES, ITERATIONS, MAX_ITERATIONS = 4, 3, 10
INFO = DatasetInfo("toy", ("road", "tree", "car", "Gehweg für Füße", "sky"), default_colors(5))


def blurred(size, seed):
    """[height, width, 3] uint8: large spots of colour."""
    noise = np.random.default_rng(seed).integers(0, 256, [7, 9, 3]).astype(np.uint8)
    return cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC)


def sampled(photo, size):
    """A photo in another size as MediaPipe makes it: bilinear, pixel i of n from i / n of the photo."""
    scales = np.diag(np.float32(photo.shape[1::-1]) / size[::-1])
    mapping = np.hstack([scales, np.zeros([2, 1])])
    return cv2.warpAffine(photo, mapping, size[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)


def toy_network():
    """A small recurrent network with random weights."""
    tf.keras.utils.set_random_seed(0)
    backbone = BackboneConfig("mobilenet_v2", width_multiplier=0.35)
    network = architectures.build(RNNConfig(backbone, widths=(16, 8), canvas_stride=8), INFO.num_classes)
    network(tf.zeros([1, *SIZE, 3]), iterations=1)
    return network


def logits_of(content, images):
    """What LiteRT's interpreter computes, as real numbers."""
    interpreter = Interpreter(model_content=content)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
    dtype = run.get_input_details()["image"]["dtype"]
    scale, zero_point = run.get_output_details()["logits"]["quantization"]
    stored = np.concatenate([run(image=image[np.newaxis].astype(dtype))["logits"] for image in images])
    return (stored.astype(np.float32) - zero_point) * np.float32(scale) if scale else stored


def description(precision):
    facts = {"format": "tfseg 1", "name": "toy", "classes": INFO.to_dict(), "is_recurrent": True, "padding": "same"}
    facts |= {"iterations": ITERATIONS, "max_iterations": ITERATIONS, "size": SIZE, "stride": 8}
    return facts | {"kind": "segment", "precision": precision}


def write_served(folder, network):
    """What a server is tested with: a SavedModel and photos."""
    service.save(network, folder / "serving" / "toy" / "1", description("fp32"), MAX_ITERATIONS)
    (folder / "photos").mkdir()
    for i, size in enumerate(SERVED_SIZES):
        for ending in ("jpg", "png"):
            assert cv2.imwrite(str(folder / "photos" / f"{i}.{ending}"), blurred(size, i))


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    functions = NetworkFunctions(toy_network(), SIZE)
    write_served(folder, functions.network)
    signatures = functions.segment(ITERATIONS)
    [segment] = signatures.values()
    images = np.stack([blurred(SIZE, seed) for seed in range(NUM_IMAGES)])
    photo = blurred(PHOTO_SIZE, NUM_IMAGES)
    resized = sampled(photo, SIZE)[np.newaxis]
    exactly = {
        suffix: np.concatenate([segment(image=tf.constant(image[np.newaxis], tf.float32))["logits"] for image in of])
        for suffix, of in (("", images), ("/photo", resized))
    }
    expected = {}
    for precision in ("fp32", "fp16", "int8"):
        name = f"toy_segment_{ITERATIONS}_{precision}.tflite"
        content = tflite.convert(functions.holder, signatures, precision, images)
        (folder / name).write_bytes(tflite_metadata.with_metadata(content, description(precision)))
        for suffix, of in (("", images), ("/photo", resized)):
            expected[name + suffix] = exactly[suffix] if precision == "fp32" else logits_of(content, of)
    if importlib.util.find_spec("tf2onnx"):
        name = f"toy_segment_{ITERATIONS}.onnx"
        (folder / name).write_bytes(onnx.convert(functions.holder, signatures))
        expected[name] = exactly[""]
    np.savez(folder / "images.npz", images=images, photo=photo)
    np.savez(folder / "expected.npz", **expected)
    print("pixels of each class:", np.bincount(exactly[""].argmax(-1).ravel(), minlength=INFO.num_classes))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
