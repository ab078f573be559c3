"""Files beside the model, on images of their size and of others."""

import numpy as np
import pytest
import tensorflow as tf

from tests.fake_network import INFO, blocks
from tests.inference.engines import toy_artifacts
from tfseg.export.comparison import compare
from tfseg.inference.predictor import Predictor

SIZE = (16, 24)


@pytest.fixture(scope="module")
def network():
    return toy_artifacts.ToyNetwork()


@pytest.fixture(scope="module")
def stream(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "stream.tflite"
    path.write_bytes(toy_artifacts.tflite(network, "stream", SIZE))
    return Predictor.load(path, trust=True)


def examples(*sizes):
    """Soft colours, and labels of one class each."""
    images = []
    for height, width in sizes:
        rows, columns = np.mgrid[:height, :width]
        picture = np.stack([128 + 100 * np.sin(rows / 9), 4 * rows + columns, 8 * columns], -1)
        images.append(picture.clip(0, 255).astype(np.uint8))

    def one_by_one():
        for image in images:
            yield {"image": image[np.newaxis], "label": np.ones([1, *image.shape[:2]], np.uint8)}

    specs = {"image": tf.TensorSpec([1, None, None, 3], tf.uint8), "label": tf.TensorSpec([1, None, None], tf.uint8)}
    return tf.data.Dataset.from_generator(one_by_one, output_signature=specs)


@pytest.mark.parametrize("sizes", [(SIZE, SIZE), ((45, 31), (45, 31)), (SIZE, (45, 31))])
def test_a_file_agrees_with_its_model_on_images_of_its_own_size(network, stream, sizes):
    rows = compare(network, INFO, {"a": (stream, "fp32")}, examples(*sizes), 2)
    assert [(row.path, row.iterations, row.num_images) for row in rows] == [("a", n, 2) for n in range(1, 6)]
    for row in rows:
        # Every pixel, though a resized image is rounded for a file and not for the model.
        assert (row.agreement, row.size, row.is_good) == (1, SIZE, True)
        assert row.miou == pytest.approx(row.model_miou, abs=0.01)


@pytest.mark.parametrize(("sizes", "size"), [(((9, 13), (9, 13)), (9, 13)), (((9, 13), SIZE), None)])
def test_a_file_of_any_size_has_that_of_all_images(network, sizes, size, tmp_path):
    path = tmp_path / "resizable.tflite"
    path.write_bytes(toy_artifacts.tflite(network, "resizable", None))
    file = Predictor.load(path, trust=True)
    [row] = compare(network, INFO, {"a": (file, "fp32")}, examples(*sizes), 2)
    assert (row.iterations, row.agreement, row.size) == (3, 1, size)


def test_what_says_something_else_is_not_good(network, tmp_path):
    """Of three colours in equal parts, a network after one iteration calls everything red."""
    path = tmp_path / "one.tflite"
    path.write_bytes(toy_artifacts.tflite(network, "segment", SIZE, iterations=1))
    file = Predictor.load(path, trust=True)
    image = blocks(np.arange(24).reshape(4, 6) % 3)
    label = np.arange(24).reshape(4, 6).repeat(4, 0).repeat(4, 1) % 3
    example = {"image": image[np.newaxis], "label": label[np.newaxis].astype(np.uint8)}
    specs = {"image": tf.TensorSpec([1, *SIZE, 3], tf.uint8), "label": tf.TensorSpec([1, *SIZE], tf.uint8)}
    data = tf.data.Dataset.from_generator(lambda: iter([example]), output_signature=specs)
    [same] = compare(network, INFO, {"a": (file, "fp32")}, data, 1)
    assert same.is_good and same.miou == pytest.approx(1 / 9)  # IoU 8 / 24 of red, 0 of the others
