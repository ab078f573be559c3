"""OpenVINO and ONNX Runtime compute what the network computes: python readers_client.py FOLDER

FOLDER is what `tests.clients.artifacts` describes. Fails with an AssertionError.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import openvino

# Of the largest logit.
TOLERANCE = 1e-4


def check(name, found, expected):
    difference = np.abs(found - expected).max() / np.abs(expected).max()
    assert found.shape == expected.shape and difference <= TOLERANCE, f"{name}: logits differ by {difference:.1e}"
    print(f"{name}: logits within {difference:.1e}, {np.mean(found.argmax(-1) == expected.argmax(-1)):.2%} of classes")


def openvino_logits(path, images):
    core = openvino.Core()
    # Otherwise it computes in bfloat16 where the processor can.
    compiled = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled(image[np.newaxis])[0] for image in images])


def onnxruntime_logits(path, images):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(["logits"], {"image": image[np.newaxis]})[0] for image in images])


def main(folder):
    with np.load(folder / "images.npz") as arrays:
        images = arrays["images"].astype(np.float32)
    readers = [("*_segment_*_fp32.tflite", "OpenVINO", openvino_logits)]
    readers += [("*.onnx", "OpenVINO", openvino_logits), ("*.onnx", "ONNX Runtime", onnxruntime_logits)]
    assert list(folder.glob(readers[0][0])), f"{folder}: has no fp32 file of the kind segment"
    with np.load(folder / "expected.npz") as expected:
        for pattern, reader, logits in readers:
            paths = sorted(folder.glob(pattern))
            for path in paths:
                check(f"{reader}, {path.name}", logits(path, images), expected[path.name])
            if not paths:
                print(f"{reader}: skipped, there is no {pattern}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
