"""Exports whose masks are pictures of colours: CVAT's "Segmentation mask" and Roboflow's "Semantic Segmentation Masks".

CVAT, in the layout of PASCAL VOC: labelmap.txt with lines `name:red,green,blue:parts:actions`, SegmentationClass/a.png,
SegmentationObject/a.png with a colour for each object, ImageSets/Segmentation/train.txt with the names of a split. The
photographs are anywhere else in the folder, by the same names.

Roboflow: in every folder _classes.csv with lines `value, name`, and a_mask.png of grey values beside a.jpg.
"""

import re
from collections import defaultdict
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed, shortened
from tfseg.formats.annotations import documents
from tfseg.formats.annotations.photograph import AnnotatedPhotograph, AnnotationFiles, AnnotationSet, LabelMaps
from tfseg.formats.label_file import LabelRule, read_colors, read_stored_label
from tfseg.formats.text_lines import read_lines
from tfseg.labels import IGNORE_LABEL

LABELMAP, LABELMAP_ENDINGS = "labelmap.txt", (".txt",)
CLASSES, OBJECTS, IMAGE_SETS = "SegmentationClass", "SegmentationObject", Path("ImageSets/Segmentation")
LABELMAP_LINE = re.compile(r"(?P<name>.+?)\s*:\s*(\d{1,3})\s*,\s*(\d{1,3})\s*,\s*(\d{1,3})\s*(:.*)?")
NO_OBJECT, VOC_VOID = (0, 0, 0), (224, 224, 192)
VALUES, VALUES_ENDINGS = "_classes.csv", (".csv",)
VALUES_LINE = re.compile(r"\s*(?P<value>\d{1,3})\s*,\s*(?P<name>.*\S)\s*")
MASK_SUFFIX = "_mask"
MAX_TABLE_BYTES = 16 << 20


def is_labelmap(path: Path) -> bool:
    """Whether a file is the labelmap.txt of a folder of masks."""
    return path.name == LABELMAP and (path.parent / CLASSES).is_dir()


def read_labelmaps(files: AnnotationFiles) -> AnnotationSet:
    """Reads the masks beside labelmap.txt. Raises InputError if that cannot be used."""
    found = AnnotationSet()
    for path in files.paths:
        names = _labelmap(path)
        _add_classes(found, names)
        splits = _splits(path.parent / IMAGE_SETS)
        folders = {path.parent / folder for folder in (CLASSES, OBJECTS)}
        photographs = defaultdict(list)
        for picture in files.pictures:
            if folders.isdisjoint(picture.parents):
                photographs[picture.stem].append(picture)
        has_objects = any(path.parent / OBJECTS in picture.parents for picture in files.pictures)
        for mask in (one for one in files.pictures if path.parent / CLASSES in one.parents):
            inner = mask.relative_to(path.parent / CLASSES).with_suffix("")
            objects = path.parent / OBJECTS / mask.relative_to(path.parent / CLASSES) if has_objects else None
            maps = LabelMaps(str(mask), names, str(objects) if objects else None)
            try:
                picture = _picture_of(mask, inner, photographs[mask.stem])
                if objects and not objects.is_file():
                    raise InputError(f"{objects}: no such file, as other masks have; export the masks again")
            except InputError as error:
                found.problems.append(str(error))
                continue
            split = splits.get(inner.as_posix(), splits.get(inner.name))
            found.photographs.append(AnnotatedPhotograph(picture.name, str(mask), None, (), picture, split, maps))
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
        _add_classes(found, names)
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


def read_maps(maps: LabelMaps, class_ids: dict[str, int], things, max_pixels: int) -> tuple[np.ndarray, np.ndarray]:
    """Reads the maps of a photograph.

    Args:
      maps: the files.
      class_ids: {name of a class: its id}.
      things: class ids that have instances.
      max_pixels: number of pixels above which a file is refused.
    Returns:
      (class ids uint8, instance ids int32), each [height, width] as stored. In every class, things count from 1.
    Raises:
      InputError: a file cannot be read, has a colour without a class, or the files differ in size.
    """
    palette = {color: class_ids[name] for color, name in maps.names.items()}
    palette.setdefault(VOC_VOID, IGNORE_LABEL)
    classes = read_stored_label(maps.path, LabelRule(None, palette=palette), max_pixels).class_ids
    instances = np.zeros(classes.shape, np.int32)
    if maps.objects_path is None:
        return classes, instances
    colors = read_colors(maps.objects_path, max_pixels).astype(np.int32)
    if colors.shape[:2] != classes.shape:
        raise InputError(
            f"{maps.objects_path}: objects of {colors.shape[1]}x{colors.shape[0]} pixels for classes of "
            f"{classes.shape[1]}x{classes.shape[0]} (width x height); export both again"
        )
    codes = colors @ np.array([1 << 16, 1 << 8, 1], np.int32)
    none = [red << 16 | green << 8 | blue for red, green, blue in (NO_OBJECT, VOC_VOID)]
    for thing in things:
        is_object = (classes == thing) & ~np.isin(codes, none)
        instances[is_object] = np.unique(codes[is_object], return_inverse=True)[1] + 1
    return classes, instances


def _labelmap(path):
    """Returns {(red, green, blue): name}."""
    names = {}
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = LABELMAP_LINE.fullmatch(line.strip())
        color = tuple(int(match[channel]) for channel in (2, 3, 4)) if match else (256,)
        if max(color) > 255:
            raise InputError(f"{path}, line {number}: {shortened(line, 60)!r} is not name:red,green,blue:parts:actions")
        if color in names:
            raise InputError(f"{path}, line {number}: colour {color} occurs twice; export the masks again")
        names[color] = match["name"]
    return _checked(names, path)


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
    found.class_names += [name for name in names.values() if name not in found.class_names]


def _splits(folder):
    """Returns {name of a photograph: split} of the text files in a folder, those of single splits."""
    paths = sorted(folder.glob("*.txt")) if folder.is_dir() else []
    splits = {}
    for path in paths:
        if path.stem.lower() not in ("default", "trainval"):
            splits |= {line.strip().split()[0]: path.stem for line in read_lines(path) if line.strip()}
    return splits


def _picture_of(mask, inner, candidates):
    """Returns the photograph of a mask, that with the same folders if there are several of its name."""
    fitting = [one for one in candidates if one.with_suffix("").as_posix().endswith(f"/{inner.as_posix()}")]
    fitting = fitting if len(fitting) == 1 else candidates
    if len(fitting) != 1:
        found = f"may belong to {listed(fitting, ' or ')}" if fitting else "no photograph of this name"
        raise InputError(f"{mask}: {found}; export the masks with their images, each name once")
    return fitting[0]
