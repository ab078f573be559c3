"""CVAT's own XML, "CVAT for images 1.1" (docs.cvat.ai/docs/manual/advanced/xml_format): polygons and masks.

<annotations><meta>...<label><name/></label>...</meta><image name width height subset><polygon label points z_order
group_id/><mask label rle left top width height z_order/></image></annotations>. Objects are drawn in the order of
z_order, then of the file. Shapes of one label and one group_id, if it is not 0, are one object. The runs of a mask go
along the rows of its box.
"""

import re
from pathlib import Path
from xml.etree import ElementTree

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

ENDINGS = (".xml",)
SHAPES = ("polygon", "mask")
NO_SHAPES = ("tag", "attribute")  # of the image as a whole
NO_GROUP = (None, "", "0")
NO_SUBSET = (None, "", "default")
MAX_SIDE = 1 << 20


def is_one(path: Path) -> bool:
    """Whether a file seems to be CVAT's, of images or of a video."""
    content = documents.read_bytes(path)
    return b"<annotations" in content and (b"<image " in content or b"<track " in content or b"<meta>" in content)


def read(files: AnnotationFiles) -> AnnotationSet:
    """Reads the files.

    Raises:
      InputError: a file as a whole cannot be used; the message names it.
    """
    found = AnnotationSet()
    for path in files.paths:
        root = _parsed(path)
        if root.find("track") is not None:
            raise InputError(
                f'{path}: tracks of a video; export as "CVAT for images 1.1", with an entry for each frame'
            )
        names = [(label.findtext("name") or "").strip() for label in root.iterfind("meta//label")]
        found.class_names += [name for name in dict.fromkeys(names) if name and name not in found.class_names]
        for image in root.iterfind("image"):
            try:
                found.photographs.append(_photograph(image, path, set(names)))
            except InputError as error:
                found.problems.append(str(error))
    return found


def _parsed(path):
    content = documents.read_bytes(path)
    if b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        raise InputError(f"{path}: XML with a document type, which CVAT does not write; export the annotations again")
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise InputError(f"{path}: damaged XML ({shortened(error, 80)}); export the annotations again") from None


def _photograph(image, path, names):
    file_name = image.get("name") or ""
    place = f"{path}: {shortened(file_name or 'an image without a name', 100)}"
    if not file_name:
        raise InputError(f"{place}; name it, or delete it")
    size = tuple(_whole(image, side, 1, place) for side in ("height", "width"))
    shapes = [element for element in image if element.tag not in NO_SHAPES]
    ordered = sorted(enumerate(shapes), key=lambda pair: _z_order(pair[1], pair[0], place))
    objects = {}
    for index, element in ordered:
        label = element.get("label") or ""
        name = f"{element.tag} {index} ({shortened(label, 40)})"
        if names and label not in names:
            raise InputError(f"{place}: {name}: no label of the task; give the object one of them, or delete it")
        key = index if element.get("group_id") in NO_GROUP else (label, element.get("group_id"))
        before = objects.pop(key, None)  # a group lies where its uppermost shape does
        shape = _shape(element, f"{place}: {name}")
        objects[key] = AnnotatedObject(label, (*(before.shapes if before else ()), shape), name)
    subset = image.get("subset")
    split = None if subset is None or subset.lower() in NO_SUBSET else subset
    return AnnotatedPhotograph(file_name, str(path), size, tuple(objects.values()), split=split)


def _z_order(element, index, place):
    if element.get("z_order") is None:
        return 0, index
    return _whole(element, "z_order", -MAX_SIDE, f"{place}: {element.tag} {index}"), index


def _shape(element, place):
    if element.tag not in SHAPES:
        raise InputError(f"{place}: a {element.tag} has no outline; make it a polygon or a mask, or delete it")
    if element.tag == "mask":
        return _mask(element, place)
    pairs = [pair.split(",") for pair in (element.get("points") or "").split(";") if pair.strip()]
    try:
        points = [[float(value) for value in pair] for pair in pairs]
    except ValueError:
        raise InputError(f"{place}: points that are no numbers; draw the object again or delete it") from None
    return Polygons((points_of(points, place),))


def _mask(element, place):
    left, top = (_whole(element, side, 0, place) for side in ("left", "top"))
    size = tuple(_whole(element, side, 1, place) for side in ("height", "width"))
    words = [word.strip() for word in (element.get("rle") or "").split(",")]
    if not all(re.fullmatch(r"\d{1,12}", word) for word in words):
        raise InputError(f"{place}: an rle that is not whole numbers; draw the object again or delete it")
    return run_lengths.run_lengths([int(word) for word in words], size, place, True, (top, left))


def _whole(element, name, least, place):
    """Returns a whole number from `least` to 2**20. Raises InputError for anything else."""
    text = element.get(name) or ""
    value = int(text) if re.fullmatch(r"-?\d{1,9}", text) else None
    if value is None or not least <= value <= MAX_SIDE:
        raise InputError(f"{place}: the {name} is {shortened(text, 40)!r}; it must be a whole number, {least} or more")
    return value
