"""Exports of annotation tools: a folder of each format, with the toy photos."""

import base64
import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.fuzz import data_sets, pictures
from tests.fuzz.kind import Kind, Target
from tfseg.data import opening
from tfseg.data.conversion.raw import ConvertOptions

POINTS = [[2.5, 2.5], [9.5, 3.5], [7.5, 9.5]]  # fractions, so that one more is no damage
FLAT = [value for point in POINTS for value in point]


def _size():
    return pictures.class_ids().shape


def _coco(folder):
    data_sets.write_images(folder / "raw")
    height, width = _size()
    names = sorted(path.name for path in (folder / "raw/images").iterdir())
    runs = {"size": [height, width], "counts": [5, 7, height * width - 12]}
    content = {
        "images": [{"id": i, "file_name": name, "height": height, "width": width} for i, name in enumerate(names)],
        "categories": [{"id": 3, "name": "road"}, {"id": 7, "name": "car"}],
        "annotations": [
            {"id": 2 * i + j, "image_id": i, "category_id": category, "segmentation": segmentation} | crowd
            for i in range(len(names))
            for j, (category, segmentation, crowd) in enumerate([(3, [FLAT], {}), (7, runs, {"iscrowd": 1})])
        ],
    }
    (folder / "raw" / "instances.json").write_text(json.dumps(content, indent=1))


def _labelme(folder):
    data_sets.write_images(folder / "raw")
    height, width = _size()
    buffer = io.BytesIO()
    Image.fromarray(np.full([2, 3], 255, np.uint8)).save(buffer, "PNG")
    shapes = [
        {"label": "road", "points": POINTS, "shape_type": "polygon", "group_id": 1},
        {"label": "car", "points": POINTS[:2], "shape_type": "circle", "group_id": None},
        {
            "label": "car",
            "points": [[1.0, 1.0], [3.0, 2.0]],
            "shape_type": "mask",
            "group_id": None,
            "mask": base64.b64encode(buffer.getvalue()).decode(),
        },
    ]
    for picture in sorted((folder / "raw/images").iterdir()):
        content = {"imagePath": picture.name, "imageHeight": height, "imageWidth": width, "shapes": shapes}
        picture.with_suffix(".json").write_text(json.dumps(content, indent=1))


def _yolo(folder):
    data_sets.write_images(folder / "raw")
    (folder / "raw/labels").mkdir()
    height, width = _size()
    text = " ".join(f"{x / width:.6f} {y / height:.6f}" for x, y in POINTS)
    for picture in (folder / "raw/images").iterdir():
        (folder / "raw/labels" / f"{picture.stem}.txt").write_text(f"0 {text}\n1 {text}\n")
    (folder / "raw/data.yaml").write_text("names:\n  0: road\n  1: car\nnc: 2\n")


def _cvat(folder):
    data_sets.write_images(folder / "raw")
    height, width = _size()
    points = ";".join(f"{x},{y}" for x, y in POINTS)
    images = "".join(
        f'<image name="{path.name}" width="{width}" height="{height}">\n'
        f'<polygon label="road" points="{points}" z_order="0"/>\n'
        f'<mask label="car" rle="1, 4, 1" left="1" top="1" width="3" height="2" z_order="1"/>\n</image>\n'
        for path in sorted((folder / "raw/images").iterdir())
    )
    labels = "".join(f"<label><name>{name}</name></label>" for name in ("road", "car"))
    text = f"<annotations>\n<meta><task><labels>{labels}</labels></task></meta>\n{images}</annotations>\n"
    (folder / "raw/annotations.xml").write_text(text)


def _label_studio(folder):
    data_sets.write_images(folder / "raw")
    height, width = _size()
    value = {"points": [[100 * x / width, 100 * y / height] for x, y in POINTS], "polygonlabels": ["road"]}
    result = {"id": "a", "type": "polygonlabels", "original_width": width, "original_height": height, "value": value}
    tasks = [
        {"id": i, "data": {"image": f"/data/upload/1a2b3c4d-{path.name}"}, "annotations": [{"result": [result]}]}
        for i, path in enumerate(sorted((folder / "raw/images").iterdir()))
    ]
    (folder / "raw/project.json").write_text(json.dumps(tasks, indent=1))


def _cvat_masks(folder):
    data_sets.write_images(folder / "raw")
    colors = np.array([(0, 0, 0), *data_sets.COLORS[:2]], np.uint8)
    ids = np.where(pictures.class_ids() > 2, 0, pictures.class_ids())
    for kind in ("SegmentationClass", "SegmentationObject"):
        (folder / "raw" / kind).mkdir()
        for stem in data_sets.STEMS:
            Image.fromarray(colors[ids]).save(folder / "raw" / kind / f"{stem}.png")
    rows = zip(("background", "road", "car"), colors.tolist(), strict=True)
    text = "".join(f"{name}:{','.join(map(str, color))}::\n" for name, color in rows)
    (folder / "raw/labelmap.txt").write_text(f"# label:color_rgb:parts:actions\n{text}")


def _voc_masks(folder):
    data_sets.write_images(folder / "raw")
    ids = np.where(pictures.class_ids() > 2, 0, pictures.class_ids()).astype(np.uint8)
    for kind in ("SegmentationClass", "SegmentationObject"):
        (folder / "raw" / kind).mkdir()
        for stem in data_sets.STEMS:
            Image.fromarray(ids).save(folder / "raw" / kind / f"{stem}.png")
    (folder / "raw/labels.txt").write_text("background\nroad\ncar\n")


def _label_studio_masks(folder):
    data_sets.write_images(folder / "raw")
    tasks = []
    for number, path in enumerate(sorted((folder / "raw/images").iterdir())):
        mask = np.where(pictures.class_ids() == 1, 255, 0).astype(np.uint8)
        Image.fromarray(mask).save(folder / "raw" / f"task-{number}-annotation-9-by-1-tag-road-0.png")
        task = {"id": number, "image": f"/data/upload/1a2b3c4d-{path.name}", "tag": [{"brushlabels": ["road"]}]}
        tasks.append(task | {"annotator": 1, "annotation_id": 9})
    (folder / "raw/result.json").write_text(json.dumps(tasks, indent=1))


def _converted(prepared, path):
    """Converts the raw folder; returns what the records and their manifest say."""
    manifest = opening.prepare("folder", "raw", "records", ConvertOptions(num_workers=1))
    shards = {path.name: path.read_bytes() for path in Path("records").glob("*.tfrecord")}
    return {"manifest": manifest.to_dict() | {"source": None}, "shards": shards}


def _kind(name, make, *targets):
    return Kind(name, targets, make, _converted, known_as=("raw:", "raw/", "annotations", "--annotations"))


KINDS = (
    _kind("COCO instances", _coco, Target("raw/instances.json", "json")),
    _kind("labelme", _labelme, Target("raw/images/a.json", "json")),
    _kind("YOLO", _yolo, Target("raw/labels/b.txt", "text"), Target("raw/data.yaml", "text")),
    _kind("CVAT", _cvat, Target("raw/annotations.xml", "text")),
    _kind("Label Studio", _label_studio, Target("raw/project.json", "json")),
    _kind(
        "CVAT masks",
        _cvat_masks,
        Target("raw/labelmap.txt", "text"),
        Target("raw/SegmentationClass/b.png", has_checksum=True),
        Target("raw/SegmentationObject/b.png", has_checksum=True),
    ),
    _kind(
        "PASCAL VOC masks",
        _voc_masks,
        Target("raw/labels.txt", "text"),
        Target("raw/SegmentationClass/b.png", has_checksum=True),
        Target("raw/SegmentationObject/b.png", has_checksum=True),
    ),
    _kind(
        "Label Studio masks",
        _label_studio_masks,
        Target("raw/result.json", "json"),
        Target("raw/task-1-annotation-9-by-1-tag-road-0.png", has_checksum=True),
    ),
)
