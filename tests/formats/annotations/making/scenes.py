"""What all exports show, and how their truth is written."""

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

EXPORTS = Path(__file__).resolve().parents[1] / "exports"
CLASSES = ("dog", "car", "tree")
LETTER_L = [2, 17, 12, 17, 12, 21, 7, 21, 7, 29, 2, 29]
# {split: {photograph: ((height, width), [(class, polygons of one object)])}}; later objects lie above earlier ones.
SCENES = {
    "train": {
        "street": (
            (32, 40),
            [
                ("dog", [[4, 4, 16, 4, 16, 14, 4, 14]]),
                ("car", [[16, 4, 30, 4, 30, 20, 16, 20]]),  # touches the dog
                ("car", [LETTER_L, [18.5, 22.5, 26.5, 22.5, 22, 30.5]]),  # two parts
                ("tree", [[26, 10, 38, 12.5, 33, 26]]),  # lies on the first car
            ],
        ),
        "park": (
            (24, 30),
            [("tree", [[1, 1, 9, 1, 9, 22, 1, 22]]), ("dog", [[12.25, 6.75, 28, 3, 27.5, 20.5, 14, 18]])],
        ),
    },
    "val": {
        "yard": ((30, 24), [("car", [[3, 8, 21, 6, 20, 22, 5, 25]]), ("dog", [[8, 10, 15, 10, 15, 17, 8, 17]])]),
        "sky": ((26, 26), []),
    },
}


def photographs():
    for split, scenes in SCENES.items():
        for name, (size, objects) in scenes.items():
            yield split, name, size, objects


def picture(size, seed=0):
    """[height, width, 3] uint8: two ramps, and a third that tells photographs apart."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    return np.stack([rows * 8, columns * 6, np.full(size, 40 * seed)], -1).astype(np.uint8)


def fresh(name):
    """Returns the empty folders of an export and of its truth."""
    shutil.rmtree(EXPORTS / name, ignore_errors=True)
    folders = EXPORTS / name / "export", EXPORTS / name / "truth"
    for folder in folders:
        folder.mkdir(parents=True)
    return folders


def save_picture(path, size, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture(size, seed)).save(path)


def save_truth(folder, names, split, name, classes, objects):
    """Writes the truth of a photograph; class 0 is what no object covers, class k is names[k - 1]."""
    (folder / "classes.txt").write_text("\n".join(["background", *names]) + "\n")
    for kind, values in (("classes", classes), ("objects", objects)):
        Image.fromarray(np.asarray(values, np.uint8)).save(folder / f"{split}_{name}_{kind}.png")


def painted(size, masks, names=CLASSES):
    """(classes, objects) of [(class name, [height, width] bool)], later ones above earlier ones."""
    classes, objects = np.zeros([2, *size], np.uint8)
    for number, (name, mask) in enumerate(masks, 1):
        classes[mask], objects[mask] = names.index(name) + 1, number
    return classes, objects


def coco_mask(polygons, size):
    """[height, width] bool: what pycocotools says that polygons cover."""
    from pycocotools import mask

    return mask.decode(mask.merge(mask.frPyObjects(polygons, *size))).astype(bool)


def ring(size, outer, inner):
    """A rectangle with a rectangular hole; each is (left, top, right, bottom)."""
    mask = np.zeros(size, bool)
    mask[outer[1] : outer[3], outer[0] : outer[2]] = True
    mask[inner[1] : inner[3], inner[0] : inner[2]] = False
    return mask


RING = (14, 15, 26, 29), (18, 18, 22, 25)  # a dog with a hole, added to "street" where a tool has masks
