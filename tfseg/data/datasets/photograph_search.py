"""Finds the picture that an annotation means, which often knows it by a path of another machine."""

import re
from collections import defaultdict
from pathlib import Path
from urllib.parse import unquote

from tfseg.data.datasets.folder_layout import SPLIT_NAMES, is_label_folder, plain_name
from tfseg.errors import InputError, listed, shortened
from tfseg.formats.annotations.photograph import AnnotatedPhotograph


def split_named(word: str) -> str | None:
    """Returns the split that a word is a name of, as train2017 and Validation are; None if of none."""
    return SPLIT_NAMES.get(word.lower().rstrip("0123456789"))


def split_of(path: Path, root: Path) -> str | None:
    """Returns the split that the folders of a file below `root` name, the last that does; None if none does."""
    for part in reversed(_below(path.parent, root)):
        split = split_named(part)
        if split:
            return split
    return None


def split_of_annotations(path: Path, root: Path) -> str | None:
    """Returns the split that the name of an annotation file names, as instances_train2017.json, or its folders."""
    words = [split_named(word) for word in re.split(r"[^a-z]+", path.stem.lower())]
    return next((word for word in words if word), None) or split_of(path, root)


class PictureIndex:
    """The pictures in a folder, by name."""

    def __init__(self, root: Path, pictures: list[Path]):
        """Takes the folder, and all pictures in it."""
        self._root, self._by_name, self._by_small_name = root, defaultdict(list), defaultdict(list)
        for picture in pictures:
            name = plain_name(picture.name)
            self._by_name[name].append(picture)
            self._by_small_name[name.casefold()].append(picture)

    def find(self, photograph: AnnotatedPhotograph) -> Path:
        """Returns the picture of a photograph.

        Of several with its file name it is the one whose path has the most last parts of the annotated path, then one
        in a folder of the annotation's split, one that is in no folder of masks, and the one nearest to the annotation
        file.

        Raises:
          InputError: there is none, or several remain; the message names the annotation file and the picture.
        """
        parts = plain_name(photograph.file_name).replace("\\", "/").split("/")
        parts = [part for part in parts if part not in ("", ".")]
        candidates = self._candidates(parts)
        if not candidates:
            raise InputError(
                f"{photograph.annotation_path}: {shortened(parts[-1] if parts else '', 80)}: no such picture in "
                f"{self._root}; put it there, or delete its entry"
            )
        annotations = Path(photograph.annotation_path)
        split = split_named(photograph.split or "") or split_of_annotations(annotations, self._root)
        quality = {one: self._nearness(one, parts, split, annotations) for one in candidates}
        best = [one for one in candidates if quality[one] == max(quality.values())]
        if len(best) > 1:
            raise InputError(
                f"{photograph.place}: may be {listed((one.relative_to(self._root) for one in best[:2]), ' or ')}; give "
                "the picture's folder in the annotation, or rename one"
            )
        return best[0]

    def _candidates(self, parts):
        names = dict.fromkeys([*parts[-1:], *map(unquote, parts[-1:])])
        found = [self._by_name.get(name) or self._by_small_name.get(name.casefold()) for name in names]
        return next((paths for paths in found if paths), [])

    def _nearness(self, picture, parts, split, annotations):
        own_parts = [plain_name(part) for part in _below(picture, self._root)]
        same = [one == other for one, other in zip(reversed(own_parts), reversed(parts), strict=False)]
        num_last = [*same, False].index(False)
        num_above = len(set(annotations.parents) & set(picture.parents))
        is_in_split = split is not None and split_of(picture, self._root) == split
        # A bare name says nothing about folders: the split and the annotation file's own folder then decide.
        num_last = num_last if len(parts) > 1 else 1
        is_photograph = not any(map(is_label_folder, own_parts[:-1]))
        return num_last, is_in_split, is_photograph, picture.parent == annotations.parent, num_above


def _below(path, root):
    return path.relative_to(root).parts if path.is_relative_to(root) else ()
