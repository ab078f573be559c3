"""Measures the memory that a model takes in use, while its images keep changing their size, and the time an image.

    python -m tfseg.benchmarks.memory --model=model_zoo/camvid_rnn_mobilenet_v2
    python -m tfseg.benchmarks.memory --model=exports/photos/serving/photos --served

The first line measures what `tfseg.load(model).predict` does. With `--served`, JPEG files go to the signature
`serving_default` of a SavedModel, as in a server. Images of --sizes sizes pass in turn, --calls times. Memory is what
the process holds after every size was seen once, and the most that it held later.
"""

import dataclasses
import itertools
import sys
import time

import numpy as np
import tensorflow as tf
from absl import flags
from PIL import Image

import tfseg
from tfseg.commands import entry
from tfseg.errors import InputError
from tfseg.formats import saved_model
from tfseg.formats.images import encode_jpeg
from tfseg.inference.engines.loading import found
from tfseg.system import resident_memory, timing
from tfseg.system.progress import with_progress

MOST_GROWTH = 1.3
SMALLEST_SHARE = 0.5  # of the sides of the largest image


@dataclasses.dataclass(frozen=True)
class Soak:
    """What was measured.

    Attributes:
      settled: megabytes (10^6 bytes) of memory that the process held after every size was seen once.
      most: the most megabytes that it held from then on.
      first: milliseconds of each call with a size that was new.
      later: milliseconds of the other calls.
    """

    settled: float
    most: float
    first: list[float]
    later: list[float]

    @property
    def growth(self):
        return self.most / self.settled

    def __str__(self):
        lines = [
            f"{self.settled:.0f} MB after {len(self.first)} calls, each of a new size; "
            f"at most {self.most:.0f} MB in the {len(self.later)} after them: "
            f"{self.growth:.2f} times (goal {MOST_GROWTH})"
        ]
        for name, taken in (("new sizes", self.first), ("sizes seen before", self.later)):
            lines.append(f"{name}: {timing.median(taken):.1f} ms an image (median), {timing.p95(taken):.1f} (p95)")
        return "\n".join(lines)


def sizes_of(count, largest) -> list[tuple[int, int]]:
    """Draws different (height, width), always the same ones, from half of the `largest` size to all of it.

    Raises:
      InputError: there are not so many.
    """
    ranges = [range(max(int(side * SMALLEST_SHARE), 1), side + 1) for side in largest]
    possible = len(ranges[0]) * len(ranges[1])
    if count > possible:
        raise InputError(f"--sizes={count}: up to {largest[0]}x{largest[1]} there are {possible}; give a larger size")
    drawn = np.random.default_rng(0).choice(possible, count, replace=False)
    return [(ranges[0][index // len(ranges[1])], ranges[1][index % len(ranges[1])]) for index in drawn]


def soak(call, inputs, num_calls) -> Soak:
    """Calls a function with each input in turn, and again from the first, and watches the memory of this process.

    Args:
      call: a function of one input.
      inputs: list of inputs, all of different size.
      num_calls: number of calls, more than there are inputs.
    """
    taken, held = [], []
    for one in with_progress(itertools.islice(itertools.cycle(inputs), num_calls), num_calls, "calling"):
        begin = time.perf_counter()
        call(one)
        taken.append(1000 * (time.perf_counter() - begin))
        held.append(resident_memory.held_bytes() / 1e6)
    count = len(inputs)
    return Soak(held[count - 1], max(held[count:]), taken[:count], taken[count:])


def picture(largest):
    """Returns a [height, width, 3] uint8 image of soft spots, whose JPEG is as large as that of a photo."""
    spots = np.random.default_rng(0).integers(0, 256, [*(max(side // 8, 1) for side in largest), 3], np.uint8)
    return np.asarray(Image.fromarray(spots).resize(largest[::-1], Image.Resampling.BICUBIC))


def served(path):
    """Returns a function that sends a file's bytes to a SavedModel's `serving_default`."""
    program = saved_model.run_program(path)
    if "serving_default" not in program.loaded.signatures:
        raise InputError(f"{path}: has no signature serving_default; export.py --format=savedmodel makes one")

    def segment(content):
        function = program.loaded.signatures["serving_default"]
        return function(image_bytes=tf.constant([content]))["mask_png_bytes"].numpy()

    return segment


def define_flags():
    """Defines the flags of this program. It is a function so that other programs can import this module."""
    flags.DEFINE_string("model", None, "What tfseg.load takes; with --served, a SavedModel of open size.")
    flags.DEFINE_boolean("served", False, "Send files to serving_default instead of arrays to predict.")
    flags.DEFINE_integer("calls", 3000, "Number of calls.", lower_bound=2)
    flags.DEFINE_integer("sizes", 300, "Number of image sizes.", lower_bound=1)
    flags.DEFINE_string("largest", "360x480", "HEIGHTxWIDTH of the largest image; the smallest has half its sides.")
    flags.DEFINE_boolean("trust", False, "Run a SavedModel whose sha256 is in no manifest. It can do anything.")


def main(argv):
    given = flags.FLAGS
    if len(argv) > 1 or given.model is None:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}" if len(argv) > 1 else "--model is missing")
    if resident_memory.held_bytes() is None:
        raise InputError("this system does not tell how much memory a process holds (there is no /proc/self/status)")
    if given.calls <= given.sizes:
        raise InputError(f"--calls={given.calls}: more than the {given.sizes} of --sizes")
    largest = entry.parse_size("largest", given.largest)
    whole = picture(largest)
    images = [whole[:height, :width] for height, width in sizes_of(given.sizes, largest)]
    # Loading it refuses a SavedModel that is not trusted.
    call = tfseg.load(given.model, trust=given.trust).predict
    if given.served:
        call, images = served(found(given.model)), [encode_jpeg(image) for image in images]
    print(soak(call, images, given.calls))


if __name__ == "__main__":
    define_flags()
    sys.exit(entry.run(main))
