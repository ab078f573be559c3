"""Ultralytics: the text files that it makes of COCO's, in which parts of an object are joined by bridges."""

import json
import shutil

import numpy as np
from ultralytics.data.converter import convert_coco

from tests.formats.annotations.making.scenes import (
    CLASSES,
    SCENES,
    coco_mask,
    fresh,
    painted,
    photographs,
    save_picture,
    save_truth,
)


def make():
    export, truth = fresh("ultralytics")
    annotations = export / "coco"
    annotations.mkdir()
    for split in SCENES:
        content = {"images": [], "annotations": []}
        content["categories"] = [{"id": number, "name": name} for number, name in enumerate(CLASSES, 1)]
        for index, (own_split, name, size, objects) in enumerate(photographs()):
            if own_split != split:
                continue
            save_picture(export / "images" / split / f"{name}.jpg", size, index)
            content["images"].append({"id": index, "file_name": f"{name}.jpg", "height": size[0], "width": size[1]})
            for label, parts in objects:
                corners = np.concatenate([np.reshape(part, [-1, 2]) for part in parts])
                left, top, right, bottom = *corners.min(0), *corners.max(0)
                content["annotations"].append(
                    {
                        "id": len(content["annotations"]),
                        "image_id": index,
                        "category_id": CLASSES.index(label) + 1,
                        "segmentation": parts,
                        "bbox": [float(left), float(top), float(right - left), float(bottom - top)],
                        "iscrowd": 0,
                    }
                )
            masks = [(label, coco_mask(parts, size)) for label, parts in objects]
            save_truth(truth, CLASSES, split, name, *painted(size, masks))
        (annotations / f"instances_{split}.json").write_text(json.dumps(content))
    convert_coco(str(annotations), str(export / "made"), use_segments=True, cls91to80=False)
    for split in SCENES:
        shutil.move(export / "made/labels" / split, export / "labels" / split)
    shutil.rmtree(annotations)
    shutil.rmtree(export / "made")
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    (export / "data.yaml").write_text(f"path: ../datasets/mine\ntrain: images/train\nval: images/val\nnames:\n{names}")


if __name__ == "__main__":
    make()
