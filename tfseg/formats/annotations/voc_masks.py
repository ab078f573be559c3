"""Masks in the layout of PASCAL VOC (Everingham et al. 2010): SegmentationClass/a.png and SegmentationObject/a.png.

A value of the first is the number of a class, one of the second the number of an object; 0 is none, and 255 a border
that is ignored. Pictures of colours have those of PASCAL VOC. classes.txt, labels.txt or class_names.txt name the
classes, one a line from 0 on; otherwise they are class_0, class_1, ... ImageSets/Segmentation/train.txt names the
photographs of a split. They are anywhere else in the folder, by the same names. labelme's scripts put PNG behind the
folders' names.

Folders with a labelmap.txt have their own colours: see `mask_exports`.
"""

import dataclasses
from collections import defaultdict
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed
from tfseg.formats.annotations.photograph import AnnotatedPhotograph, AnnotationFiles, AnnotationSet, LabelMaps
from tfseg.formats.image_file import MAX_PIXELS, opened
from tfseg.formats.label_file import WHOLE_NUMBER_MODES, LabelRule, read_stored_label, read_values
from tfseg.formats.text_lines import read_lines
from tfseg.labels import IGNORE_LABEL, MAX_CLASSES, voc_colors

ENDINGS = (".png",)
LABELMAP = "labelmap.txt"
NAMES_FILES = ("classes.txt", "labels.txt", "class_names.txt")
CLASSES, OBJECTS = ("SegmentationClassPNG", "SegmentationClass"), ("SegmentationObjectPNG", "SegmentationObject")
NO_PHOTOGRAPHS = "Segmentation"  # what names of folders begin with that hold no photographs
IMAGE_SETS = Path("ImageSets/Segmentation")
VALUES_OF_COLORS = {color: value for value, color in enumerate(voc_colors(256))}
IGNORED_FIRST = "__ignore__"  # in lists of labelme, in which it is no class


@dataclasses.dataclass(frozen=True)
class VocFolders:
    """Where the masks of one folder are.

    Attributes:
      root: the folder.
      classes: the folder of class maps in it.
      objects: that of maps of objects; None if there is none.
    """

    root: Path
    classes: Path
    objects: Path | None

    @staticmethod
    def below(root: Path) -> "VocFolders | None":
        """Returns the folders in `root`; None if there are no class maps."""
        classes, objects = (
            next((root / name for name in names if any((root / name).rglob("*.png"))), None)
            for names in (CLASSES, OBJECTS)
        )
        return VocFolders(root, classes, objects) if classes else None


def is_one(path: Path) -> bool:
    """Whether a file is a class map of this layout, and no labelmap.txt gives colours of its own."""
    root = _root_of(path)
    return root is not None and not (root / LABELMAP).exists()


def read(files: AnnotationFiles) -> AnnotationSet:
    """Reads the masks. Raises InputError if their classes cannot be named."""
    found = AnnotationSet()
    for root in dict.fromkeys(_root_of(path) for path in files.paths):
        folders = VocFolders.below(root)
        names = _names(folders)
        found.class_names += [name for name in names if name not in found.class_names]
        list_masks(folders, {(value,) * 3: name for value, name in enumerate(names)}, files, found, has_values=True)
        found.stuff |= set(names[:1] if folders.objects else names)
    return found


def list_masks(folders: VocFolders, names, files: AnnotationFiles, found: AnnotationSet, has_values: bool = False):
    """Adds the photographs of a folder's masks to `found`.

    Args:
      folders: where the masks are.
      names, has_values: see `LabelMaps`.
      files: all files.
      found: what is added to.
    """
    splits = _splits(folders.root / IMAGE_SETS)
    photographs = defaultdict(list)
    for picture in files.pictures:
        if not any(part.startswith(NO_PHOTOGRAPHS) for part in picture.relative_to(files.root).parts[:-1]):
            photographs[picture.stem].append(picture)
    for mask in (one for one in files.pictures if folders.classes in one.parents):
        inner = mask.relative_to(folders.classes)
        objects = folders.objects and folders.objects / inner
        maps = LabelMaps(str(mask), names, str(objects) if objects else None, has_values)
        stem = inner.with_suffix("")
        try:
            picture = _picture_of(mask, stem, photographs[mask.stem])
            if objects and not objects.is_file():
                raise InputError(f"{objects}: no such file, as other masks have; export the masks again")
        except InputError as error:
            found.problems.append(str(error))
            continue
        split = splits.get(stem.as_posix(), splits.get(stem.name))
        found.photographs.append(AnnotatedPhotograph(picture.name, str(mask), None, (), picture, split, maps))


def values_of(path, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Reads the [height, width] int32 values of a mask; colours are PASCAL VOC's. Raises InputError that names it."""
    with opened(path, max_pixels) as image:
        has_values = image.mode in WHOLE_NUMBER_MODES
    if has_values:
        return read_values(path, max_pixels)
    return read_stored_label(path, LabelRule(None, palette=VALUES_OF_COLORS), max_pixels).class_ids.astype(np.int32)


def _root_of(path):
    """Returns the folder that holds a class map's folder; None if it lies in none."""
    return next((above.parent for above in path.parents if above.name in CLASSES), None)


def _names(folders):
    """Returns the names of the classes from 0 on."""
    path = next((folders.root / name for name in NAMES_FILES if (folders.root / name).is_file()), None)
    if path is not None:
        names = [line.strip() for line in read_lines(path) if line.strip() and not line.startswith("#")]
        return names[1:] if names[:1] == [IGNORED_FIRST] else names
    largest = 0
    for mask in sorted(folders.classes.rglob("*.png")):
        values = values_of(mask)
        largest = max(largest, int(values[values != IGNORE_LABEL].max(initial=0)))
    if largest >= MAX_CLASSES:
        raise InputError(f"{folders.classes}: values up to {largest}, and classes have up to {MAX_CLASSES - 1}")
    return [f"class_{value}" for value in range(largest + 1)]


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
