"""Says which model files may be run: those made on this machine, and those whose sha256 the user gives.

A SavedModel is a program that may do anything, and a checksum that lies beside it says nothing about its maker. So the
sha256 of every exported file is noted in a folder of the user's own, which nobody else may write.
"""

import contextlib
import os
import re
import stat
from pathlib import Path

from tfseg.errors import InputError
from tfseg.formats import export_manifest
from tfseg.system.progress import say

LIST_NAME = "made_here.txt"
MAX_LIST_BYTES = 64 << 20  # half a million lines
HOME = "TFSEG_HOME"


def vouched(artifact, sha256=None) -> str | None:
    """Returns the sha256 of a file or a SavedModel folder if it may be run, else None.

    It may be run if it was made on this machine, wherever it lies now, or if the user says what its sha256 is.

    Args:
      artifact: path of the file or folder.
      sha256: what the user says its sha256 is (see `export_manifest.sha256`), 64 hex digits; None if nothing is said.
    Raises:
      InputError: `sha256` is no sha256 or not that of the content, or the content cannot be read.
    """
    if sha256 is not None and not re.fullmatch("[0-9a-fA-F]{64}", str(sha256)):
        raise InputError(f"--sha256={str(sha256)[:80]}: a sha256 has 64 hex digits")
    found = export_manifest.sha256(artifact)
    if sha256 is not None and found != sha256.lower():
        raise InputError(f"{artifact}: its sha256 is {found}, not that of --sha256: another or a damaged model")
    return found if sha256 is not None or found in _made_here() else None


def note_made_here(artifacts) -> str | None:
    """Notes that files or folders were made on this machine.

    Args:
      artifacts: {path: sha256}.
    Returns:
      None, or why they could not be noted, in a few words.
    """
    try:
        path = list_path()
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        lines = [f"{sha256}  {_on_one_line(path)}\n" for path, sha256 in artifacts.items()]
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
        with open(descriptor, "wb", buffering=0) as file:
            if not (_is_own(os.stat(path.parent)) and _is_own(os.fstat(descriptor))):
                return f"{path} can be written by others: chmod go-w it and its folder"
            # A write that was cut short left half a line, which ends here.
            file.write("".join(["\n", *lines]).encode(errors="surrogateescape"))
    except InputError as error:
        return str(error)
    except OSError as error:
        return f"{error.filename or path}: {error.strerror}"
    return None


def list_path() -> Path:
    """Returns the path of the list: in $TFSEG_HOME, $XDG_DATA_HOME/tfseg or ~/.local/share/tfseg.

    Raises InputError if there is no such folder for this user.
    """
    if given := os.environ.get(HOME):
        if not os.path.isabs(given):
            raise InputError(f"{HOME}={given}: not an absolute path")
        return Path(given, LIST_NAME)
    data = os.environ.get("XDG_DATA_HOME", "")
    if os.path.isabs(data):  # others are to be ignored, says the XDG Base Directory Specification
        return Path(data, "tfseg", LIST_NAME)
    home = os.path.expanduser("~")
    if not os.path.isabs(home):
        raise InputError(f"there is no home folder: set {HOME}")
    return Path(home, ".local", "share", "tfseg", LIST_NAME)


def _made_here():
    """Returns the sha256 of everything that was made here; nothing if somebody else may have written the list."""
    with contextlib.suppress(OSError, InputError):
        path = list_path()
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:
            if _is_own(os.stat(path.parent)) and _is_own(os.fstat(descriptor)):
                content = file.read(MAX_LIST_BYTES).decode("ascii", errors="replace")
                return set(re.findall("^([0-9a-f]{64})  ", content, re.MULTILINE))
            say(f"note: {path}: can be written by others and is not used; chmod go-w it and its folder")
    return set()


def _is_own(status):
    """Whether a file or folder belongs to this user or root, is no device or pipe, and no other user may write it."""
    is_plain = stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)
    return is_plain and status.st_uid in (0, os.geteuid()) and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _on_one_line(path):
    return " ".join(os.path.abspath(path).split())
