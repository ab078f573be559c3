"""YOLO's format of segments: a text file for each photo, and data.yaml with the names of the classes.

https://docs.ultralytics.com/datasets/segment. A line is one object: class x1 y1 x2 y2 ..., as shares of width and
height. It has one polygon: parts and holes are reached by bridges of no width. There is no place for scores.
"""

import json
from pathlib import Path

from tfseg.formats.object_files.object_writer import ObjectFileOptions, PhotoObjects, written_classes
from tfseg.labels import DatasetInfo
from tfseg.postprocess.outlines import joined

LABELS, NAMES_FILE = "labels", "data.yaml"
HEADER = """# Classes of the files in labels/. The photos belong into images/ beside it.
path: .
train: images
val: images
"""


class YoloWriter:
    """See `ObjectWriter`. Classes are counted from 0, without a background."""

    is_whole_call = False

    def __init__(self, folder, info: DatasetInfo, options: ObjectFileOptions):
        self._folder, self._info, self._options = Path(folder), info, options
        self.shared = (self._folder / NAMES_FILE,)
        self._classes = written_classes(info)

    def results(self, name: str) -> list[Path]:
        return [self._folder / LABELS / f"{name}.txt"]

    def add(self, photo: PhotoObjects) -> list[bytes]:
        height, width = photo.size
        lines = []
        for found in photo.objects:
            corners = joined(found.outlines(self._options.simplify_px)) / (width, height)
            # Six decimals are a fifteenth of a pixel in the widest image, 65,500 pixels.
            words = [f"{share:.6f}".rstrip("0").rstrip(".") for share in corners.ravel().tolist()]
            lines.append(" ".join([str(self._classes.index(found.class_id)), *words]) + "\n")
        return ["".join(lines).encode()]

    def close(self) -> list[bytes]:
        # A JSON text is a YAML text, too; it needs no thought about names with colons or quotes.
        names = [
            f"  {index}: {json.dumps(self._info.class_names[class_id], ensure_ascii=False)}\n"
            for index, class_id in enumerate(self._classes)
        ]
        return ["".join([HEADER, "names:\n" if names else "names: {}\n", *names]).encode()]
