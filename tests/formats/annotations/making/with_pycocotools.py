"""pycocotools: compressed masks of objects and of a crowd; val numbers the classes differently."""

import json

import numpy as np
from pycocotools import mask as coco
from pycocotools.coco import COCO

from tests.formats.annotations.making.scenes import (
    CLASSES,
    RING,
    SCENES,
    coco_mask,
    fresh,
    painted,
    photographs,
    ring,
    save_picture,
    save_truth,
)


def make():
    export, truth = fresh("pycocotools")
    for split in SCENES:
        names = CLASSES if split == "train" else CLASSES[::-1]
        content = {"info": {}, "images": [], "annotations": []}
        content["categories"] = [{"id": 7 * number, "name": name} for number, name in enumerate(names, 1)]
        truths = {}
        for index, (own_split, name, size, objects) in enumerate(photographs()):
            if own_split != split:
                continue
            save_picture(export / f"{split}2017" / f"{name}.jpg", size, index)
            image_id = 1000 + index
            content["images"].append({"id": image_id, "file_name": f"{name}.jpg", "height": size[0], "width": size[1]})
            masks = [(label, coco_mask(parts, size)) for label, parts in objects]
            masks += [("dog", ring(size, *RING))] if name == "street" else []
            for label, mask in masks:
                packed = coco.encode(np.asfortranarray(mask, np.uint8))
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]) + 5,
                        "image_id": image_id,
                        "category_id": 7 * names.index(label) + 7,
                        "segmentation": {"size": list(size), "counts": packed["counts"].decode()},
                        "area": int(coco.area(packed)),
                        "bbox": coco.toBbox(packed).tolist(),
                        "iscrowd": 0,
                    }
                )
            truths[image_id] = name, size
        path = export / "annotations" / f"instances_{split}2017.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(content))
        api = COCO(str(path))
        for image_id, (name, size) in truths.items():
            found = api.loadAnns(api.getAnnIds(image_id))
            masks = [(api.cats[each["category_id"]]["name"], api.annToMask(each).astype(bool)) for each in found]
            save_truth(truth, CLASSES, split, name, *painted(size, masks))


if __name__ == "__main__":
    make()
