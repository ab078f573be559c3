"""Temporary folders: what a killed process leaves behind, the next one removes."""

import contextlib
import fcntl
import functools
import os
import re
import secrets
import shutil
import tempfile
import weakref
from pathlib import Path

# Nobody calls folders of their own by such names.
NAME = re.compile(r"\.tfseg-\d+-[0-9a-f]{16}\.temporary")


class TemporaryFolder:
    """An empty folder of this user alone, in the system's place for temporary files.

    It is removed by `remove`, at the end of a `with` block, when nothing refers to this object any more, or when Python
    ends. If the process is killed, the next process that makes such a folder removes it.

        with TemporaryFolder() as folder:
            (folder / "model.onnx").write_bytes(content)

    Attributes:
      path: pathlib.Path of the folder.
    Raises:
      OSError: it cannot be made.
    """

    def __init__(self):
        place = Path(tempfile.gettempdir())
        _swept_once(place)
        self.path, descriptor = _new_locked_folder(place)
        self._finalizer = weakref.finalize(self, _remove, self.path, descriptor)

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_):
        self.remove()

    def remove(self):
        self._finalizer()


def _new_locked_folder(place):
    """Returns (path, descriptor). The lock on the folder tells other processes that its owner lives."""
    while True:
        path = place / f".tfseg-{os.getpid()}-{secrets.token_hex(8)}.temporary"
        path.mkdir(mode=0o700)
        with contextlib.suppress(FileNotFoundError):  # removed by another process before it was locked
            descriptor = _opened(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:  # another process is about to remove it
                os.close(descriptor)
                continue
            except OSError:  # a file system without locks, on which no other process removes it either
                return path, descriptor
            if path.exists():
                return path, descriptor
            os.close(descriptor)


def _opened(path):
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)


def _remove(path, descriptor):
    shutil.rmtree(path, ignore_errors=True)
    os.close(descriptor)


@functools.lru_cache(maxsize=16)
def _swept_once(place):
    """Removes this user's temporary folders whose processes are gone."""
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if NAME.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_unlocked(place / entry.name)


def _remove_unlocked(path):
    descriptor = _opened(path)
    try:
        if os.fstat(descriptor).st_uid == os.geteuid():
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
    finally:
        os.close(descriptor)
