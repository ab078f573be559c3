"""A small recurrent network, and the folder that a server would get of it."""

import numpy as np
import pytest
import tensorflow as tf

from tests.export.serving.protocol_double import serve
from tests.export.serving.small_network import small_network
from tests.fake_network import INFO
from tfseg.export.serving import server_files, service

MAX_ITERATIONS = 5


@pytest.fixture(scope="session")
def network():
    return small_network(INFO.num_classes)


@pytest.fixture(scope="session")
def description():
    return {
        "format": "tfseg 1",
        "name": "toy",
        "classes": INFO.to_dict(),
        "is_recurrent": True,
        "iterations": 3,
        "max_iterations": MAX_ITERATIONS,
        "size": None,
    }


@pytest.fixture(scope="session")
def serving_folder(network, description, tmp_path_factory):
    """models.config, batching.config, serve.md and toy/1/."""
    folder = tmp_path_factory.mktemp("serving")
    service.save(network, folder / "toy" / "1", description, MAX_ITERATIONS)
    server_files.write(folder, "toy", description)
    return folder


@pytest.fixture(scope="session")
def served(serving_folder):
    """(Model, gRPC address, REST address)."""
    with serve(serving_folder / "toy") as served:
        yield served


@pytest.fixture(scope="session")
def images():
    """Three [48, 64, 3] uint8 images."""
    return np.random.default_rng(1).integers(0, 256, [3, 48, 64, 3], dtype=np.uint8)


@pytest.fixture(scope="session")
def expected(network):
    """(image, iterations) -> [height, width] class ids, from the Keras network."""

    def class_ids(image, iterations):
        canvas = network(tf.constant(image[np.newaxis], tf.float32), iterations=iterations)["semantic_logits"]
        return tf.argmax(tf.image.resize(canvas, image.shape[:2]), -1)[0].numpy()

    return class_ids
