"""COCO's JSON of instances (Lin et al. 2014, cocodataset.org/#format-data), which most tools can write.

{"images": [{"id", "file_name", "height", "width"}], "categories": [{"id", "name"}], "annotations": [{"id", "image_id",
"category_id", "iscrowd", "segmentation"}]}. A segmentation is a list of polygons, or an RLE, compressed or not. Ids are
those of one file: what joins files is the names of categories.

CVAT and Datumaro mark every mask as a crowd. Their files are known by the licence that they put in.
"""

import dataclasses
import sys
from collections import Counter
from pathlib import Path

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
from tfseg.formats.coco_panoptic.json_file import (
    IMAGE_ID,
    LINE,
    LIST,
    OBJECT,
    TRUTH,
    WHOLE_NUMBER,
    Kind,
    shown,
    value_of,
)

ENDINGS = (".json",)
SIDE = Kind("a whole number of pixels", lambda value: type(value) is int and 0 < value < 1 << 20)
KEYS = ("images", "annotations", "categories")
NO_LICENSES = [{"name": "", "id": 0, "url": ""}]  # of CVAT and Datumaro


def is_one(path: Path) -> bool:
    """Whether a file seems to hold COCO instances; one of panoptic segments, of captions or of keypoints does not."""
    is_whole = documents.has_keys(path, KEYS, ("segments_info", "keypoints"))
    return is_whole or documents.has_keys(path, ("images", "segmentation"), ("segments_info", "keypoints"))


def read(files: AnnotationFiles) -> AnnotationSet:
    """Reads the files; those of one set may number categories differently.

    Raises:
      InputError: a file as a whole cannot be used; the message names it.
    """
    found, unused, groups = AnnotationSet(), Counter(), set()
    for path in files.paths:
        names, supercategories, num_objects = _read_file(path, found)
        groups |= supercategories
        for name in names:
            unused[name] += num_objects[name]
    # Roboflow puts a category before the others that only names their group.
    dropped = [name for name in found.class_names if name in groups and not unused[name]]
    if dropped and len(dropped) < len(found.class_names):
        found.class_names = [name for name in found.class_names if name not in dropped]
        found.notes.append(f"note: no class: {shortened(dropped[0])}, a category without objects that names a group")
    return found


def _read_file(path, found):
    """Adds what a file holds to `found`; returns (names of its categories, their groups, objects of each name)."""
    content = documents.read_json(path)
    if not isinstance(content, dict):
        raise InputError(f"{path}: a JSON {type(content).__name__}, not an object with images; name another file")
    categories, groups = _categories(content, path, found)
    images, problems = _images(content, path)
    objects = {image_id: [] for image_id in images}
    for index, entry in enumerate(_entries(content, "annotations", path)):
        try:
            image_id = _image_of(entry, images, f"{path}: annotations[{index}]")
            if image_id not in problems:
                objects[image_id].append(_object(entry, categories, images[image_id], index))
        except _ObjectError as error:
            problems[error.image_id] = str(error)
        except InputError as error:
            found.problems.append(str(error))
    for image_id, (image, _) in images.items():
        if image_id not in problems:
            found.photographs.append(
                AnnotatedPhotograph(image["file_name"], str(path), _size(image), tuple(objects[image_id]))
            )
    found.problems += problems.values()
    if content.get("licenses") == NO_LICENSES:
        _unmark_masks(found, path)
    counts = Counter(each.class_name for several in objects.values() for each in several)
    return list(categories.values()), groups, counts


def _unmark_masks(found, path):
    """Makes objects of the crowds in a file whose writer marks every mask as one, and says so."""
    num_masks = 0
    for index, photograph in enumerate(found.photographs):
        if photograph.annotation_path == str(path):
            num_masks += sum(each.is_crowd for each in photograph.objects)
            objects = tuple(dataclasses.replace(each, is_crowd=False) for each in photograph.objects)
            found.photographs[index] = dataclasses.replace(photograph, objects=objects)
    if num_masks:
        found.notes.append(
            f"note: {path.name}: {num_masks} masks are marked as crowds, as CVAT and Datumaro mark all: read as objects"
        )


class _ObjectError(InputError):
    """An object cannot be used, and so neither can its image."""

    def __init__(self, message, image_id):
        super().__init__(message)
        self.image_id = image_id


def _entries(content, key, path):
    if not isinstance(content.get(key), list):
        raise InputError(f"{path}: no list of {key}; export the annotations again, as COCO instances")
    for index, entry in enumerate(content[key]):
        if not OBJECT.accepts(entry):
            raise InputError(f"{path}: {key}[{index}] is {shown(entry)}; it must be {OBJECT.name}")
    return content[key]


def _categories(content, path, found):
    """Returns ({category id: name}, names of groups), and adds the names to `found`."""
    categories, groups = {}, set()
    for index, entry in enumerate(_entries(content, "categories", path)):
        place = f"{path}: categories[{index}]"
        category_id, name = value_of(entry, "id", WHOLE_NUMBER, place), value_of(entry, "name", LINE, place)
        if category_id in categories or name in categories.values():
            what = f"id {category_id}" if category_id in categories else f"name {shown(name)}"
            raise InputError(f"{path}: two categories have the {what}; rename or delete one")
        categories[category_id] = sys.intern(name)
        if entry.get("supercategory") not in (None, "", "none", name):
            groups.add(str(entry["supercategory"]))
        if value_of(entry, "isthing", TRUTH, place, optional=True) == 0:
            found.stuff.add(name)
    if not categories:
        raise InputError(f"{path}: no categories; export the annotations again, with their classes")
    found.class_names += [name for name in categories.values() if name not in found.class_names]
    return categories, groups


def _images(content, path):
    """Returns ({image id: (entry, place)}, {image id: what is wrong with it})."""
    images, problems = {}, {}
    for index, entry in enumerate(_entries(content, "images", path)):
        place = f"{path}: images[{index}]"
        image_id = value_of(entry, "id", IMAGE_ID, place)
        if image_id in images:
            raise InputError(f"{path}: two images have the id {shown(image_id)}; number them anew or delete one")
        name = value_of(entry, "file_name", LINE, place)
        images[image_id] = entry, f"{path}: {shortened(name)}"
        try:
            for side in ("height", "width"):
                if entry.get(side) is not None:
                    value_of(entry, side, SIDE, images[image_id][1])
        except InputError as error:
            problems[image_id] = str(error)
    return images, problems


def _size(image):
    sides = image.get("height"), image.get("width")
    return None if None in sides else sides


def _image_of(entry, images, place):
    image_id = value_of(entry, "image_id", IMAGE_ID, place)
    if image_id not in images:
        raise InputError(f"{place}: image_id {shown(image_id)} is the id of no image; delete the object")
    return image_id


def _object(entry, categories, image, index):
    image, place = image
    name = f"annotation {shown(entry['id'])}" if "id" in entry else f"annotations[{index}]"
    try:
        category_id = value_of(entry, "category_id", WHOLE_NUMBER, f"{place}: {name}")
        if category_id not in categories:
            raise InputError(f"{place}: {name}: category_id {category_id} is the id of no category; give it a class")
        name = f"{name} ({shortened(categories[category_id], 40)})"
        is_crowd = bool(value_of(entry, "iscrowd", TRUTH, f"{place}: {name}", optional=True))
        shapes = _shapes(entry, f"{place}: {name}")
        for shape in shapes:
            if isinstance(shape, run_lengths.RunLengths) and _size(image) not in (None, shape.size):
                raise InputError(
                    f"{place}: {name}: an RLE of size {list(shape.size)} in an image of {list(_size(image))} (height, "
                    "width); export the annotations again, or delete the object"
                )
    except InputError as error:
        raise _ObjectError(str(error), entry["image_id"]) from None
    return AnnotatedObject(categories[category_id], shapes, name, is_crowd)


def _shapes(entry, place):
    segmentation = entry.get("segmentation")
    if isinstance(segmentation, dict):
        return (run_lengths.from_coco(segmentation, place),)
    if segmentation is not None and not LIST.accepts(segmentation):
        raise InputError(f"{place}: the segmentation is {shown(segmentation)}; it must be polygons or an RLE")
    if segmentation:
        rings = segmentation if isinstance(segmentation[0], list) else [segmentation]
        return (Polygons(tuple(points_of(ring, place) for ring in rings)),)
    box = entry.get("bbox")
    is_box = isinstance(box, list) and len(box) == 4 and all(type(side) in (int, float) for side in box)
    if entry.get("area") == 0 or (is_box and min(box[2:]) == 0):
        return ()
    found = "a box but no outline, and boxes are not segmented" if is_box else "no outline"
    raise InputError(f"{place}: has {found}; outline or delete it")
