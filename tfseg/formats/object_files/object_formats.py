"""The table of formats in which objects are written."""

from tfseg.formats.object_files.coco_writer import CocoWriter
from tfseg.formats.object_files.labelme_writer import LabelmeWriter
from tfseg.formats.object_files.object_writer import ObjectWriter
from tfseg.formats.object_files.yolo_writer import YoloWriter

FORMATS: dict[str, type[ObjectWriter]] = {"coco": CocoWriter, "labelme": LabelmeWriter, "yolo": YoloWriter}
