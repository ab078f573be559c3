"""Lines and progress bars on stderr for a user who waits."""

import sys
import time

from tqdm import tqdm

LINE_EVERY_SECONDS = 10


def say(line):
    """Prints a line that is not part of the result, on stderr."""
    print(line, file=sys.stderr, flush=True)


def with_progress(iterator, total, title, unit="images"):
    """Yields what `iterator` yields and shows the progress: a bar on a terminal, else a line every 10 seconds.

    Args:
      iterator: any iterable.
      total: number of items that it yields.
      title: text before the bar or at the start of the lines.
      unit: what the items are called.
    """
    if sys.stderr.isatty():
        yield from tqdm(iterator, desc=title, total=total, unit=f" {unit}", dynamic_ncols=True)
        return
    start = last = time.monotonic()
    for done, result in enumerate(iterator, 1):
        yield result
        if time.monotonic() - last > LINE_EVERY_SECONDS:
            last = time.monotonic()
            rate = done / (last - start)
            say(f"{title}: {done} of {total} {unit}, {rate:.0f} a second")
    say(f"{title}: {total} {unit} in {time.monotonic() - start:.0f} s")
