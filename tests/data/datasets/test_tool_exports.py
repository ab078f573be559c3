"""Exports that the tools' own libraries wrote, against pictures of what the tools, or other rasterisers, say they show.

`tests/formats/annotations/making` made all of them, without tfseg.
"""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import folder

EXPORTS = Path(__file__).resolve().parents[2] / "formats/annotations/exports"
# Pixels of all four photographs that may differ from the truth, each of them at the edge of an object. 0 where the
# truth is filled as the COCO API does it, or where the export holds masks.
MOST_DIFFERENT = {
    "datumaro_coco_instances": 0,
    "datumaro_cvat": 0,
    "datumaro_voc": 0,
    "datumaro_voc_without_labelmap": 0,
    "label_studio_brush_to_png": 0,
    # Its converter makes pixels of per cent, in which corners on half pixels lose their last digit.
    "label_studio_coco": 4,
    "label_studio_json": 0,
    "label_studio_yolo": 0,
    # labelme fills with Pillow, which counts the outline to an object: up to a row and a column more on each side.
    "labelme": 192,
    "pycocotools": 0,
    # supervision's outlines run through the centres of pixels at the edge: those on the right and below are lost.
    "supervision_coco": 204,
    "supervision_yolo": 204,
    "ultralytics": 0,
}


def read(name):
    """{"<split>_<photograph>": (names of classes [height, width], instance ids [height, width])} of an export."""
    found = folder.list_examples(EXPORTS / name / "export", ConvertOptions(num_workers=1))
    assert found.problems == []
    maps = {}
    for split, examples in found.splits.items():
        for example in examples:
            encoded = found.encode(example)
            label, panoptic = (
                np.asarray(Image.open(io.BytesIO(content))).astype(int)
                for content in (encoded.label_png, encoded.panoptic_png)
            )
            instances = panoptic[..., 1] * 256 + panoptic[..., 2]
            maps[f"{split}_{Path(example.filename).stem}"] = np.array(found.info.class_names)[label], instances
    return maps


def truth(name):
    """The same as the tool, or another rasteriser, draws it, but with numbers of objects through all classes."""
    names = np.array((EXPORTS / name / "truth/classes.txt").read_text().split())
    maps = {}
    for path in sorted((EXPORTS / name / "truth").glob("*_classes.png")):
        objects = path.with_name(path.name.replace("_classes", "_objects"))
        photograph = path.name.removesuffix("_classes.png")
        maps[photograph] = names[np.asarray(Image.open(path))], np.asarray(Image.open(objects)).astype(int)
    return maps


def at_edges(objects):
    """[height, width] bool: pixels with another object, or none, among their eight neighbours."""
    return ndimage.maximum_filter(objects, 3) != ndimage.minimum_filter(objects, 3)


def test_every_export_is_here():
    assert sorted(path.name for path in EXPORTS.iterdir()) == sorted(MOST_DIFFERENT)


@pytest.mark.parametrize("name", MOST_DIFFERENT)
def test_classes_are_those_that_the_tool_shows(name):
    found, expected = read(name), truth(name)
    assert found.keys() == expected.keys()
    num_different = 0
    for photograph, (classes, objects) in expected.items():
        is_different = found[photograph][0] != classes
        assert not (is_different & ~at_edges(objects)).any(), photograph
        num_different += is_different.sum()
    assert num_different <= MOST_DIFFERENT[name]


@pytest.mark.parametrize("name", MOST_DIFFERENT)
def test_each_object_is_one_instance_of_its_own(name):
    found = read(name)
    for photograph, (classes, objects) in truth(name).items():
        own_classes, instances = found[photograph]
        is_inside = (objects > 0) & ~at_edges(objects)
        assert (own_classes[is_inside] == classes[is_inside]).all() and (instances[is_inside] > 0).all()
        pairs = set(zip(objects[is_inside], own_classes[is_inside], instances[is_inside], strict=True))
        numbers, instances_of_classes = {number for number, *_ in pairs}, {tuple(own) for _, *own in pairs}
        assert len(numbers) == len(instances_of_classes) == len(pairs), photograph
