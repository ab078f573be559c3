"""COCO's format of instances, with scores: one JSON file for all photos.

https://cocodataset.org/#format-data and, for masks, https://github.com/cocodataset/cocoapi (common/maskApi.c). An
object with holes has a mask, run-length encoded and compressed, because polygons of COCO have no holes.
"""

from pathlib import Path

import numpy as np
from pycocotools import mask as coco_mask

from tfseg.formats.object_files.object_writer import ObjectFileOptions, PhotoObjects, as_json, rounded, written_classes
from tfseg.labels import DatasetInfo

FILE_NAME = "predictions_coco.json"


class CocoWriter:
    """See `ObjectWriter`. Category ids are counted from 1, in the order of the classes without a background."""

    is_whole_call = True

    def __init__(self, folder, info: DatasetInfo, options: ObjectFileOptions):
        self.shared, self._options = (Path(folder) / FILE_NAME,), options
        classes = written_classes(info)
        self._category_ids = {class_id: index for index, class_id in enumerate(classes, 1)}
        self._categories = [
            {"id": index, "name": info.class_names[class_id]} for class_id, index in self._category_ids.items()
        ]
        self._images, self._annotations = [], []

    def results(self, name: str) -> list[Path]:
        return []

    def add(self, photo: PhotoObjects) -> list[bytes]:
        height, width = photo.size
        image_id = len(self._images) + 1
        self._images.append({"id": image_id, "file_name": photo.path.name, "height": height, "width": width})
        for found in photo.objects:
            annotation = {
                "id": len(self._annotations) + 1,
                "image_id": image_id,
                "category_id": self._category_ids[found.class_id],
                "segmentation": self._segmentation(found, photo.size),
                "area": found.area,
                "bbox": [found.left, found.top, *reversed(found.ids.shape)],
                "iscrowd": 0,
            }
            score = {} if found.score is None else {"score": rounded(found.score)}
            self._annotations.append(annotation | score)
        return []

    def close(self) -> list[bytes]:
        content = {
            "info": {"description": "objects found by a model, to be corrected"},
            "licenses": [],
            "images": self._images,
            "categories": self._categories,
            "annotations": self._annotations,
        }
        return [as_json(content)]

    def _segmentation(self, found, size):
        parts = found.outlines(self._options.simplify_px)
        if not self._options.is_rle and not any(part.holes for part in parts):
            return [part.outer.ravel().tolist() for part in parts]
        mask = np.zeros(size, np.uint8, order="F")
        height, width = found.ids.shape
        mask[found.top : found.top + height, found.left : found.left + width] = found.mask
        encoded = coco_mask.encode(mask)
        return {"size": list(size), "counts": encoded["counts"].decode()}
