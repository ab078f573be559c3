"""Toy files for the tests of tfseg.data."""

import io
import json

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def save_segments(save):
    """save_segments(json_path, categories, images, folder) writes a JSON file and its PNGs in COCO's panoptic format.

    images: {PNG name: (segment ids, [(id, category id, is crowd)])}. A category is (id, name, is thing). The PNGs are
    written to `folder`, by default the one with the JSON file's name.
    """

    def write(json_path, categories, images, folder=None):
        entries = []
        for name, (segment_ids, segments) in images.items():
            ids = np.asarray(segment_ids)
            save(
                (folder or json_path.with_suffix("")) / name,
                np.stack([ids % 256, ids // 256 % 256, ids // 65536], -1).astype(np.uint8),
            )
            infos = [{"id": i, "category_id": category, "iscrowd": crowd} for i, category, crowd in segments]
            entries.append({"image_id": name.removesuffix(".png"), "file_name": name, "segments_info": infos})
        kinds = [{"id": i, "name": name, "isthing": thing, "color": [i, i, 0]} for i, name, thing in categories]
        json_path.parent.mkdir(parents=True, exist_ok=True)
        json_path.write_text(json.dumps({"categories": kinds, "annotations": entries}))
        return json_path

    return write


@pytest.fixture
def panoptic_of():
    """panoptic_of(EncodedExample) returns (label's class ids, map's class ids, map's instance ids) as lists of rows."""

    def decode(encoded):
        label, panoptic = (
            np.asarray(Image.open(io.BytesIO(content))).astype(int)
            for content in (encoded.label_png, encoded.panoptic_png)
        )
        return label.tolist(), panoptic[..., 0].tolist(), (256 * panoptic[..., 1] + panoptic[..., 2]).tolist()

    return decode


@pytest.fixture
def toy_folder(tmp_path, save, photo, label):
    """toy_folder(stems) makes a folder of images/<stem>.png and masks/<stem>.png with the classes sky and road."""

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
    """An empty cache folder for one test."""
    monkeypatch.setenv("TFSEG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
