"""Calls a function for many items in worker processes, with progress on stderr."""

import contextlib
import dataclasses
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable
from concurrent import futures

from tfseg.errors import InputError, RunError
from tfseg.system.progress import with_progress

MIN_ITEMS_FOR_PROCESSES = 32
MAX_CHUNK = 8


@dataclasses.dataclass(frozen=True)
class Attempt:
    """Calls function(item), and turns an InputError into its message, a line that says why the item failed.

    It is defined here because a worker imports the module that defines it, and this module needs no TensorFlow.
    """

    function: Callable

    def __call__(self, item):
        try:
            return self.function(item)
        except InputError as error:
            return str(error)


def num_cores() -> int:
    """Returns the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def parallel_map(function, items, num_workers=None, title=""):
    """Yields function(item) for every item, in order.

    Args:
      function, items: they must be picklable. A few items are worked on in this process.
      num_workers: number of processes; None is one per core.
      title: title of the progress bar (on a terminal) or of the progress lines (elsewhere).
    Raises:
      RunError: a worker died.
    """
    num_workers = num_workers or num_cores()
    if num_workers == 1 or len(items) < MIN_ITEMS_FOR_PROCESSES:
        yield from with_progress(map(function, items), len(items), title)
        return
    # A process that has started TensorFlow's threads must not be forked.
    context = multiprocessing.get_context("spawn")
    chunk = max(1, min(MAX_CHUNK, len(items) // (4 * num_workers)))
    executor = futures.ProcessPoolExecutor(num_workers, mp_context=context, initializer=_leave_ending_to_parent)
    try:
        with _hidden_main():
            results = executor.map(function, items, chunksize=chunk)  # starts all workers
        yield from with_progress(results, len(items), title)
    except futures.process.BrokenProcessPool as error:
        raise RunError(f"{title}: a worker process died, most likely for lack of memory; --num_workers=1") from error
    finally:
        executor.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _hidden_main():
    """Keeps new workers from importing the main module, which Python does for the sake of functions defined there.

    A command's main module imports TensorFlow, which would cost every worker seconds and half a gigabyte.
    """
    main = sys.modules["__main__"]
    path = getattr(main, "__file__", None)
    main.__file__ = None
    try:
        yield
    finally:
        main.__file__ = path


def _leave_ending_to_parent():
    """Makes a worker end when its parent is killed, which it would not notice, and leaves Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
