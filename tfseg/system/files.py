"""Files and folders that appear whole or not at all, locks that end with their process, and checksums."""

import contextlib
import errno
import fcntl
import functools
import hashlib
import os
import re
import secrets
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

from tfseg.errors import InputError, RunError, shortened

# Names of unfinished files: the final name, the process and something random, so that no two writers share one.
PART = r"\..*\.\d+-[0-9a-f]{8}\.part"
MAX_NAME_BYTES = 200  # of the final name in that of the unfinished file, which may not be longer than 255
ADVICE = {
    errno.ENOSPC: "free some space",
    errno.EDQUOT: "free some space, or ask for a larger quota",
    errno.EFBIG: "files of this size are not allowed here, see ulimit -f",
    errno.EROFS: "this disk is read-only, choose a folder on another",
    errno.EACCES: "no permission, choose another folder or change its owner",
    errno.EPERM: "no permission, choose another folder or change its owner",
}


def open_regular(path, mode="rb"):
    """Opens a regular file for reading, like `open`.

    Anything else is refused without waiting: a pipe that nobody writes to would hold up its reader for ever, and a
    device might never end.

    Raises:
      InputError: it is a folder, pipe, socket or device.
      OSError: as for `open`, e.g. if there is no such file.
    """
    try:
        status = os.stat(path)
    except ValueError as error:
        raise InputError(f"{str(path)!r}: not a path ({error})") from None
    _check_regular(path, status)  # before it is opened: opening a device may already do something
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _check_regular(path, os.fstat(descriptor))  # it may have changed since
        return os.fdopen(descriptor, mode, encoding=None if "b" in mode else "utf-8")
    except BaseException:
        os.close(descriptor)
        raise


def check_regular(path):
    """Raises InputError if the path is that of a folder, pipe, socket or device, and OSError if there is none."""
    _check_regular(path, os.stat(path))


def _check_regular(path, status):
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
        raise InputError(f"{path}: {kind}, not a regular file; give a file")


def failure(error) -> str:
    """Says why something cannot be read or written, and what to do: "No space left on device: free some space".

    Args:
      error: an OSError, or the error of another library that says so in its text.
    """
    text = shortened(str(error).splitlines()[0] if str(error) else type(error).__name__, 120)
    return disk_failure(error) or getattr(error, "strerror", None) or text


def disk_failure(error) -> str | None:
    """Returns what `failure` says if the disk is full, read-only or forbidden; None for other errors."""
    for number, advice in ADVICE.items():
        if getattr(error, "errno", None) == number or os.strerror(number) in str(error):
            return f"{os.strerror(number)}: {advice}"
    return None


@contextlib.contextmanager
def failure_named(path):
    """Turns an OSError while `path` is written into a RunError that names it and says why."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({failure(error)})") from None


def write_atomically(path, data: bytes):
    """Writes a file as `whole_file` does: a half-written file never has the final name. Raises RunError."""
    with whole_file(path) as part:
        part.write_bytes(data)


@contextlib.contextmanager
def whole_file(path):
    """Yields the path of a new file beside `path`; at the end the new file is on disk and takes the place of `path`.

    Missing folders of `path` are made. After an error the new file is removed and the previous file is untouched. Any
    number of processes may write the same file: the last one wins. What killed processes left unfinished in the folder
    is removed at this process' first write into it.

    Raises:
      RunError: raised instead of any OSError.
    """
    path = Path(path)
    name = os.fsencode(path.name)[:MAX_NAME_BYTES].decode(errors="ignore")
    part = path.with_name(f".{name}.{os.getpid()}-{secrets.token_hex(4)}.part")
    with contextlib.ExitStack() as held:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _swept_once(path.parent.absolute())
            held.callback(os.close, _new_locked_file(part))
            yield part
            with open(part, "rb") as file:
                os.fsync(file.fileno())
            os.replace(part, path)
        except BaseException as error:
            with contextlib.suppress(OSError):
                part.unlink()
            if isinstance(error, OSError):
                message = f"{path}: cannot be written ({failure(error)}); the file of before is untouched"
                raise RunError(message) from None
            raise


def _new_locked_file(path):
    """Returns the descriptor of a new file. Its lock tells other processes that a living one is writing it."""
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666)
    with contextlib.suppress(OSError):  # a file system without locks, on which nobody can remove it either
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor


@functools.lru_cache(maxsize=1024)
def _swept_once(folder):
    remove_unfinished(folder)


def remove_unfinished(folder):
    """Removes the unfinished files of `whole_file` whose processes are gone from a folder, which need not exist."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if re.fullmatch(PART, entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_unlocked(entry.path)


def _remove_unlocked(path):
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(path)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def partial_folder(path):
    """Yields an empty folder beside `path`. It is removed at the end or, after a kill, by the next call."""
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
    """Yields an empty folder beside `path`, which takes the place of `path` at the end; after an error it is removed.

    Args:
      path: the final path.
      may_replace: whether to replace an existing folder, see `take_place`. Otherwise an existing folder that is not
        empty causes an OSError.
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
    """Renames a file or folder to `target`, whose missing parent folders are made.

    An existing folder is renamed to `.<name>.old`, and removed when `source` has taken its place. If the process is
    killed in between, nothing is lost: the next `take_place` or `whole_folder(..., may_replace=True)` with this target
    first puts the old folder back.
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
    """Ends an interrupted `take_place`: removes the old folder if `path` exists, else puts the old folder back."""
    old = _aside(path)
    if os.path.lexists(path):
        _remove(old)
    elif os.path.lexists(old):
        old.rename(path)


def _remove(path):
    """Removes a file, link or folder, as far as that is possible."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with contextlib.suppress(OSError):
            path.unlink()


@contextlib.contextmanager
def locked(path, when_held: Callable[[], None], is_kept: bool = False):
    """Holds a lock for this process. The lock ends with the process, even if it is killed.

    Args:
      path: the lock file's path; the file and its folders are made.
      when_held: called if another process holds the lock. If it raises, no lock is taken; if it returns, this process
        waits for the lock.
      is_kept: whether to keep the lock file at the end.
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
    """Returns the descriptor of the locked file. If its last owner removed that file meanwhile, it tries again."""
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
    """Returns the sha256 of a file's content, in hex. Errors are those of `open_regular`."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_sha256(path: str, expected: str, name: str | None = None):
    """Raises InputError unless the file's sha256 is `expected` (64 hex digits); the message calls the file `name`."""
    name = name or path
    if not re.fullmatch(r"[0-9a-fA-F]{64}", expected):
        raise InputError(f"{name}: a sha256 has 64 hex digits, not {shortened(repr(expected), 80)}")
    try:
        actual = file_sha256(path)
    except OSError as error:
        raise InputError(f"{name}: {error.strerror}") from error
    if actual != expected.lower():
        raise InputError(f"{name}: sha256 is {actual}, expected {expected.lower()}: another or a damaged file")
