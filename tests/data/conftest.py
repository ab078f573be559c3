"""Toy files for the tests of data."""

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def save():
    """save(path, array or PIL image, **options of PIL's save) writes a picture and its folders; returns the path."""

    def save_picture(path, pixels, mode=None, **options):
        path.parent.mkdir(parents=True, exist_ok=True)
        image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(np.asarray(pixels), mode)
        image.save(path, **options)
        return path

    return save_picture


@pytest.fixture
def photo():
    """[4, 6, 3] uint8: red on the left, blue on the right."""
    image = np.zeros([4, 6, 3], np.uint8)
    image[:, :3, 0] = 255
    image[:, 3:, 2] = 255
    return image


@pytest.fixture
def label():
    """[4, 6] uint8: 12 pixels of class 0, 8 of class 1, 4 ignored."""
    class_ids = np.zeros([4, 6], np.uint8)
    class_ids[:, 3:5] = 1
    class_ids[:, 5] = 255
    return class_ids


@pytest.fixture
def toy_folder(tmp_path, save, photo, label):
    """toy_folder(stems) -> a folder of images/<stem>.png and masks/<stem>.png with classes sky and road."""

    def write(stems=("a", "b", "c"), names="sky\nroad\n"):
        root = tmp_path / "toy"
        for stem in stems:
            save(root / "images" / f"{stem}.png", photo)
            save(root / "masks" / f"{stem}.png", label)
        if names:
            (root / "classes.txt").write_text(names)
        return root

    return write


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache folder of the test's own."""
    monkeypatch.setenv("TFSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
