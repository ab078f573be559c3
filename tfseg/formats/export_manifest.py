"""The manifest of a folder of exports: which artifacts were made from a model, and the sha256 of each.

It is written last, so a folder without it is an export that did not finish. Its checksums show damage and mix-ups. They
say nothing about who made the files; `trusted_files` says what may be run.
"""

import dataclasses
import hashlib
import json
import os
import stat
from pathlib import Path, PurePosixPath

from tfseg.errors import InputError
from tfseg.labels import DatasetInfo
from tfseg.system.files import failure, file_sha256, write_atomically
from tfseg.system.small_files import (
    SEAL,
    AtLeastOne,
    Count,
    FieldError,
    NotNegative,
    Open,
    Rate,
    Sha256,
    check_seal,
    damage_named,
    read_json,
    sealed,
    typed,
)

FILE_NAME = "manifest.json"
# The file in which every artifact describes itself: in assets.extra of a SavedModel, or attached to a .tflite file.
DESCRIPTION = "tfseg.json"
FORMAT = "tfseg 1"
# Number of levels from the folder of a SavedModel, serving/NAME/VERSION, up to the folder of all exports.
LEVELS_ABOVE_SAVED_MODEL = 3
# Larger folders are not read. TensorFlow writes 2 GiB of graph at most, and two files for the weights.
MAX_FILES, MAX_FOLDER_BYTES = 10_000, 8 << 30
ADVICE = "export or download the folder again"


Size = tuple[AtLeastOne, AtLeastOne]


@dataclasses.dataclass(frozen=True)
class _Budget(Open):
    """How many iterations fit into a time, see `export.latency`."""

    milliseconds: NotNegative | None = None
    iterations: AtLeastOne | None = None


@dataclasses.dataclass(frozen=True)
class _Check(Open):
    """The comparison of a file with the network, see `export.comparison`."""

    agreement: Rate | None = None
    miou: Rate | None = None


@dataclasses.dataclass(frozen=True)
class _Artifact(Open):
    """What is read of an entry of `artifacts`."""

    kind: str
    sha256: Sha256
    precision: str | None = None
    iterations: AtLeastOne | None = None
    size: Size | None = None
    bytes: Count | None = None
    weights_sha256: Sha256 | None = None
    budget: _Budget | None = None
    check: dict[str, _Check] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class _Cost(Open):
    """What is read of an entry of `cost`."""

    iterations: AtLeastOne
    size: Size
    gmacs: NotNegative | None = None
    gflops: NotNegative | None = None
    miou: Rate | None = None


@dataclasses.dataclass(frozen=True)
class _Manifest(Open):
    """What is read of a manifest; it may hold more."""

    format: str
    name: str
    classes: DatasetInfo
    artifacts: dict[str, _Artifact]
    cost: tuple[_Cost, ...] = ()
    miou_split: str | None = None
    miou_images: Count | None = None


@dataclasses.dataclass(frozen=True)
class Listed:
    """An artifact that a manifest lists.

    Attributes:
      folder: the manifest's folder.
      path: the artifact's path relative to that folder, with slashes.
      values: what the manifest says about the artifact: "kind", "precision", "sha256", ...
    """

    folder: Path
    path: str
    values: dict


def write(folder, manifest: dict):
    """Writes `folder`/manifest.json so that it is there whole or not at all.

    Raises:
      InputError: `read` would not accept the manifest.
      RunError: the file cannot be written.
    """
    path = Path(folder) / FILE_NAME
    _checked(manifest, path)
    values = sealed(json.loads(json.dumps(manifest)))
    write_atomically(path, (json.dumps(values, indent=1) + "\n").encode())


def read(folder) -> dict:
    """Reads the manifest of a folder of exports, in JSON types, without its own checksum.

    Raises:
      InputError: the manifest is missing, is damaged or was changed, or belongs to another program.
    """
    path = Path(folder) / FILE_NAME
    try:
        return _unsealed(_checked(_parsed(path), path), path)
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"{folder}: no exports here, or unfinished ones: it has no {FILE_NAME}") from None


def check(artifact) -> Listed | None:
    """Compares a file or a SavedModel folder with the manifest that lists it.

    Args:
      artifact: path of a file, whose manifest is beside it, or of a SavedModel folder, whose manifest is at most
        LEVELS_ABOVE_SAVED_MODEL levels above.
    Returns:
      The artifact's entry; None if no manifest of tfseg lists it.
    Raises:
      InputError: the artifact was changed or cut after the export, or a manifest is damaged.
    """
    listed = find(artifact)
    if listed is None:
        return None
    actual, wanted = sha256(artifact), listed.values["sha256"]
    if actual != wanted:
        raise InputError(f"{artifact}: sha256 is {actual}, the manifest says {wanted}; export or download it again")
    return listed


def find(artifact) -> Listed | None:
    """Finds the manifest entry of a file or a SavedModel folder, without comparing it; see `check`."""
    # Links are not resolved: a link to a file elsewhere counts as a file in this folder.
    absolute = Path(os.path.abspath(artifact))
    for folder in list(absolute.parents)[: LEVELS_ABOVE_SAVED_MODEL if absolute.is_dir() else 1]:
        try:
            values = _parsed(folder / FILE_NAME)
        except (FileNotFoundError, NotADirectoryError):
            continue
        if not _is_ours(values):
            continue  # many programs have a manifest.json
        path = absolute.relative_to(folder).as_posix()
        artifacts = _unsealed(_checked(values, folder / FILE_NAME), folder / FILE_NAME)["artifacts"]
        if path in artifacts:
            return Listed(folder, path, artifacts[path])
    return None


def sha256(artifact) -> str:
    """Returns the sha256 of a file or a folder, in hex.

    For a file, it is that of the content. For a folder, it is that of the sorted lines "<sha256>  <relative path>" of
    all files in it.

    Raises:
      InputError: something cannot be read, or `files_of` refuses the folder.
    """
    artifact = Path(artifact)
    if not artifact.is_dir():
        return _read_sha256(artifact)
    lines = [f"{_read_sha256(artifact / path)}  {path}\n" for path in files_of(artifact)]
    return hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def files_of(folder) -> list[str]:
    """Returns the paths of all files in a SavedModel folder, relative to it, with slashes.

    A link to a file counts as the file.

    Raises:
      InputError: something is neither a file nor a folder or is a link to a folder, whose files would not count; or
        there is more than MAX_FILES files or MAX_FOLDER_BYTES bytes.
    """
    found, num_bytes = [], 0

    def refuse(error):
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})")

    for place, folders, files in os.walk(folder, onerror=refuse):
        for path in (Path(place) / name for name in folders):
            if path.is_symlink():
                raise InputError(f"{path}: a link to a folder; put the folder itself there")
        for path in (Path(place) / name for name in files):
            num_bytes += _size_of_file(path)
            found.append(path.relative_to(folder).as_posix())
            if len(found) > MAX_FILES or num_bytes > MAX_FOLDER_BYTES:
                most = f"{MAX_FILES} files or {MAX_FOLDER_BYTES >> 30} GiB"
                raise InputError(f"{folder}: more than {most}; a SavedModel of tfseg is smaller, is it this folder?")
    return found


def _size_of_file(path):
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: neither a file nor a folder; take it out of the model's folder")
    return status.st_size


def _read_sha256(path):
    try:
        return file_sha256(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({failure(error)})") from error


def _parsed(path):
    with damage_named(path, ADVICE):
        return read_json(path)


def _unsealed(values, path):
    """Returns the values without their checksum. Raises InputError if it is not theirs."""
    with damage_named(path, ADVICE):
        check_seal(values)
    return {name: value for name, value in values.items() if name != SEAL}


def _is_ours(values):
    return isinstance(values, dict) and str(values.get("format", "")).startswith(FORMAT.split()[0])


def _checked(values, path):
    """Returns the values if they are those of a valid manifest. Raises InputError otherwise."""
    if not _is_ours(values):
        raise InputError(f"{path}: not the manifest of exports (its format is not {FORMAT!r})")
    if values["format"] != FORMAT:
        version = str(values["format"])[:20]
        raise InputError(f"{path}: its format is {version!r}, this version reads {FORMAT!r}; update tfseg")
    with damage_named(path, ADVICE):
        for artifact in typed(_Manifest, values).artifacts:
            pure = PurePosixPath(artifact)
            if pure.is_absolute() or ".." in pure.parts or pure.as_posix() != artifact or artifact == ".":
                raise FieldError("", f"artifact {artifact[:80]!r} is not a path within the folder")
    return values
