"""Files and folders that are there whole or not at all, locks that a kill releases, and checksums."""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from tfseg.errors import InputError, RunError


def write_atomically(path, data: bytes):
    """Writes a file as `whole_file` does: no half-written file ever has the final name. Raises RunError."""
    with whole_file(path) as part:
        part.write_bytes(data)


@contextlib.contextmanager
def whole_file(path, many_writers: bool = False):
    """Yields the path of a file to write beside `path`; at the end it is on disk and takes that place.

    The folders of `path` are made. After an error the new file is gone and the one of before untouched.

    Args:
      many_writers: other processes may write the same file at the same time, so each writes under a name of its own.
        Without it, what a killed process left is written over.
    Raises:
      RunError: instead of any OSError.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part" if many_writers else f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with open(part, "rb") as file:
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink()
        if isinstance(error, OSError):
            message = f"{path}: cannot be written ({error.strerror}); the file of before is untouched"
            raise RunError(message) from None
        raise


@contextlib.contextmanager
def partial_folder(path):
    """Yields an empty folder beside `path`; it is gone at the end, or after a kill at the next one."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.partial")
    _remove(partial)
    partial.mkdir(parents=True)
    try:
        yield partial
    finally:
        _remove(partial)


@contextlib.contextmanager
def whole_folder(path, may_replace: bool = False):
    """Yields an empty folder beside `path`, which takes that place at the end; after an error it is gone.

    Args:
      may_replace: a folder that is there is replaced, see `take_place`; otherwise one with content is an OSError.
    """
    path = Path(path)
    if may_replace:
        _put_back(path)
    with partial_folder(path) as partial:
        yield partial
        if may_replace:
            take_place(partial, path)
        else:
            partial.rename(path)


def take_place(source, target):
    """Renames a file or folder to `target`, whose folders are made.

    A folder that is there is renamed to `.<name>.old`, and removed when `source` has its place. A kill between the two
    loses nothing: the next `take_place` or `whole_folder` with this target puts the old folder back first.
    """
    source, target = Path(source), Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    _put_back(target)
    if target.is_dir():
        target.rename(_aside(target))
    try:
        os.replace(source, target)
    except OSError:
        _put_back(target)
        raise
    _remove(_aside(target))


def _aside(path):
    return path.with_name(f".{path.name}.old")


def _put_back(path):
    """Ends a `take_place` that was interrupted: of two folders the new one stays, an old one alone gets its name."""
    old = _aside(path)
    if os.path.lexists(path):
        _remove(old)
    elif os.path.lexists(old):
        old.rename(path)


def _remove(path):
    """Of a file, link or folder, what can be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def locked(path, when_held: Callable[[], None], is_kept: bool = False):
    """Holds a lock for this process. A kill releases it.

    Args:
      path: of the lock file; it and its folders are made.
      when_held: called when another process holds the lock. If it raises, that is the end; if it returns, this process
        waits.
      is_kept: leave the file there at the end.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _lock(path, when_held)
    try:
        yield
    finally:
        if not is_kept:
            path.unlink(missing_ok=True)
        os.close(descriptor)


def _lock(path, when_held):
    """Descriptor of the locked file. A file that its last owner has removed meanwhile locks nothing: then again."""
    while True:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o666)
        try:
            _wait(descriptor, when_held)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _wait(descriptor, when_held):
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        when_held()
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def file_sha256(path) -> str:
    """sha256 of a file's content, hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: str, expected: str, name: str | None = None):
    """Raises InputError, which calls the file `name` or its path, unless its sha256 is `expected` (64 hex digits)."""
    name = name or path
    if not re.fullmatch(r"[0-9a-fA-F]{64}", expected):
        raise InputError(f"{name}: a sha256 has 64 hex digits, not {expected!r}")
    try:
        actual = file_sha256(path)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
    if actual != expected.lower():
        raise InputError(f"{name}: sha256 is {actual}, expected {expected.lower()}: another or a damaged file")
