"""Knows labels of other tools when it sees them among masks, or in a format that is not read, to say what they are."""

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path

from tfseg.errors import InputError
from tfseg.system.files import open_regular

SAMPLE_BYTES = 1 << 20
ENDINGS = (".json", ".txt", ".xml", ".npy", ".npz", ".mat")
NUMBER = r"-?\d+(\.\d+)?([eE]-?\d+)?"
YOLO_LINE = re.compile(rf"\d+( {NUMBER}){{4,}}\s*")
ARRAYS = {".npy": "a NumPy array", ".npz": "a file of NumPy arrays", ".mat": "a MATLAB file"}
LABELME, COCO, YOLO = "an annotation of labelme (JSON)", "a file of COCO annotations (JSON)", "a label of YOLO (text)"
READABLE = (LABELME, COCO, YOLO)  # in place of masks, by `formats.annotations`
BRUSH, JSON_MIN = "a brush of Label Studio as a NumPy array", "Label Studio's JSON-MIN"
NOT_EXPORTED_SO = {BRUSH: "export JSON, or brush labels to PNG", JSON_MIN: "export JSON"}
BRUSH_NAME = re.compile(r"task-\d+-annotation-\d+-by-.*")


@dataclasses.dataclass(frozen=True)
class ForeignLabel:
    """A label that is no mask.

    Attributes:
      path: the file.
      kind: what it is, for a message.
    """

    path: Path
    kind: str

    def advice(self, raw_dir: Path) -> str:
        """Says in a message about `raw_dir` what the file is, and what to do."""
        name = self.path.relative_to(raw_dir).as_posix()
        if self.kind in NOT_EXPORTED_SO:
            return f"{name} is {self.kind}, which is not read; {NOT_EXPORTED_SO[self.kind]} from the same project"
        if self.kind in READABLE:
            advice = "masks and annotations are not mixed: --annotations=DIR reads it in place of masks"
            return f"{name} is {self.kind}; {advice}"
        return f"{name} is {self.kind}; labels are read from pictures only: convert them to PNGs of class ids in masks/"


def first_foreign_label(folders: Iterable[Path]) -> ForeignLabel | None:
    """Returns the first label of another tool in some folders, or None."""
    for folder in folders:
        for path in sorted(folder.iterdir()):
            kind = _kind(path)
            if kind:
                return ForeignLabel(path, kind)
    return None


def foreign_label_of(image: Path, folders: Iterable[Path]) -> ForeignLabel | None:
    """Returns the label of another tool that an image has in one of some folders, or None."""
    paths = [folder / f"{image.stem}{ending}" for folder in folders for ending in ENDINGS]
    return next((ForeignLabel(path, kind) for path in paths if path.exists() and (kind := _kind(path))), None)


def _kind(path):
    ending = path.suffix.lower()
    if ending not in ENDINGS or path.name.startswith("."):
        return None
    if ending in ARRAYS:
        return BRUSH if ending == ".npy" and BRUSH_NAME.fullmatch(path.stem) else ARRAYS[ending]
    try:
        with open_regular(path) as file:
            text = file.read(SAMPLE_BYTES).decode(errors="replace").lstrip("\ufeff \t\r\n")
    except (InputError, OSError):
        return None
    if ending == ".xml":
        return "an annotation of PASCAL VOC (XML)" if "<annotation" in text else None
    if ending == ".txt":
        return YOLO if YOLO_LINE.fullmatch(text.partition("\n")[0]) else None
    return _kind_of_json(text)


def _kind_of_json(text):
    try:
        values = json.loads(text)
        first = values[0] if isinstance(values, list) and values else values
        keys = set(first) if isinstance(first, dict) else set()
    except (ValueError, RecursionError):  # also what is longer than the sample
        keys = set(re.findall(r'"(\w+)"\s*:', text))
    if {"annotation_id", "annotator"} <= keys:
        return JSON_MIN
    if "shapes" in keys:
        return LABELME
    if {"annotations", "images"} <= keys or {"annotations", "categories"} <= keys:
        return COCO
    return "a JSON file" if "imagePath" in keys or "objects" in keys or "regions" in keys else None
