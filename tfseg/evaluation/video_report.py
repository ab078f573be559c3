"""Scores a model on videos, frame after frame: from nothing, from the frame before, and other models beside it.

All ways of running a frame take turns on it, so that their times compare.
"""

import dataclasses
import itertools
import json
from collections import defaultdict
from pathlib import Path

import numpy as np

from tfseg import markdown, visualize
from tfseg.errors import InputError
from tfseg.evaluation import charts
from tfseg.evaluation.scored_images import open_scored_split
from tfseg.formats.images import encode_png
from tfseg.inference.predictor import Predictor
from tfseg.metrics.temporal import WINDOWS, VideoScores
from tfseg.runs.run_directory import load_run
from tfseg.system import timing
from tfseg.system.files import write_atomically
from tfseg.system.progress import with_progress
from tfseg.system.small_files import sealed

SETTLED = 0.005  # share of the canvas that an iteration may still change
ANIMATED_FRAMES, ANIMATION_RATE = 48, 5.0  # frames a second: slower than the videos, so that flicker is seen
ALONE, AFRESH, SEEDED = "every frame by itself", "every frame from zero", "from the frame before"
COLUMNS = {
    "way": "way",
    "miou": "mIoU, %",
    "seeded_miou": "seeded frames",
    "temporal_consistency": "TC, %",
    **{f"vc{n}": f"VC{n}, %" for n in WINDOWS},
    "iterations": "iterations",
    "gflops": "GFLOPs",
    "milliseconds": "ms",
}
SHARES = ("miou", "seeded_miou", "temporal_consistency", *(f"vc{n}" for n in WINDOWS))


@dataclasses.dataclass(frozen=True)
class VideoReportOptions:
    """What is scored.

    Attributes:
      split, data_dir, weights, report_dir: see `report.ReportOptions`.
      compare: other models, as `Predictor.load` takes them: run directories, model zoo folders, exports.
      max_frames: the most frames; None means all.
    """

    split: str | None = None
    data_dir: str | None = None
    weights: str = "last"
    report_dir: str | None = None
    compare: tuple[str, ...] = ()
    max_frames: int | None = None


def ways(predictor) -> dict[str, dict]:
    """Returns {name: options of `Predictor.stream`}: the ways in which a model's frames are run."""
    if predictor.engine.carry is None:
        return {ALONE: {}}
    if not predictor.is_recurrent:
        return {ALONE: {"key_every": 1}, SEEDED: {}}
    most = predictor.default_iterations
    counts = sorted({1, min(2, most), most})
    afresh = {f"{AFRESH}, {n}": {"key_every": 1, "key_iters": n} for n in counts}
    seeded = {f"{SEEDED}, {n}": {"iters": n} for n in (1, 2) if n <= most}
    return afresh | seeded | {f"{SEEDED}, until settled": {"iters": most, "tolerance": SETTLED}}


def evaluate_video(model, options: VideoReportOptions, cost_of) -> dict:
    """Scores a trained model on the videos of a split; its report gets video.md, video.json, video.png and video.gif.

    Args:
      model: run directory or model zoo folder.
      options: a VideoReportOptions.
      cost_of: (engine, (height, width)) -> what a frame costs, e.g. `profiling.frame_cost.of_engine`.
    Returns:
      The content of video.json: "rows", a list of dicts with the keys of COLUMNS, and what was scored.
    Raises:
      InputError: there is no such run or split, the data are damaged, or they are not videos.
    """
    config, info, network = load_run(model, options.weights)
    data = config.data
    split = open_scored_split(data.dataset, options.data_dir, data.data_dir, options.split, data.validation_split, info)
    predictor = Predictor(network, info)
    streams = {name: (predictor, arguments) for name, arguments in ways(predictor).items()}
    for other in options.compare:
        others = Predictor.load(other)
        if others.info.class_names != info.class_names:
            raise InputError(f"{other}: has other classes than {model}; only models of the same classes compare")
        for way, arguments in ways(others).items():
            if (name := f"{Path(other).resolve().name}: {way}") in streams:
                raise InputError(f"--compare={other}: another model has this name, too; rename one of them")
            streams[name] = others, arguments
    with split.damage_named():
        rows, num_frames, num_videos, pictures = _rows(streams, split, options.max_frames, cost_of)
    content = {
        "dataset": data.dataset,
        "split": split.name,
        "num_frames": num_frames,
        "num_videos": num_videos,
        "carry": dataclasses.asdict(network.carry) if network.carry else None,
        "rows": rows,
    }
    points = {
        row["way"]: [
            {key: row[key] for key in ("gflops", "milliseconds", "miou")} | {"iteration": f"{row['iterations']:.3g}"}
        ]
        for row in rows
    }
    folder = Path(options.report_dir or Path(model) / "report")
    write_atomically(folder / "video.json", json.dumps(sealed(content), indent=1).encode())
    write_atomically(folder / "video.md", (as_markdown(content) + "\n").encode())
    write_atomically(folder / "video.png", encode_png(charts.curve(points)))
    write_atomically(folder / "video.gif", visualize.animation(pictures, ANIMATION_RATE))
    return content


def _rows(streams, split, max_frames, cost_of):
    """Runs every way on every frame.

    Returns:
      (rows of the table, number of frames, number of videos, pictures of the first frames of the first size).
    """
    shown = _ways_shown(list(streams))
    pictures = []
    open_streams, scores, costs = {}, {}, {}
    taken, counts, gflops = defaultdict(list), defaultdict(list), defaultdict(list)
    last, videos, num_frames = None, 0, 0
    frames = itertools.islice(split.frames(), max_frames)
    total = min(split.num_examples, max_frames or split.num_examples)
    for sequence, image, label, filename in with_progress(frames, total, "evaluating", "frames"):
        if sequence != last:
            open_streams = {name: predictor.stream(**arguments) for name, (predictor, arguments) in streams.items()}
            if not num_frames:
                _warm_up(streams, image)
            last, videos = sequence, videos + 1
        num_frames += 1
        cells = {"image": image}
        for name, stream in open_streams.items():
            engine = streams[name][0].engine
            found = stream.next(image)
            score = scores.setdefault(name, VideoScores(split.info.num_classes, split.info.ignore_label))
            try:
                score.update(label, found.class_ids, sequence, is_seeded=not found.reset)
            except InputError as error:
                raise InputError(f"{filename}: {error}") from None
            key = id(engine), image.shape[:2]
            if key not in costs:
                costs[key] = cost_of(engine, image.shape[:2])
            taken[name].append(found.milliseconds)
            counts[name].append(found.iterations)
            gflops[name].append(costs[key].gflops(found.iterations, not found.reset))
            if name in shown:
                cells[shown[name]] = visualize.colorize(found.class_ids, split.info)
        if num_frames <= ANIMATED_FRAMES:
            row = visualize.titled_row(cells | {"label": visualize.colorize(label, split.info)})
            picture = visualize.stacked([row, visualize.legend(split.info, row.shape[1])])
            pictures += [picture] if not pictures or picture.shape == pictures[0].shape else []
    if not num_frames:
        raise InputError(f"{split.data_dir}: the split {split.name} is empty")
    rows = [
        {"way": name}
        | scores[name].result()
        | {
            "iterations": float(np.mean(counts[name])),
            "gflops": float(np.mean(gflops[name])),
            "milliseconds": timing.median(taken[name]),
        }
        for name in streams
    ]
    return rows, num_frames, videos, pictures


def _ways_shown(names):
    """Returns {way: title} of those that the animated picture shows: the dearest from zero, the cheapest seeded."""
    afresh = [name for name in names if name.startswith((ALONE, AFRESH))]
    seeded = [name for name in names if name.startswith(SEEDED)]
    ways = [*afresh[-1:], *seeded[:1]] or names[:1]
    return {way: way.replace("every frame ", "").replace("the frame ", "") for way in ways}


def _warm_up(streams, image):
    """Traces all functions, so that this is in no frame's time."""
    for predictor, arguments in streams.values():
        stream = predictor.stream(**arguments)
        for _ in range(2):
            stream.next(image)


def as_markdown(content) -> str:
    """The table of the report, and what it was measured on."""
    lines = [[_cell(key, row[key]) for key in COLUMNS] for row in content["rows"]]
    table = markdown.table(list(COLUMNS.values()), lines, [key != "way" for key in COLUMNS])
    return (
        f"# Video\n\n{content['num_frames']} frames of {content['num_videos']} videos: {content['dataset']} "
        f"{content['split']}, in their order. GFLOPs are the mean of a frame, ms the median, motion included; all ways "
        f"took turns on each frame.\n\n{table}\n\nTC: pixels that keep their class where they keep their label, from "
        "frame to frame. VC8, VC16: the same throughout 8 and 16 frames. Carried: "
        f"{json.dumps(content['carry']) if content['carry'] else 'nothing'}."
    )


def _cell(key, value):
    if value is None:
        return ""
    if key in SHARES:
        return f"{100 * value:.2f}"
    return value if isinstance(value, str) else f"{value:.{1 if key == 'milliseconds' else 2}f}"
