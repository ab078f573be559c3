"""What libraries written in C++ print, past Python's own streams."""

import contextlib
import os
import sys


@contextlib.contextmanager
def silenced_stderr():
    """Silences stderr, on which libraries announce what tells a user nothing to act on. Errors are still raised."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
