"""Exports whose masks are pictures of colours: CVAT's "Segmentation mask" and Roboflow's "Semantic Segmentation Masks".

CVAT, in the layout of PASCAL VOC (see `voc_masks`): labelmap.txt with lines `name:red,green,blue:parts:actions`.
Datumaro leaves the colours out where they are those of PASCAL VOC.

Roboflow: in every folder _classes.csv with lines `value, name`, and a_mask.png of grey values beside a.jpg.
"""

import re
from pathlib import Path

from tfseg.errors import InputError, listed, shortened
from tfseg.formats.annotations import documents
from tfseg.formats.annotations.photograph import AnnotatedPhotograph, AnnotationFiles, AnnotationSet, LabelMaps
from tfseg.formats.annotations.voc_masks import LABELMAP, VocFolders, list_masks
from tfseg.formats.text_lines import read_lines
from tfseg.labels import MAX_CLASSES, voc_colors

LABELMAP_ENDINGS = (".txt",)
LABELMAP_LINE = re.compile(r"(?P<name>.+?)\s*:\s*((\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*)?(:.*)?")
VALUES, VALUES_ENDINGS = "_classes.csv", (".csv",)
VALUES_LINE = re.compile(r"\s*(?P<value>\d{1,3})\s*,\s*(?P<name>.*\S)\s*")
MASK_SUFFIX = "_mask"
MAX_TABLE_BYTES = 16 << 20


def is_labelmap(path: Path) -> bool:
    """Whether a file is the labelmap.txt of a folder of masks."""
    return path.name == LABELMAP and VocFolders.below(path.parent) is not None


def read_labelmaps(files: AnnotationFiles) -> AnnotationSet:
    """Reads the masks beside labelmap.txt. Raises InputError if that cannot be used."""
    found = AnnotationSet()
    for path in files.paths:
        names = _labelmap(path)
        _add_classes(found, names.values())
        list_masks(VocFolders.below(path.parent), names, files, found)
    if not any(photograph.maps.objects_path for photograph in found.photographs):
        found.stuff |= set(found.class_names)
    return found


def is_value_table(path: Path) -> bool:
    """Whether a file is the _classes.csv of a folder of masks."""
    return path.name == VALUES and b"pixel value" in documents.read_bytes(path, MAX_TABLE_BYTES)[:100].lower()


def read_value_tables(files: AnnotationFiles) -> AnnotationSet:
    """Reads the masks beside _classes.csv. Raises InputError if that cannot be used."""
    found = AnnotationSet()
    for path in files.paths:
        names = _value_table(path)
        _add_classes(found, names.values())
        beside = {picture for picture in files.pictures if picture.parent == path.parent}
        masks = {one for one in beside if one.stem.endswith(MASK_SUFFIX)}
        by_stem = {mask.stem.removesuffix(MASK_SUFFIX): mask for mask in masks}
        stems = {picture.stem for picture in beside - masks}
        for picture in sorted(beside - masks):
            mask = by_stem.get(picture.stem)
            if mask is None:
                found.problems.append(
                    f"{picture}: no mask {picture.stem}{MASK_SUFFIX}.png; export it again, or delete it"
                )
                continue
            maps = LabelMaps(str(mask), names, None)
            found.photographs.append(AnnotatedPhotograph(picture.name, str(mask), None, (), picture, None, maps))
        found.problems += [
            f"{by_stem[stem]}: a mask without its photograph; delete it" for stem in by_stem.keys() - stems
        ]
    found.stuff |= set(found.class_names)
    return found


def _labelmap(path):
    """Returns {(red, green, blue): name}."""
    rows = []
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LABELMAP_LINE.fullmatch(line.strip())
        color = tuple(map(int, match.group(3, 4, 5))) if match and match[2] else ()
        if match is None or max(color, default=0) > 255 or (rows and bool(color) != bool(rows[0][1])):
            raise InputError(f"{path}, line {number}: {shortened(line, 60)!r} is not name:red,green,blue:parts:actions")
        if color and color in [other for _, other in rows]:
            raise InputError(f"{path}, line {number}: colour {color} occurs twice; export the masks again")
        rows.append((match["name"], color))
    if len(rows) > MAX_CLASSES:
        raise InputError(f"{path}: {len(rows)} classes; {MAX_CLASSES} are possible")
    # Without colours of their own, the classes have those of PASCAL VOC, in the order of the lines.
    colors = voc_colors(len(rows)) if rows and not rows[0][1] else [color for _, color in rows]
    return _checked({color: name for color, (name, _) in zip(colors, rows, strict=True)}, path)


def _value_table(path):
    """Returns {(value, value, value): name}."""
    names = {}
    for number, line in enumerate(read_lines(path)[1:], 2):
        if not line.strip():
            continue
        match = VALUES_LINE.fullmatch(line)
        if match is None or int(match["value"]) > 255:
            raise InputError(f"{path}, line {number}: {shortened(line, 60)!r} is not: pixel value, class")
        if (int(match["value"]),) * 3 in names:
            raise InputError(f"{path}, line {number}: value {match['value']} occurs twice; export the masks again")
        names[(int(match["value"]),) * 3] = match["name"]
    return _checked(names, path)


def _checked(names, path):
    twice = sorted({name for name in names.values() if list(names.values()).count(name) > 1})
    if not names or twice:
        raise InputError(
            f"{path}: {f'two classes have the name {listed(twice)}' if twice else 'no classes'}; export again"
        )
    return names


def _add_classes(found, names):
    found.class_names += [name for name in names if name not in found.class_names]
