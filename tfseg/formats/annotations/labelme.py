"""labelme's JSON (github.com/wkentaro/labelme): a file for every photograph, in general beside it.

{"imagePath", "imageHeight", "imageWidth", "shapes": [{"label", "points", "shape_type", "group_id", "mask"}]}. Shapes of
one label and one group_id, if it is not null, are one object. A circle becomes the polygon that labelme's own export
makes of it. Later shapes lie above earlier ones.
"""

import base64
import io
import math
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, shortened
from tfseg.formats.annotations import documents, run_lengths
from tfseg.formats.annotations.photograph import (
    AnnotatedObject,
    AnnotatedPhotograph,
    AnnotationFiles,
    AnnotationSet,
    Polygons,
    points_of,
)
from tfseg.formats.coco_panoptic.json_file import LINE, LIST, OBJECT, Kind, shown, value_of
from tfseg.formats.image_file import MAX_PIXELS, opened

ENDINGS = (".json",)
SIDE = Kind("a whole number of pixels", lambda value: type(value) is int and 0 < value < 1 << 20)
MIN_CIRCLE_POINTS = 12


def is_one(path: Path) -> bool:
    """Whether a file seems to be labelme's."""
    return documents.has_keys(path, ("shapes", "imagePath"))


def read(files: AnnotationFiles) -> AnnotationSet:
    """Reads the files. One that cannot be used is a problem, as its photograph then is."""
    found = AnnotationSet()
    pictures = {}
    for picture in files.pictures:
        pictures.setdefault((picture.parent, picture.stem), []).append(picture)
    for path in files.paths:
        try:
            found.photographs.append(_photograph(path, pictures))
        except InputError as error:
            found.problems.append(str(error))
    names = {each.class_name for photograph in found.photographs for each in photograph.objects}
    found.class_names = sorted(names)
    return found


def _photograph(path, pictures):
    content = documents.read_json(path)
    if not OBJECT.accepts(content):
        raise InputError(f"{path}: a JSON {type(content).__name__}, not labelme's object with shapes")
    file_name = value_of(content, "imagePath", LINE, str(path))
    sides = [content.get(key) for key in ("imageHeight", "imageWidth")]
    for key, side in zip(("imageHeight", "imageWidth"), sides, strict=True):
        if side is not None:
            value_of(content, key, SIDE, str(path))
    objects = {}
    for index, shape in enumerate(value_of(content, "shapes", LIST, str(path))):
        place = f"{path}: shapes[{index}]"
        if not OBJECT.accepts(shape):
            raise InputError(f"{place} is {shown(shape)}; it must be {OBJECT.name}")
        label = value_of(shape, "label", LINE, place)
        name = f"shapes[{index}] ({shortened(label, 40)})"
        group = shape.get("group_id")
        key = index if group is None else (label, str(group))
        before = objects.pop(key, None)  # a group lies where its last shape does
        shapes = _shapes(shape, f"{path}: {name}")
        objects[key] = AnnotatedObject(label, (before.shapes if before else ()) + shapes, name)
    size = None if None in sides else tuple(sides)
    return AnnotatedPhotograph(file_name, str(path), size, tuple(objects.values()), _beside(path, file_name, pictures))


def _beside(path, file_name, pictures):
    """Returns the picture in the JSON file's folder that it belongs to, by the name in it or by its own; or None."""
    name = file_name.replace("\\", "/").rpartition("/")[2]
    named = [picture for picture in pictures.get((path.parent, Path(name).stem), []) if picture.name == name]
    alike = named or pictures.get((path.parent, path.stem), [])
    return alike[0] if len(alike) == 1 else None


def _shapes(shape, place):
    kind = shape.get("shape_type") or "polygon"
    if kind == "mask":
        return (_mask(shape, place),)
    if kind not in ("polygon", "rectangle", "oriented_rectangle", "circle"):
        raise InputError(f"{place}: a {shown(kind)} covers no pixels; draw a polygon, or delete it")
    points = value_of(shape, "points", LIST, place)
    if kind in ("polygon", "oriented_rectangle"):
        return (Polygons((points_of(points, place),)),)
    if len(points) != 2:
        raise InputError(f"{place}: a {kind} has {len(points)} points in place of 2; draw it again or delete it")
    (x, y), (other_x, other_y), _ = points_of([*points, points[0]], place)
    if kind == "rectangle":
        return (Polygons((np.array([[x, y], [other_x, y], [other_x, other_y], [x, other_y]]),)),)
    return (Polygons((_circle(x, y, math.hypot(x - other_x, y - other_y)),)),)


def _circle(x, y, radius):
    """Returns as many points as keep within a pixel of the circle, but 12 or more, as labelme's export of COCO does."""
    num = max(int(math.pi / math.acos(1 - 1 / radius)), MIN_CIRCLE_POINTS) if radius > 1 else MIN_CIRCLE_POINTS
    angles = 2 * math.pi / num * np.arange(num)
    return np.stack([x + radius * np.sin(angles), y + radius * np.cos(angles)], -1)


def _mask(shape, place):
    """Reads a picture of 0 and 1 or 255 in base64, whose corners are the two points."""
    (left, top), *_ = points_of([*value_of(shape, "points", LIST, place), [0, 0]], place)
    try:
        content = base64.b64decode(value_of(shape, "mask", LINE, place), validate=True)
    except ValueError as error:  # of what is not ASCII, or not base64
        raise InputError(f"{place}: a mask that is not base64 ({error}); draw the object again or delete it") from None
    with opened(io.BytesIO(content), MAX_PIXELS, path=f"{place}: the mask") as image:
        mask = np.array(image)
    if mask.ndim != 2:
        raise InputError(f"{place}: a mask with colours; draw the object again or delete it")
    return run_lengths.of_mask(mask > 0, (round(top), round(left)))
