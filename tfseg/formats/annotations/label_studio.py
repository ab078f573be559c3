"""Label Studio's own JSON export (labelstud.io/guide/export): polygons, and brush strokes in its run-length code.

[{"data": {"image"}, "annotations": [{"was_cancelled", "ground_truth", "result": [{"id", "type", "original_width",
"original_height", "value": {"points" in per cent, "polygonlabels"} or {"rle", "brushlabels"}}]}]}]. Later results lie
above earlier ones. Uploads are named like 1a2b3c4d-photo.jpg; the picture may be called photo.jpg.
"""

import re
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from tfseg.errors import InputError, listed, shortened
from tfseg.formats.annotations import documents, run_lengths
from tfseg.formats.annotations.photograph import (
    AnnotatedObject,
    AnnotatedPhotograph,
    AnnotationFiles,
    AnnotationSet,
    Polygons,
    check_shares,
    points_of,
)
from tfseg.formats.coco_panoptic.json_file import LIST, OBJECT, Kind, shown, value_of
from tfseg.formats.image_file import ENDINGS as PICTURE_ENDINGS
from tfseg.formats.image_file import MAX_PIXELS

ENDINGS = (".json",)
SIDE = Kind("a whole number of pixels", lambda value: type(value) is int and 0 < value < 1 << 20)
LABELS = Kind(
    "a list of one class", lambda value: isinstance(value, list) and len(value) == 1 and type(value[0]) is str
)
UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
# What stands for the photograph as a whole.
NO_SHAPES = ("choices", "textarea", "rating", "number", "taxonomy", "datetime", "pairwise", "relation")
CHANNELS = 4  # of a brush's code: red, green, blue, and the one that says what is covered
HEADER_BITS, WORD_BITS = 53, 8


def is_one(path: Path) -> bool:
    """Whether a file seems to be Label Studio's."""
    content = documents.read_bytes(path)
    return content.lstrip(b"\xef\xbb\xbf \t\r\n")[:1] == b"[" and documents.has_keys(
        path, ("annotations", "result", "data")
    )


def read(files: AnnotationFiles) -> AnnotationSet:
    """Reads the files.

    Raises:
      InputError: a file as a whole cannot be used; the message names it.
    """
    found, names = AnnotationSet(), {picture.name for picture in files.pictures}
    for path in files.paths:
        content = documents.read_json(path)
        if not LIST.accepts(content):
            raise InputError(f"{path}: a JSON {type(content).__name__}, not Label Studio's list of tasks")
        for index, task in enumerate(content):
            try:
                found.photographs.append(_photograph(task, f"task {index}", path, names))
            except InputError as error:
                found.problems.append(str(error))
    used = {each.class_name for photograph in found.photographs for each in photograph.objects}
    found.class_names = sorted(used)
    return found


def _photograph(task, name, path, pictures):
    if not OBJECT.accepts(task):
        raise InputError(f"{path}: {name} is {shown(task)}; it must be {OBJECT.name}")
    file_name = file_name_in(task.get("data"), f"{path}: {name}", pictures)
    place = f"{path}: {shortened(file_name, 100)}"
    results = _results(value_of(task, "annotations", LIST, place), place)
    objects, sizes = [], set()
    for several in _by_region(results, place):
        each = _object(several, place)
        if each:
            objects.append(each)
            sizes.add(tuple(value_of(several[0], f"original_{side}", SIDE, place) for side in ("height", "width")))
    if len(sizes) > 1:
        raise InputError(
            f"{place}: objects on pictures of different sizes {listed(sizes)}; export the annotations again"
        )
    return AnnotatedPhotograph(file_name, str(path), next(iter(sizes), None), tuple(objects))


def file_name_in(data, place: str, pictures: set[str]) -> str:
    """Returns the path of the picture in a task's data, less what an upload added to its name if that is not there.

    Args:
      data: the object of the file.
      place: file and task, for messages.
      pictures: names of all pictures that are there.
    Raises:
      InputError: the data name no picture.
    """
    texts = [text for text in data.values() if isinstance(text, str)] if OBJECT.accepts(data) else []
    paths = [path for path in map(_path_in, texts) if Path(path).suffix.lower() in PICTURE_ENDINGS]
    if not paths:
        raise InputError(f"{place}: its data name no picture; export the annotations with their pictures' names")
    folder, slash, name = paths[0].rpartition("/")
    return paths[0] if name in pictures else folder + slash + UPLOADED.sub("", name, count=1)


def _path_in(text):
    """Returns the path in an address: that of the query ?d= of local files, else the address's own."""
    parts = urlsplit(text.replace("\\", "/")) if "\n" not in text else urlsplit("")
    return parse_qs(parts.query).get("d", [unquote(parts.path)])[0]


def _results(annotations, place):
    """Returns the results of the one annotation that holds: of several, the one marked as ground truth."""
    for index, one in enumerate(annotations):
        if not OBJECT.accepts(one):
            raise InputError(f"{place}: annotations[{index}] is {shown(one)}; it must be {OBJECT.name}")
    kept = [one for one in annotations if not one.get("was_cancelled")]
    kept = [one for one in kept if one.get("ground_truth")] or kept
    if len(kept) > 1:
        raise InputError(f"{place}: {len(kept)} annotations of one picture; mark one as ground truth, or delete others")
    return value_of(kept[0], "result", LIST, place) if kept else []


def _by_region(results, place):
    """Returns lists of results of one region each: with separate labels, a region has a result for shape and class."""
    regions = {}
    for index, result in enumerate(results):
        if not OBJECT.accepts(result) or not OBJECT.accepts(result.get("value", {})):
            raise InputError(f"{place}: result[{index}] is {shown(result)}; it must be {OBJECT.name} with a value")
        if result.get("type") not in NO_SHAPES:
            regions.setdefault(str(result.get("id", index)), []).append(result)
    return list(regions.values())


def _object(results, place):
    """Returns the object of a region's results."""
    region = f"region {shown(results[0].get('id', ''))}"
    values = [result.get("value", {}) for result in results]
    keys = [(value, key) for value in values for key in value if key == "labels" or key.endswith("labels")]
    if not keys:
        raise InputError(f"{place}: {region}: has no class; give it one, or delete it")
    class_name = value_of(*keys[0], LABELS, f"{place}: {region}")[0]
    name = f"{region} ({shortened(class_name, 40)})"
    if any(result.get("image_rotation") for result in results):
        raise InputError(f"{place}: {name}: drawn on a rotated picture; rotate the file itself, and draw it again")
    value = next((value for value in values if "points" in value or "rle" in value), None)
    if value is None or value.get("format", "rle") != "rle":
        raise InputError(
            f"{place}: {name}: a {shown(results[0].get('type'))} has no outline; draw a polygon or use a brush"
        )
    if "points" in value:
        points = check_shares(points_of(value["points"], f"{place}: {name}") / 100, f"{place}: {name}")
        return AnnotatedObject(class_name, (Polygons((points,), has_shares=True),), name)
    size = tuple(value_of(results[0], f"original_{side}", SIDE, f"{place}: {name}") for side in ("height", "width"))
    mask = _decoded(value["rle"], size, f"{place}: {name}")
    return AnnotatedObject(class_name, (run_lengths.of_mask(mask),), name)


def _decoded(rle, size, place):
    """Returns [height, width] bool of a brush's code, a list of bytes.

    The bits, the highest of a byte first: 32 for the number of values (4 for each pixel), 5 for the bits of a value
    less 1, 4 times 4 for bits of a length less 1; then blocks of 1 bit (a run, or values one by one), 2 bits (which of
    the four lengths), the number of values less 1, and the value or values.
    """
    is_bytes = isinstance(rle, list) and all(type(one) is int and 0 <= one < 256 for one in rle)
    bits = np.unpackbits(np.array(rle if is_bytes else [], np.uint8))
    if size[0] * size[1] > MAX_PIXELS:
        raise InputError(
            f"{place}: a brush on {size[0] * size[1]} pixels; {MAX_PIXELS} can be read: shrink the picture"
        )
    num_values, reader = size[0] * size[1] * CHANNELS, _Bits(bits, place)
    if len(bits) < HEADER_BITS or reader.number(32) != num_values or reader.number(5) + 1 != WORD_BITS:
        raise InputError(f"{place}: a brush of another size than the picture, or damaged; export the annotations again")
    length_bits = [reader.number(4) + 1 for _ in range(4)]
    values, place_of = np.zeros(num_values, np.uint8), 0
    while place_of < num_values:
        is_run, which = reader.number(1), reader.number(2)
        end = place_of + reader.number(length_bits[which]) + 1
        block = reader.bytes(1 if is_run else end - place_of)
        values[place_of:end] = block if is_run else block[: num_values - place_of]
        place_of = end
    return values.reshape(*size, CHANNELS)[..., -1] > 0


class _Bits:
    """Reads numbers from bits, one after the other; InputError at their end."""

    def __init__(self, bits, place):
        self._bits, self._next, self._place = bits, 0, place

    def _take(self, num):
        taken = self._bits[self._next : self._next + num]
        if len(taken) < num:
            raise InputError(f"{self._place}: a brush that is cut; export the annotations again")
        self._next += num
        return taken

    def number(self, num_bits):
        value = 0
        for bit in self._take(num_bits).tolist():
            value = 2 * value + bit
        return value

    def bytes(self, num):
        return np.packbits(self._take(8 * num))
