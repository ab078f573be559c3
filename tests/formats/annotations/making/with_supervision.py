"""supervision: COCO and YOLO of masks, whose polygons run through the centres of pixels at their edges."""

import numpy as np
import supervision

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
    for kind in ("coco", "yolo"):
        export, truth = fresh(f"supervision_{kind}")
        for split in SCENES:
            detections, images = {}, {}
            for index, (own_split, name, size, objects) in enumerate(photographs()):
                if own_split != split:
                    continue
                save_picture(export / split / "images" / f"{name}.jpg", size, index)
                masks = [coco_mask(parts[:1], size) for _, parts in objects]
                path = str(export / split / "images" / f"{name}.jpg")
                images[path] = path
                detections[path] = supervision.Detections.empty()
                if masks:
                    detections[path] = supervision.Detections(
                        xyxy=supervision.mask_to_xyxy(np.array(masks)),
                        mask=np.array(masks),
                        class_id=np.array([CLASSES.index(label) for label, _ in objects]),
                    )
                labels = [label for label, _ in objects]
                save_truth(truth, CLASSES, split, name, *painted(size, list(zip(labels, masks, strict=True))))
            dataset = supervision.DetectionDataset(list(CLASSES), list(images), detections)
            if kind == "coco":
                dataset.as_coco(annotations_path=str(export / split / "_annotations.coco.json"))
            else:
                dataset.as_yolo(
                    annotations_directory_path=str(export / split / "labels"), data_yaml_path=str(export / "data.yaml")
                )


if __name__ == "__main__":
    make()
