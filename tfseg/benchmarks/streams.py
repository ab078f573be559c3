"""Times models on one video, frame by frame in turn, and compares each with the first.

python -m tfseg.benchmarks.streams --clip=frames/ --iterations=1 \\
        --models=exports/street_deeplabv3/street_deeplabv3_segment_1_fp32.tflite,exports/street/street_stream_fp32.tflite
    All that `segment.py` does for a frame but reading it and drawing on it, motion included. Models are anything that
    `segment.py --model` takes; .tflite files run on --interpreter_threads.
"""

import dataclasses
from pathlib import Path

import numpy as np
from absl import flags

from tfseg import markdown
from tfseg.commands import entry, videos
from tfseg.errors import InputError
from tfseg.formats.image_file import MAX_PIXELS
from tfseg.formats.video import DEFAULT_RATE
from tfseg.inference.predictor import Predictor
from tfseg.profiling import frame_cost
from tfseg.system import timing
from tfseg.system.progress import with_progress

MODELS = flags.DEFINE_list("models", [], "Models; the others are compared with the first one.")
CLIP = flags.DEFINE_string("clip", None, "Video file or folder of numbered frames, one scene.")
ITERATIONS = flags.DEFINE_integer(
    "iterations", None, "Iterations of a frame that starts from the one before.", lower_bound=1
)
NUM_FRAMES = flags.DEFINE_integer(
    "num_frames", 100, "Frames that are timed; the first one only warms up.", lower_bound=2
)
THREADS = flags.DEFINE_integer("interpreter_threads", 1, "Threads of .tflite files.", lower_bound=1)


@dataclasses.dataclass(frozen=True)
class Timed:
    """What one model took.

    Attributes:
      model: its name.
      gflops: executed by a frame of the kind that was timed; None where they are not known.
      milliseconds: of every frame that started from the one before; of a model that keeps no state, of every frame.
      num_fresh: number of further frames, which started afresh.
    """

    model: str
    gflops: float | None
    milliseconds: list[float]
    num_fresh: int


def measure(predictors, frames, iters=None) -> list[Timed]:
    """Gives every frame to all models in turn.

    Args:
      predictors: {name: Predictor}.
      frames: list of [height, width, 3] uint8 RGB; the first one is not timed.
      iters: iterations of a frame that starts from the one before, for models that can be iterated; None is what each
        model says.
    Raises:
      InputError: a model cannot run so many iterations, or all its frames start afresh.
    """
    streams = {name: one.stream(**({"iters": iters} if one.is_recurrent else {})) for name, one in predictors.items()}
    taken = {name: [] for name in predictors}
    for number, frame in enumerate(with_progress(frames, len(frames), "frames", "frames")):
        for name, stream in streams.items():
            found = stream.next(frame)
            if number:
                taken[name].append(found)
    rows = []
    for name, predictor in predictors.items():
        keeps_state = predictor.engine.carry is not None
        kept = [one for one in taken[name] if not (keeps_state and one.reset)]
        if not kept:
            raise InputError(f"{predictor.engine.path}: every frame started afresh; the clip should show one scene")
        cost = frame_cost.of_engine(predictor.engine, frames[0].shape[:2])
        gflops = None if cost is None else float(np.mean([cost.gflops(one.iterations, keeps_state) for one in kept]))
        rows.append(Timed(name, gflops, [one.milliseconds for one in kept], len(taken[name]) - len(kept)))
    return rows


def as_markdown(rows) -> str:
    """The table: medians, and ratios to the first row."""
    lines, first = [], rows[0]
    for row in rows:
        median = timing.median(row.milliseconds)
        cost = ["", ""] if row.gflops is None else [f"{row.gflops:.2f}", ""]
        if row.gflops is not None and first.gflops is not None:
            cost[1] = f"{row.gflops / first.gflops:.3f}"
        times = [f"{median:.1f}", f"{timing.p95(row.milliseconds):.1f}"]
        lines.append(
            [row.model, *cost, *times, f"{median / timing.median(first.milliseconds):.3f}", str(row.num_fresh)]
        )
    head = ["model", "GFLOPs", "ratio", "ms", "95 %", "ratio", "frames afresh"]
    return markdown.table(head, lines, [False, *[True] * 6])


def main(argv):
    if len(argv) > 1:
        raise InputError(f"unexpected arguments: {' '.join(argv[1:])}")
    if CLIP.value is None or not MODELS.value:
        raise InputError("--models=MODEL,MODEL and --clip=FILE_OR_FOLDER say what is timed on what")
    clip = videos.opened(Path(CLIP.value), DEFAULT_RATE, MAX_PIXELS)
    frames = [frame.pixels for frame, _ in zip(clip, range(NUM_FRAMES.value), strict=False)]
    if len(frames) < 2:
        raise InputError(f"{CLIP.value}: one frame; at least two, since the first only warms up")
    names = [Path(path).name for path in MODELS.value]
    if len(set(names)) < len(names):
        names = MODELS.value
    predictors = {
        name: Predictor.load(path, threads=THREADS.value) for name, path in zip(names, MODELS.value, strict=True)
    }
    rows = measure(predictors, frames, ITERATIONS.value)
    print(as_markdown(rows))
    print(f"medians of up to {len(frames) - 1} frames of {frames[0].shape[0]}x{frames[0].shape[1]}, in turn")


if __name__ == "__main__":
    entry.run(main)
