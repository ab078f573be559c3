"""Lines and bars on stderr for whoever waits."""

import sys
import time

from tqdm import tqdm

LINE_EVERY_SECONDS = 10


def say(line):
    """Tells a waiting user something that is not the result."""
    print(line, file=sys.stderr, flush=True)


def with_progress(iterator, total, title, unit="images"):
    """Yields what `iterator` does and shows how far it is: a bar on a terminal, else a line every 10 seconds."""
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
