"""Finds the folders of images and of masks in a folder of people's own data, and the pictures that are in neither."""

import dataclasses
import os
import re
import unicodedata
from pathlib import Path

from tfseg.errors import MAX_MESSAGE, MAX_NAME, InputError, listed, shortened
from tfseg.formats import image_file
from tfseg.formats.foreign_labels import first_foreign_label

NAME = "folder"  # of people's own data, in whatever form they come
IMAGE_FOLDER = "images"
LABEL_FOLDERS = ("masks", "labels", "annotations")
SPLIT_NAMES = {
    **{name: name for name in ("train", "val", "test")},
    "training": "train",
    "valid": "val",
    "validation": "val",
    "testing": "test",
}
# Folders that programs leave behind, besides hidden ones.
STRAY_FOLDERS = {"__MACOSX", "__pycache__", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"}
MASK_WORDS = {
    *("mask", "masks", "label", "labels", "annotation", "annotations", "annot", "gt", "groundtruth", "ground", "truth"),
    *("seg", "segmentation", "segmentations", "segmentationclass"),
}


@dataclasses.dataclass(frozen=True)
class Layout:
    """Where the pairs of one folder are.

    Attributes:
      root: the folder that holds the folders of images; below it are all pairs.
      pairs: {split: (folder of images, folder of masks)}; "train" alone if there are no splits.
      pictures: {folder: its picture files, sorted}; hidden files are none.
      notes: what the user should know, one line each.
    """

    root: Path
    pairs: dict[str, tuple[Path, Path]]
    pictures: dict[Path, list[Path]]
    notes: list[str]


def find_layout(raw_dir: Path, label_folders=LABEL_FOLDERS, beside=()) -> Layout:
    """Finds images/ and masks/ in `raw_dir`, or in the only folder in it.

    Args:
      raw_dir: the folder.
      label_folders: names that the folder of masks may have.
      beside: names of further folders beside them whose pictures the caller uses.
    Raises:
      InputError: there are none, or there are pictures in other folders, each of which the message names. Only images
        without masks beside whole splits are no error but a note.
    """
    tree = scanned(raw_dir)
    pictures = {folder: files for folder, (_, files) in tree.items() if files}
    root, pairs = _pairs(tree, raw_dir, label_folders)
    if not pairs:
        raise InputError(f"{raw_dir}: {_why_none(raw_dir, tree, pictures)}; see python prepare_data.py --help")
    used = {folder for pair in pairs.values() for folder in pair}
    unused = [folder for folder in pictures if folder not in used and set(beside).isdisjoint(_parts(root, folder))]
    return Layout(root, pairs, pictures, _notes(raw_dir, unused, pictures, tree))


def has_pairs(raw_dir: Path, label_folders=LABEL_FOLDERS) -> bool:
    """Whether there is a folder of masks beside one of images. Raises InputError if two folders are one split."""
    return bool(_pairs(scanned(raw_dir), raw_dir, label_folders)[1])


def is_stray(name: str) -> bool:
    """Whether a folder of this name is hidden, or what some program left behind."""
    return name.startswith(".") or name in STRAY_FOLDERS


def is_label_folder(name: str) -> bool:
    """Whether a folder of this name seems to hold masks."""
    return not MASK_WORDS.isdisjoint(re.split(r"[^a-z]+", name.lower()))


def is_picture(path: Path) -> bool:
    """Whether a file's name is that of a picture."""
    return path.suffix.lower() in image_file.ENDINGS and not path.name.startswith(".")


def plain_name(text: str) -> str:
    """Returns the text in Unicode's composed form: some systems store é as e and an accent."""
    return unicodedata.normalize("NFC", text)


def scanned(raw_dir: Path) -> dict[Path, tuple[list[Path], list[Path]]]:
    """Returns {folder: (its folders, its pictures)}, for a folder and all in it that are not stray.

    Raises:
      InputError: a folder cannot be read; the message names it.
    """
    tree, waiting = {}, [(raw_dir, {os.path.realpath(raw_dir)})]
    while waiting:
        folder, above = waiting.pop()
        try:
            inside = sorted(folder.iterdir())
        except OSError as error:
            raise InputError(f"{folder}: {error.strerror}") from None
        folders = [path for path in inside if path.is_dir() and not is_stray(path.name)]
        # A link may lead back to a folder above.
        real = {path: os.path.realpath(path) for path in folders}
        folders = [path for path in folders if real[path] not in above]
        tree[folder] = folders, [path for path in inside if is_picture(path) and path not in real]
        waiting += [(path, above | {real[path]}) for path in reversed(folders)]
    return tree


def _parts(root, folder):
    """Names of the folders on the way from the root to a folder, in small letters."""
    return [part.lower() for part in folder.relative_to(root).parts] if folder.is_relative_to(root) else []


def _pairs(tree, root, label_folders):
    """Returns (root, {split: (folder of images, folder of masks)}); the root may be a folder inside, the only one."""
    pairs = _pairs_inside(tree, root, label_folders)
    if pairs:
        return root, pairs
    for folder in tree[root][0]:
        inside = _image_and_label_folder(tree, folder, label_folders)
        if inside:
            _add(pairs, folder, inside)
    if len(pairs) > 1 or not pairs.keys().isdisjoint(SPLIT_NAMES.values()):
        return root, pairs
    # A folder that is no split holds everything, as in most archives.
    found = [_pairs(tree, folder, label_folders) for folder in tree[root][0]]
    found = [one for one in found if one[1]]
    return found[0] if len(found) == 1 else (root, {})


def _pairs_inside(tree, root, label_folders):
    """Pairs where images/ and masks/ are in `root` itself, divided into splits or not."""
    folders = _image_and_label_folder(tree, root, label_folders)
    if folders is None:
        return {}
    images, labels = folders
    if tree[images][1]:
        return {"train": folders}
    pairs, by_name = {}, {folder.name.lower(): folder for folder in tree[labels][0]}
    for folder in tree[images][0]:
        of_split = by_name.get(folder.name.lower())
        if of_split and _has_pictures(tree, of_split):
            _add(pairs, folder, (folder, of_split))
    if len(pairs) == 1 and pairs.keys().isdisjoint(SPLIT_NAMES.values()):
        return dict(zip(["train"], pairs.values(), strict=True))
    return pairs


def _add(pairs, folder, pair):
    split = SPLIT_NAMES.get(folder.name.lower(), folder.name)
    if split in pairs:
        raise InputError(f"{pairs[split][0]} and {pair[0]} are both the split {split}; join them, or rename one")
    pairs[split] = pair


def _image_and_label_folder(tree, parent, label_folders):
    by_name = {folder.name.lower(): folder for folder in tree[parent][0]}
    images = by_name.get(IMAGE_FOLDER)
    labels = [by_name[name] for name in label_folders if name in by_name and _has_pictures(tree, by_name[name])]
    return (images, labels[0]) if images and labels else None


def _has_pictures(tree, folder):
    """Whether there are pictures in a folder or below it."""
    folders, files = tree[folder]
    return bool(files) or any(_has_pictures(tree, child) for child in folders)


def _why_none(raw_dir, tree, pictures):
    foreign = first_foreign_label(tree)
    if foreign:
        return foreign.advice(raw_dir)
    found = f"; pictures are in {shortened(listed(_names(raw_dir, pictures)), 100)}" if pictures else ""
    return f"no images/ beside masks/ (or labels/, annotations/), and no train/images beside train/masks{found}"


def _notes(raw_dir, unused, pictures, tree):
    """Returns a note of images without masks. Raises InputError if images and masks are left out."""
    if not unused:
        return []
    names = zip(_names(raw_dir, unused), unused, strict=True)
    counted = listed(f"{name} ({len(pictures[folder])})" for name, folder in names)
    if not any(_may_belong_to_pairs(raw_dir, folder, unused, pictures) for folder in unused):
        return [shortened(f"note: pictures without masks are not used: {counted}")]
    foreign = first_foreign_label(folder for folder in tree if is_label_folder(folder.name))
    advice = "each folder of images needs one of masks, of the same name: see docs/data.md; move others away"
    advice = foreign.advice(raw_dir) if foreign else advice
    length = MAX_MESSAGE - len(f"{raw_dir}: not used: ; {advice}")
    raise InputError(f"{raw_dir}: not used: {shortened(counted, max(length, MAX_NAME))}; {advice}")


def _names(raw_dir, folders):
    return [folder.relative_to(raw_dir).as_posix() for folder in folders]


def _may_belong_to_pairs(raw_dir, folder, unused, pictures):
    """Whether the pictures of a folder may be masks, or images that have masks somewhere."""
    parts = folder.relative_to(raw_dir).parts
    if any(is_label_folder(part) for part in parts):
        return True
    if {SPLIT_NAMES.get(part.lower()) for part in parts} & {"train", "val"}:
        return True
    stems = {plain_name(path.stem) for path in pictures[folder]}
    others = [{plain_name(path.stem) for path in pictures[other]} for other in unused if other != folder]
    return any(stems & other for other in others)
