"""COCO with the classes of VOC: what is an object of VOC, what is background, and which images are left out."""

import json

import numpy as np
import pytest

from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions
from tfseg.data.datasets import coco_voc, voc2012
from tfseg.errors import InputError

# The names of COCO's categories that are classes of VOC, from COCO's own list.
NAMES = {
    1: "person", 2: "bicycle", 3: "car", 4: "motorcycle", 5: "airplane", 6: "bus", 7: "train", 9: "boat", 16: "bird",
    17: "cat", 18: "dog", 19: "horse", 20: "sheep", 21: "cow", 44: "bottle", 62: "chair", 63: "couch",
    64: "potted plant", 67: "dining table", 72: "tv",
}  # fmt: skip
OTHERS = {8: "truck", 92: "banner", 200: "rug-merged"}
RENAMED = {"motorcycle": "motorbike", "airplane": "aeroplane", "couch": "sofa", "tv": "tv monitor"}
CATEGORIES = [(number, name, int(number < 92)) for number, name in sorted((NAMES | OTHERS).items())]


@pytest.fixture
def coco(tmp_path, save, save_segments):
    """coco({split: {stem: (segment ids, segments)}}) writes images and annotations, and returns the root."""

    def write(splits, categories=CATEGORIES):
        for split, images in splits.items():
            for stem, (ids, _) in images.items():
                save(tmp_path / "coco" / f"{split}2017" / f"{stem}.jpg", np.zeros([*np.shape(ids), 3], np.uint8))
            path = tmp_path / "coco" / "annotations" / f"panoptic_{split}2017.json"
            save_segments(path, categories, {f"{stem}.png": image for stem, image in images.items()})
        return tmp_path / "coco"

    return write


def with_areas(root, split, areas):
    """Adds areas to the segments of a JSON file: {segment id: area}."""
    path = root / "annotations" / f"panoptic_{split}2017.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        for segment in annotation["segments_info"]:
            segment["area"] = areas[segment["id"]]
    path.write_text(json.dumps(content))


def test_every_class_is_the_category_of_its_name():
    assert len(coco_voc.CATEGORY_IDS) == len(set(coco_voc.CATEGORY_IDS)) == 21
    for class_name, category_id in list(zip(voc2012.CLASS_NAMES, coco_voc.CATEGORY_IDS, strict=True))[1:]:
        assert RENAMED.get(NAMES[category_id], NAMES[category_id]) == class_name


def test_labels_are_vocs_classes_background_crowds_and_void(coco):
    # A person, an aeroplane, a truck, a rug, a crowd of sheep, void.
    segments = [(1, 1, 0), (2, 5, 0), (3, 8, 0), (4, 200, 0), (5, 20, 1)]
    root = coco({"val": {"a": ([[1, 2, 3, 4, 5, 0]], segments)}})
    manifest = opening.prepare("coco_voc", root, root / "records")
    counts = dict(zip(manifest.info.class_names, manifest.splits["val"].label_histogram, strict=True))
    assert {name: count for name, count in counts.items() if count} == {
        "background": 2,
        "person": 1,
        "aeroplane": 1,
        "sheep": 1,
    }
    assert manifest.splits["val"].ignored_pixels == 1
    assert manifest.info.label_hash() == voc2012.INFO.label_hash()


def test_images_of_train_that_show_next_to_none_of_vocs_objects_are_left_out_with_a_note(coco):
    images = {
        "many": ([[1, 2]], [(1, 1, 0), (2, 200, 0)]),
        "few": ([[3]], [(3, 5, 0)]),
        "none": ([[4]], [(4, 8, 0)]),
        "together": ([[5, 6]], [(5, 1, 0), (6, 3, 0)]),
    }
    root = coco({"train": images, "val": images})
    with_areas(root, "train", {1: 1000, 2: 10, 3: 999, 4: 5000, 5: 500, 6: 500})
    found = coco_voc.list_examples(root, ConvertOptions())
    assert [example.filename for example in found.splits["train"]] == ["train2017/many.jpg", "train2017/together.jpg"]
    assert len(found.splits["val"]) == 4
    assert found.notes == [
        "note: 2 of 4 images of train are left out, which show fewer than 1000 pixels of VOC's 20 objects"
    ]


def test_a_file_of_other_categories_is_refused(coco):
    root = coco({"val": {"a": ([[1]], [(1, 1, 0)])}}, categories=[(1, "person", 1)])
    with pytest.raises(InputError, match=r"panoptic_val2017.json: has no categories 2, 3, .*take the file of"):
        coco_voc.list_examples(root, ConvertOptions())
