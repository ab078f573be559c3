"""Artifacts of the toy network, made once. Read only."""

import numpy as np
import pytest

from tests.fake_network import INFO, blocks
from tests.inference.engines import toy_artifacts
from tfseg.inference.predictor import Predictor

SIZE = (16, 24)


@pytest.fixture(scope="session")
def class_ids():
    """[4, 6] class ids of an image of SIZE."""
    return np.random.default_rng(0).integers(0, 3, [4, 6])


@pytest.fixture(scope="session")
def image(class_ids):
    """An image of SIZE."""
    return blocks(class_ids)


@pytest.fixture(scope="session")
def photo():
    """[45, 31, 3], of no artifact's size: soft colours."""
    rows, columns = np.mgrid[:45, :31]
    return np.stack([128 + 100 * np.sin(rows / 9), 4 * rows + columns, 8 * columns], -1).clip(0, 255).astype(np.uint8)


@pytest.fixture(scope="session")
def network():
    return toy_artifacts.ToyNetwork()


@pytest.fixture(scope="session")
def by_network(network):
    """The predictor that all others have to equal."""
    return Predictor(network, INFO)


@pytest.fixture(scope="session")
def files(network, tmp_path_factory):
    """Folder of segment.tflite, stream.tflite and dynamic.tflite."""
    folder = tmp_path_factory.mktemp("files")
    for kind in ("segment", "stream", "dynamic"):
        (folder / f"{kind}.tflite").write_bytes(toy_artifacts.tflite(network, kind, SIZE))
    return folder


@pytest.fixture(scope="session")
def saved_model(network, tmp_path_factory):
    """A SavedModel of images of any size: the folder of its versions."""
    folder = tmp_path_factory.mktemp("serving") / "toy"
    toy_artifacts.save_model(network, folder / "2")
    return folder
