"""Label Studio: JSON with polygons and brushes; what its converter makes of it: COCO, YOLO, PNGs of brushes."""

import json

import numpy as np
from label_studio_sdk.converter import Converter, brush
from PIL import Image, ImageDraw

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


def _brush(mask):
    """A mask in the code of Label Studio's brushes, of 0 and 255."""

    return brush.mask2rle(mask.astype(np.uint8) * 255)


LABELS = """<View><Image name="image" value="$image"/>
<PolygonLabels name="label" toName="image"><Label value="dog"/><Label value="car"/><Label value="tree"/></PolygonLabels>
<BrushLabels name="tag" toName="image"><Label value="dog"/><Label value="car"/><Label value="tree"/></BrushLabels>
</View>"""


def _label_studio_tasks(split, kinds):
    """Tasks in the form of Label Studio's server; objects of one part are polygons, others brushes."""
    tasks = []
    for index, (own_split, name, (height, width), objects) in enumerate(photographs()):
        if own_split != split:
            continue
        sides = {"original_width": width, "original_height": height, "image_rotation": 0, "to_name": "image"}
        results = []
        for number, (label, parts) in enumerate(objects):
            if len(parts) == 1 and "polygon" in kinds:
                points = (np.reshape(parts[0], [-1, 2]) / (width, height) * 100).tolist()
                value = {"points": points, "closed": True, "polygonlabels": [label]}
                results.append({"id": f"{name}{number}", "type": "polygonlabels", "from_name": "label", "value": value})
            elif "brush" in kinds:
                mask = _drawn_by_pillow(parts, (height, width))
                value = {"format": "rle", "rle": _brush(mask), "brushlabels": [label]}
                results.append({"id": f"{name}{number}", "type": "brushlabels", "from_name": "tag", "value": value})
        annotation = {"id": 70 + index, "completed_by": 1, "was_cancelled": False, "ground_truth": False}
        annotation["result"] = [result | sides for result in results]
        image = f"/data/upload/1/{index:08x}-{name}.jpg"
        tasks.append({"id": 40 + index, "annotations": [annotation], "predictions": [], "data": {"image": image}})
    return tasks


def _drawn_by_pillow(parts, size):
    """[height, width] bool: polygons as Pillow fills them, with their outline."""
    image = Image.new("1", size[::-1])
    for part in parts:
        ImageDraw.Draw(image).polygon(part, fill=1, outline=1)
    return np.array(image)


def make():
    for kind, kinds in (("JSON", "polygon brush"), ("COCO", "polygon"), ("YOLO", "polygon"), ("BRUSH_TO_PNG", "brush")):
        export, truth = fresh(f"label_studio_{kind.lower()}")
        for split in SCENES:
            tasks = _label_studio_tasks(split, kinds.split())
            folder = export / split
            folder.mkdir()
            path = folder / "project-1.json"
            path.write_text(json.dumps(tasks))
            for index, (own_split, name, size, objects) in enumerate(photographs()):
                if own_split != split:
                    continue
                inside = "images" if kind in ("COCO", "YOLO") else ""
                save_picture(folder / inside / f"{index:08x}-{name}.jpg", size, index)
                has_brush = [len(parts) > 1 or kind == "BRUSH_TO_PNG" for _, parts in objects]
                masks = [
                    (label, _drawn_by_pillow(parts, size) if brush else coco_mask(parts, size))
                    for (label, parts), brush in zip(objects, has_brush, strict=True)
                    if not brush or "brush" in kinds
                ]
                save_truth(truth, CLASSES, split, f"{index:08x}-{name}", *painted(size, masks))
            if kind != "JSON":
                converter = Converter(LABELS, project_dir=str(folder), upload_dir=str(folder / "images"))
                options = {"image_dir": str(folder / "images")} if kind in ("COCO", "YOLO") else {}
                converter.convert(str(path), str(folder), kind, is_dir=False, **options)
                if kind == "BRUSH_TO_PNG":  # which photograph a mask is of, only this or JSON says
                    converter.convert(str(path), str(folder), "JSON_MIN", is_dir=False)
                path.unlink()


if __name__ == "__main__":
    make()
