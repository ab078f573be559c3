"""Opens files of annotation tools: of a size that can be read, whole, and parsed."""

import json
import os
from pathlib import Path

from tfseg.errors import InputError, shortened
from tfseg.formats.coco_panoptic.json_file import parsed
from tfseg.system.files import failure, open_regular

MAX_BYTES = 1 << 30


def read_bytes(path, max_bytes: int | None = None) -> bytes:
    """Reads a whole file.

    Args:
      path: the file.
      max_bytes: size above which it is refused before any of it is read; None for `MAX_BYTES`.
    Raises:
      InputError: it is larger or cannot be read; the message names it.
    """
    max_bytes = MAX_BYTES if max_bytes is None else max_bytes
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                raise InputError(
                    f"{path}: {size / 1e9:.1f} GB, and annotations are read up to {max_bytes / 1e9:.1f} GB; export "
                    "them in parts"
                )
            return file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({failure(error)})") from None


def read_json(path):
    """Reads a JSON file; errors are those of `read_bytes`, and InputError if it is damaged."""
    content = read_bytes(path)
    try:
        return parsed(content, _object)
    except RecursionError:
        raise InputError(f"{path}: damaged JSON (nested too deeply); export the annotations again") from None
    except json.JSONDecodeError as error:
        raise InputError(f"{path}: damaged JSON ({error}); export the annotations again") from None
    except ValueError as error:  # other encodings, numbers of thousands of digits, fields that are there twice
        raise InputError(f"{path}: damaged ({shortened(error, 100)}); export the annotations again") from None


def has_keys(path: Path, all_of=(), none_of=()) -> bool:
    """Whether a JSON file looks as if its objects had some keys; it is not parsed, for it may be cut.

    Raises:
      InputError: the file is too large, or cannot be read.
    """
    content = read_bytes(path)
    return all(f'"{key}"'.encode() in content for key in all_of) and not any(
        f'"{key}"'.encode() in content for key in none_of
    )


def _object(pairs):
    values = dict(pairs)
    if len(values) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the field {shortened(twice, 40)!r} is there twice in an object")
    return values
