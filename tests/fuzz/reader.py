"""The child process: reads damaged files one after the other, and says what came of each."""

import contextlib
import dataclasses
import hashlib
import io
import os
import resource
import signal
import warnings
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, RunError

MEMORY_BYTES = 4 << 30  # address space beyond what the process has when it starts
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclasses.dataclass(frozen=True)
class Answer:
    """What came of one file.

    Attributes:
      kind: "read", "refused" (InputError, RunError) or "raised" (any other exception).
      text: the result's fingerprint, or the message of the exception.
      notes: lines that were said meanwhile.
    """

    kind: str
    text: str
    notes: tuple[str, ...] = ()


def serve(connection, kind, undamaged, log):
    """Reads the inputs that come over the connection, until None comes.

    Args:
      connection: a multiprocessing Connection. It gives ("ready", "") first, and then, for each pair (folder of an
        input, path of the damaged file in it), an Answer.
      kind: the Kind of the files.
      undamaged: folder of the undamaged files.
      log: path of the file that gets what is printed.
    """
    os.setpgid(0, 0)  # so that the driver can end this process together with its children
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the driver
    print_into(log)
    warnings.simplefilter("ignore")
    os.chdir(undamaged)
    prepared = kind.prepare()
    _limit_memory()
    connection.send(Answer("ready", ""))
    for folder, path in iter(connection.recv, None):
        connection.send(answer(kind, prepared, folder, path))


def answer(kind, prepared, folder, path) -> Answer:
    """Reads one input; see `serve`."""
    os.chdir(folder)
    os.environ["TFSEG_CACHE"] = str(Path(folder, "cache"))
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            result = kind.read(prepared, path)
        return Answer("read", fingerprint(result), tuple(said.getvalue().splitlines()))
    except (InputError, RunError) as error:
        return Answer("refused", str(error))
    except (Exception, SystemExit) as error:
        return Answer("raised", f"{type(error).__name__}: {error}")


def fingerprint(value) -> str:
    """Returns a hash of arrays, bytes, texts, numbers and None, and of dicts, lists and tuples of them."""
    digest = hashlib.sha256()
    _feed(digest, value)
    return digest.hexdigest()


def _feed(digest, value):
    if isinstance(value, dict):
        digest.update(f"dict {len(value)}".encode())
        for key in sorted(value, key=repr):
            _feed(digest, key)
            _feed(digest, value[key])
    elif isinstance(value, list | tuple):
        digest.update(f"list {len(value)}".encode())
        for item in value:
            _feed(digest, item)
    elif isinstance(value, np.ndarray) and value.dtype != object:
        digest.update(f"array {value.dtype} {value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    elif isinstance(value, np.ndarray):
        _feed(digest, value.tolist())
    elif isinstance(value, bytes | str | int | float | bool | np.generic | None):
        digest.update(f"{type(value).__name__} {value!r}".encode(errors="backslashreplace"))
    else:
        raise TypeError(f"no fingerprint of {type(value).__name__}")


def print_into(log):
    """Sends what this process prints to the end of a file, also what native code prints."""
    descriptor = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)


def _limit_memory():
    used = int(Path("/proc/self/statm").read_text().split()[0]) * PAGE
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY_BYTES, used + MEMORY_BYTES))
