"""Text files of YOLO's segmentation (docs.ultralytics.com/datasets/segment): a line `class x y x y ...` for an object.

Coordinates are shares of width and height. images/.../a.jpg belongs to labels/.../a.txt, or a text file lies beside its
picture. data.yaml names the classes ("names", a list or numbers with names) and may say which folder is which split
("train", "val", "test"); without it classes.txt or obj.names name them, one a line, in the folder of the text files or
in the nearest above it. A photograph without a text file, or with an empty one, has no object. Later lines lie above
earlier ones.
"""

import re
from pathlib import Path, PurePosixPath

import numpy as np
import yaml

from tfseg.errors import InputError, listed, shortened
from tfseg.formats.annotations import documents
from tfseg.formats.annotations.photograph import (
    AnnotatedObject,
    AnnotatedPhotograph,
    AnnotationFiles,
    AnnotationSet,
    Polygons,
    check_shares,
    points_of,
)
from tfseg.formats.text_lines import read_lines

ENDINGS = (".yaml", ".yml", ".txt")
YAML_ENDINGS = (".yaml", ".yml")
NAMES_FILES = ("classes.txt", "obj.names")
MAX_YAML_BYTES = 16 << 20
MAX_LABEL_BYTES = 64 << 20
NUMBER = r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?"
LINE = re.compile(rf"\d+(\s+{NUMBER}){{4,}}\s*")
NUM_BOX_VALUES = 5
SPLIT_KEYS = {"train": "train", "val": "val", "valid": "val", "test": "test"}


def is_one(path: Path) -> bool:
    """Whether a file is a data.yaml with names of classes, or a text file of objects."""
    if path.suffix.lower() in YAML_ENDINGS:
        return re.search(rb"^names\s*:", documents.read_bytes(path, MAX_YAML_BYTES), re.MULTILINE) is not None
    if path.stat().st_size > MAX_LABEL_BYTES or path.name in NAMES_FILES:
        return False
    text = documents.read_bytes(path).decode(errors="replace").lstrip("\ufeff \t\r\n")
    return LINE.fullmatch(text.partition("\n")[0].strip()) is not None


def read(files: AnnotationFiles) -> AnnotationSet:
    """Reads data.yaml and the text files of all pictures that have one, or that have a folder for them.

    Raises:
      InputError: the names of the classes are missing, or `data.yaml` cannot be used.
    """
    found = AnnotationSet()
    yaml_files = [path for path in files.paths if path.suffix.lower() in YAML_ENDINGS]
    if len(yaml_files) > 1:
        raise InputError(
            f"{listed(yaml_files, ' and ')}: two lists of classes; remove one, or name one as --annotations"
        )
    content = _yaml(yaml_files[0]) if yaml_files else {}
    splits = _splits(content, yaml_files[0], files, found) if yaml_files else {}
    texts = {path for path in files.paths if path not in yaml_files}
    if yaml_files:
        texts |= {text for picture in files.pictures if (text := _text_of(picture, files.root)).is_file()}
    names, used = _names_of_folders(content, yaml_files, {text.parent for text in texts}, files.root), set()
    lists = [dict(_names_by_number(content, yaml_files))] if yaml_files else [names[folder] for folder in sorted(names)]
    found.class_names = list(dict.fromkeys(name for numbered in lists for _, name in sorted(numbered.items())))
    for picture in files.pictures:
        text = _text_of(picture, files.root)
        if text.parent not in names:
            continue
        used.add(text)
        try:
            found.photographs.append(_photograph(picture, text, names[text.parent], splits.get(picture)))
        except InputError as error:
            found.problems.append(str(error))
    found.problems += [f"{text}: no picture of this name; delete the file" for text in sorted(texts - used)]
    return found


def _text_of(picture, root):
    """Returns the text file of a picture: below labels/ in place of the last images/ in its path, or beside it."""
    beside = picture.with_suffix(".txt")
    parts = list(picture.relative_to(root).parts)
    if beside.is_file():
        return beside
    for index in range(len(parts) - 2, -1, -1):
        if parts[index].lower() == "images":
            parts[index] = {"Images": "Labels", "IMAGES": "LABELS"}.get(parts[index], "labels")
            return root.joinpath(*parts).with_suffix(".txt")
    return beside


def _photograph(picture, text, names, split):
    objects = []
    for number, line in enumerate(read_lines(text) if text.is_file() else [], 1):
        if line.strip():
            objects.append(_object(line, f"line {number}", f"{text}, line {number}", names))
    return AnnotatedPhotograph(picture.name, str(text), None, tuple(objects), picture, split)


def _object(line, name, place, names):
    words = line.split()
    if not re.fullmatch(r"\d{1,9}", words[0]):
        raise InputError(f"{place}: begins with {shortened(words[0], 40)}; a line is: class number x y x y x y ...")
    if int(words[0]) not in names:
        raise InputError(f"{place}: class {words[0]}, and the classes are {listed(names)}; name it, or delete the line")
    if len(words) == NUM_BOX_VALUES:
        raise InputError(f"{place}: a box, not an outline, and boxes are not segmented; export polygons")
    try:
        values = np.array([float(word) for word in words[1:]])
    except ValueError:
        raise InputError(f"{place}: {shortened(line, 60)} are not all numbers; export the labels again") from None
    if len(values) % 2:
        raise InputError(f"{place}: {len(values)} coordinates, an odd number; export the labels again")
    points = check_shares(points_of(values, place), place)
    class_name = names[int(words[0])]
    return AnnotatedObject(class_name, (Polygons((points,), has_shares=True),), f"{name} ({shortened(class_name, 40)})")


def _yaml(path):
    try:
        content = yaml.safe_load(documents.read_bytes(path, MAX_YAML_BYTES))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: damaged YAML ({shortened(error, 100)}); export it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: no fields; it must hold names: and a list of classes")
    return content


def _names_by_number(content, yaml_files):
    names = content.get("names")
    pairs = enumerate(names) if isinstance(names, list) else names.items() if isinstance(names, dict) else ()
    pairs = [(number, str(name)) for number, name in pairs]
    if not pairs or not all(type(number) is int and number >= 0 and name.strip() for number, name in pairs):
        raise InputError(f"{yaml_files[0]}: names must be a list of classes, or numbers with a name each")
    given = [name for _, name in pairs]
    twice = next((name for name in given if given.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{yaml_files[0]}: two classes have the name {shortened(twice, 60)}; rename or delete one")
    return pairs


def _names_of_folders(content, yaml_files, folders, root):
    """Returns {folder of text files: {number: name of the class}}."""
    if yaml_files:
        return {folder: dict(_names_by_number(content, yaml_files)) for folder in folders}
    return {folder: dict(enumerate(_names_near(folder, root))) for folder in folders}


def _names_near(folder, root):
    for above in (folder, *folder.parents):
        if not above.is_relative_to(root):
            break
        for path in (above / name for name in NAMES_FILES):
            if path.is_file():
                return [line.strip() for line in read_lines(path) if line.strip()]
    raise InputError(f"{root}: labels of YOLO (text) without names of their classes; add data.yaml or classes.txt")


def _splits(content, path, files, found):
    """Returns {picture: split} as data.yaml says; empty if it gives two splits the same pictures."""
    splits = {}
    for key, split in SPLIT_KEYS.items():
        entries = content.get(key) or []
        for entry in entries if isinstance(entries, list) else [entries]:
            for picture in _pictures_of(str(entry), path, files):
                if splits.setdefault(picture, split) != split:
                    found.notes.append(f"note: {path.name}: {splits[picture]} and {split} share pictures; not followed")
                    return {}
    return splits


def _pictures_of(entry, path, files):
    """Returns the pictures that an entry of data.yaml names: a folder, or a text file with a path a line.

    The path may be one of another machine: the folder in the root that has most of its last parts is taken.
    """
    parts = [part for part in PurePosixPath(entry.replace("\\", "/")).parts if part not in ("/", ".", "..")]
    if parts and parts[-1].endswith(".txt"):
        text = path.parent / parts[-1]
        names = {PurePosixPath(line.replace("\\", "/")).name for line in read_lines(text)} if text.is_file() else set()
        return [picture for picture in files.pictures if picture.name in names]
    for start in range(len(parts)):
        for base in (path.parent, path.parent.parent, files.root):
            folder = base.joinpath(*parts[start:])
            inside = [picture for picture in files.pictures if folder in picture.parents]
            if inside:
                return inside
    return []
