"""labelme's format: one JSON file for each photo, without the photo in it.

https://github.com/wkentaro/labelme, as of version 5. A shape is one polygon: the parts of an object are shapes with the
same group_id, and a hole is reached by a bridge of no width. labelme keeps the score, which it does not know itself.
"""

import os
from pathlib import Path

from tfseg.formats.object_files.object_writer import ObjectFileOptions, PhotoObjects, as_json, rounded
from tfseg.labels import DatasetInfo
from tfseg.postprocess.outlines import joined

VERSION = "5.5.0"


class LabelmeWriter:
    """See `ObjectWriter`. The photo's path is written as seen from the JSON file's folder."""

    is_whole_call, shared = False, ()

    def __init__(self, folder, info: DatasetInfo, options: ObjectFileOptions):
        self._folder, self._info, self._options = Path(folder), info, options

    def results(self, name: str) -> list[Path]:
        return [self._folder / f"{name}.json"]

    def add(self, photo: PhotoObjects) -> list[bytes]:
        height, width = photo.size
        shapes = []
        for number, found in enumerate(photo.objects, 1):
            parts = found.outlines(self._options.simplify_px)
            group_id = number if len(parts) > 1 else None
            shapes += [self._shape(found, joined([part]), group_id) for part in parts]
        content = {
            "version": VERSION,
            "flags": {},
            "shapes": shapes,
            "imagePath": Path(os.path.relpath(photo.path, self._folder)).as_posix(),
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        }
        return [as_json(content)]

    def close(self) -> list[bytes]:
        return []

    def _shape(self, found, corners, group_id):
        shape = {
            "label": self._info.class_names[found.class_id],
            "points": corners.tolist(),
            "group_id": group_id,
            "description": "",
            "shape_type": "polygon",
            "flags": {},
        }
        return shape if found.score is None else shape | {"score": rounded(found.score)}
