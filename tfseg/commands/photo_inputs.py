"""Which image files a command is given, and what their results are called."""

import os
from collections import Counter
from pathlib import Path

from tfseg.commands.photo_pictures import CLASSES, OVERLAY, PANOPTIC, STRIP
from tfseg.errors import MAX_MESSAGE, InputError, listed, shortened
from tfseg.formats import image_file
from tfseg.system.files import failure, open_regular
from tfseg.system.progress import say

# Pictures that are not read: a folder's are passed over, which is said.
OTHER_ENDINGS = {
    ".heic",
    ".heif",
    ".avif",
    ".jp2",
    ".jxl",
    ".psd",
    ".svg",
    ".eps",
    ".dng",
    ".cr2",
    ".cr3",
    ".nef",
    ".arw",
}


def paths_in(path) -> list[str]:
    """Returns the lines of a file with one path a line; empty lines are left out. Raises InputError."""
    try:
        with open_regular(path) as file:
            lines = file.read().splitlines()
    except OSError as error:
        raise InputError(
            f"{path}: {failure(error)}; a text file with the path of a photo or folder in each line"
        ) from None
    return [os.fsdecode(line) for line in lines if line.strip()]


def photo_files(inputs, problems: list[str]) -> list[Path]:
    """Lists image files in order, each once.

    Args:
      inputs: files and folders; of a folder, the images directly in it are taken.
      problems: a line is added for each input that is no file and holds no images.
    """
    files = {}
    for path in map(Path, inputs):
        if path.is_dir():
            inside = sorted(path.iterdir())
            found = [child for child in inside if _is_photo(child)]
            others = [child.name for child in inside if child.suffix.lower() in OTHER_ENDINGS and _is_shown(child)]
            if others:
                say(f"note: {path}: passed over, as their format is not read: {listed(others)}; convert them to PNG")
            if not found:
                problems.append(f"{path}: no images in this folder ({listed(sorted(image_file.ENDINGS))})")
            files |= {os.path.realpath(child): child for child in found}
        elif os.path.lexists(path):
            files[os.path.realpath(path)] = path
        else:
            problems.append(f"{path}: no such file or folder")
    return list(files.values())


def _is_photo(path):
    """Whether what lies in a folder is to be segmented: an image, not hidden as ._a.jpg of macOS is, and no result."""
    is_image = path.suffix.lower() in image_file.ENDINGS and not path.is_dir()
    return is_image and _is_shown(path) and not path.name.endswith((CLASSES, OVERLAY, PANOPTIC, STRIP))


def _is_shown(path):
    return not path.name.startswith(".")


def output_names(files) -> list[str]:
    """Returns the beginnings of the names of each file's results; they do not depend on which are there already.

    Raises:
      InputError: two files would have the same.
    """
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else file.name.replace(".", "_") for file in files]
    for name, count in Counter(names).items():
        if count > 1:
            same = [str(file) for file, own in zip(files, names, strict=True) if own == name]
            clash = " and ".join(shortened(file, MAX_MESSAGE // 3) for file in same[:2])
            raise InputError(f"{clash} would have the same results; give them different --output_dir")
    return names
