"""The SavedModel without our code: in the C API, on which TensorFlow Serving is built, and in saved_model_cli."""

import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tests.hanging import HANG_SECONDS

CLIENT = Path(__file__).with_name("c_api.py")
LIBRARY = Path(tf.__file__).parent / "libtensorflow_cc.so.2"
INVALID_ARGUMENT = 3


@pytest.fixture(scope="module")
def run(serving_folder):
    """run((signature, inputs), ...) -> [(code, message, {output: value})], all in one process without our code."""
    folder = serving_folder / "toy" / "1"
    content = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    signatures = content.meta_graphs[0].signature_def

    def run(*calls):
        named = []
        for signature, inputs in calls:
            feeds = {signatures[signature].inputs[key].name: value for key, value in inputs.items()}
            named.append((feeds, [tensor.name for tensor in signatures[signature].outputs.values()]))
        request = pickle.dumps({"folder": str(folder), "calls": named})
        command = [sys.executable, str(CLIENT), str(LIBRARY)]
        answers = pickle.loads(
            subprocess.run(command, input=request, stdout=subprocess.PIPE, check=True, timeout=HANG_SECONDS).stdout
        )
        outputs = [signatures[signature].outputs for signature, _ in calls]
        return [
            (code, text, dict(zip(keys, values, strict=False)))
            for keys, (code, text, values) in zip(outputs, answers, strict=True)
        ]

    return run


def test_the_c_api_gives_the_masks_of_the_keras_network_and_survives_bad_requests(run, images, expected):
    files = [images[0], images[1][:30]]
    pngs = [tf.io.encode_png(image).numpy() for image in files]
    counts = np.array([1, 3], np.int32)
    bad, tensors, packed = run(
        ("segment_bytes", {"image_bytes": [pngs[0], b"garbage"], "iterations": counts}),
        ("segment_tensors", {"images": images[:2], "iterations": counts}),
        ("segment_bytes", {"image_bytes": pngs, "iterations": counts}),
    )
    assert bad[0] == INVALID_ARGUMENT and "7 bytes that are not a JPEG" in bad[1] and not bad[2]
    assert (tensors[:2], packed[:2]) == ((0, ""), (0, ""))
    for index, count in enumerate((1, 3)):
        np.testing.assert_array_equal(tensors[2]["mask"][index], expected(images[index], count))
        mask = tf.io.decode_png(packed[2]["mask_png_bytes"][index])[..., 0]
        np.testing.assert_array_equal(mask, expected(files[index], count))
    np.testing.assert_array_equal(packed[2]["iterations"], [1, 3])
    np.testing.assert_array_equal(packed[2]["class_pixels"].sum(1), [48 * 64, 30 * 64])


def test_saved_model_cli_runs_arrays_from_files(serving_folder, images, expected, tmp_path):
    np.save(tmp_path / "images.npy", images[:2])
    np.save(tmp_path / "iterations.npy", np.array([5, 2], np.int32))
    inputs = f"images={tmp_path / 'images.npy'};iterations={tmp_path / 'iterations.npy'}"
    command = [
        *(sys.executable, "-m", "tensorflow.python.tools.saved_model_cli", "run"),
        *("--dir", str(serving_folder / "toy" / "1"), "--tag_set", "serve", "--signature_def", "segment_tensors"),
        *("--inputs", inputs, "--outdir", str(tmp_path / "outputs")),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS)
    assert done.returncode == 0, done.stderr
    mask = np.load(tmp_path / "outputs" / "mask.npy")
    for index, count in enumerate((5, 2)):
        np.testing.assert_array_equal(mask[index], expected(images[index], count))
