"""Segments many small pictures on DirectRunner, kills workers and then the command on the way, and counts the results.

python -m tfseg.benchmarks.bulk --bulk_photos=10000
    All worker processes are killed when a quarter of the pictures is done, and the command itself, with SIGKILL, at
    half; then the same command runs to its end. Prints how many results are lost, differ from those of segment.py
    without a runner, or were written a second time.
"""

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
from absl import flags

from tfseg import markdown
from tfseg.commands import entry
from tfseg.commands.photo_pictures import CLASSES, OVERLAY
from tfseg.errors import RunError
from tfseg.formats.images import encode_png
from tfseg.system.temporary import TemporaryFolder

NUM_PHOTOS = flags.DEFINE_integer("bulk_photos", 10_000, "Pictures.", lower_bound=8)
MODEL = flags.DEFINE_string("bulk_model", "zoo:camvid_rnn_mobilenet_v2", "Model; it runs one iteration.")
WORKERS = flags.DEFINE_integer("bulk_workers", 2, "Worker processes.", lower_bound=1)
COMPARED = flags.DEFINE_integer("bulk_compared", 100, "Pictures that segment.py also segments without a runner.", 1)
HEIGHT, WIDTH, BLOCK, SEED = 48, 64, 8, 0
KILL_WORKERS_AT, KILL_ALL_AT = 0.25, 0.5  # shares of the pictures
SEGMENT = [sys.executable, "-m", "tfseg.commands.program", "segment"]
WORKER = "tfseg.beam.direct_worker"
POLL_SECONDS, ENDING_SECONDS = 0.5, 60


@dataclasses.dataclass
class Counts:
    """What came of the pictures.

    Attributes:
      num_photos: number of pictures.
      summary: last line of the command that ran to its end.
      num_lost: pictures without all of their results.
      num_other: files that nobody asked for.
      num_different: results that are not those of segment.py without a runner, of `num_compared`.
      num_written_again: results that were there when workers or command were killed, and were written again.
      num_orphans: worker processes that outlived the killed command.
      memory_mb: resident memory of the largest process, in 10^6 bytes.
      seconds: from the first start to the end.
    """

    num_photos: int
    summary: str = ""
    num_lost: int = 0
    num_other: int = 0
    num_different: int = 0
    num_compared: int = 0
    num_written_again: int = 0
    num_orphans: int = 0
    memory_mb: int = 0
    seconds: float = 0.0


def write_photos(folder: Path, number: int):
    """Writes PNGs of coloured blocks, 48x64 pixels."""
    folder.mkdir()
    generator = np.random.default_rng(SEED)
    for index in range(number):
        colors = generator.integers(0, 256, [HEIGHT // BLOCK, WIDTH // BLOCK, 3], np.uint8)
        (folder / f"{index:07d}.png").write_bytes(encode_png(colors.repeat(BLOCK, 0).repeat(BLOCK, 1)))


def measure(folder: Path, num_photos: int, model: str, num_workers: int, num_compared: int) -> Counts:
    """Makes the pictures in an empty folder, and segments them as the module says.

    Raises:
      RunError: the command failed, or it was too fast to be killed.
    """
    write_photos(folder / "photos", num_photos)
    listed = folder / "some.txt"
    some = sorted((folder / "photos").iterdir())[:num_compared]
    listed.write_text("".join(f"{path}\n" for path in some))
    words = [*SEGMENT, f"--model={model}", "--iters=1"]
    plain, out = folder / "plain", folder / "out"
    subprocess.run([*words, f"--inputs_from={listed}", f"--output_dir={plain}"], check=True, stdout=subprocess.DEVNULL)
    counts, start = Counts(num_photos, num_compared=len(some)), time.monotonic()
    words += ["--runner=DirectRunner", f"--beam_option=direct_num_workers={num_workers}"]
    words += [f"--output_dir={out}", str(folder / "photos")]
    seen = _killed(words, out, counts)
    done = _watched(subprocess.Popen(words, stdout=subprocess.PIPE, text=True), counts)
    counts.seconds = time.monotonic() - start
    counts.summary = done.strip().splitlines()[-1]
    found = _results(out)
    expected = {f"{index:07d}{suffix}" for index in range(num_photos) for suffix in (CLASSES, OVERLAY)}
    counts.num_lost = len({re.split("_", name)[0] for name in expected - found.keys()})
    counts.num_other = len(found.keys() - expected)
    counts.num_written_again = sum(found.get(name) != inode for name, inode in seen.items())
    counts.num_different = sum(
        path.read_bytes() != (out / path.name).read_bytes() for path in plain.iterdir() if path.name in found
    )
    return counts


def _killed(words, out, counts):
    """Starts the command, kills its workers and then itself; returns {result: inode} after the kills."""
    command = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        _wait(command, out, KILL_WORKERS_AT, counts)
        workers = _workers(command)
        for worker in workers:
            worker.send_signal(signal.SIGKILL)
        seen = _results(out)
        _wait(command, out, KILL_ALL_AT, counts)
        workers = _workers(command)
    finally:
        command.kill()
        command.wait()
    _, alive = psutil.wait_procs(workers, timeout=ENDING_SECONDS)
    counts.num_orphans = len(alive)
    return _results(out) | seen


def _wait(command, out, share, counts):
    """Waits until a share of the pictures is done."""
    while _num_done(out) < share * counts.num_photos:
        if command.poll() is not None:
            raise RunError(f"the command ended with exit code {command.returncode} before it could be killed")
        counts.memory_mb = max(counts.memory_mb, _memory_mb(command))
        time.sleep(POLL_SECONDS)


def _watched(command, counts):
    """Waits for the end of a command, looks after its memory, and returns what it prints."""
    while True:
        try:
            printed, _ = command.communicate(timeout=POLL_SECONDS)
            break
        except subprocess.TimeoutExpired:
            counts.memory_mb = max(counts.memory_mb, _memory_mb(command))
    if command.returncode:
        raise RunError(f"the command ended with exit code {command.returncode}")
    return printed


def _results(out):
    return {one.name: one.inode() for one in os.scandir(out)}


def _num_done(out):
    return sum(name.endswith(OVERLAY) for name in os.listdir(out)) if out.is_dir() else 0


def _workers(command):
    return [one for one in _family(command) if WORKER in _words(one)]


def _family(command):
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(command.pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _words(process):
    with contextlib.suppress(psutil.Error):
        return process.cmdline()
    return []


def _memory_mb(command):
    sizes = [0]
    for process in _family(command):
        with contextlib.suppress(psutil.Error):
            sizes.append(process.memory_info().rss // 10**6)
    return max(sizes)


def main(argv):
    del argv
    with TemporaryFolder() as folder:
        counts = measure(folder, NUM_PHOTOS.value, MODEL.value, WORKERS.value, COMPARED.value)
    rows = [[field.name, str(getattr(counts, field.name))] for field in dataclasses.fields(counts)]
    print(markdown.table(["figure", "value"], rows))


if __name__ == "__main__":
    entry.run(main)
