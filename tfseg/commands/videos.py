"""Segments videos as streams: an overlay video, a line and a point in a plot for every frame, and class maps."""

import contextlib
import csv
import dataclasses
import io
import time
from collections import Counter
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tfseg import visualize
from tfseg.errors import InputError, RunError, listed
from tfseg.evaluation import charts
from tfseg.formats import video
from tfseg.formats.image_file import MAX_PIXELS
from tfseg.formats.images import encode_png
from tfseg.system import resident_memory
from tfseg.system.files import partial_folder, take_place, write_atomically
from tfseg.system.progress import say

OVERLAY, FRAMES, PLOT, CLASSES = "_overlay.mp4", "_frames.csv", "_frames.png", "_classes"
COLUMNS = (
    "frame",
    "seconds",
    "iterations",
    "gflops",
    "milliseconds",
    "changed_share",
    "reset",
    "lost_before",
    "memory_mb",
)
WINDOW = "tfseg: q ends"


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """How videos are segmented and which results are written.

    Attributes:
      output_dir: folder of the results; it is made if missing.
      stream: arguments of `Predictor.stream`.
      overwrite: whether to replace results that are there already.
      with_classes: whether to write the class map of every frame, too.
      with_window: whether to show the overlay in a window; `q` there ends the video.
      max_pixels: largest number of pixels of a frame.
      max_frames: the most frames that are read; None means all.
    """

    output_dir: str
    stream: dict = dataclasses.field(default_factory=dict)
    overwrite: bool = False
    with_classes: bool = False
    with_window: bool = False
    max_pixels: int = MAX_PIXELS
    max_frames: int | None = None


@dataclasses.dataclass
class FrameRow:
    """A line of the CSV file: the fields of `COLUMNS`; None is an empty cell. Memory is the process', in 10^6 bytes."""

    frame: int
    seconds: float
    iterations: int
    gflops: float | None
    milliseconds: float
    changed_share: float | None
    reset: str
    lost_before: int
    memory_mb: int | None


def segment_video(predictor, clip, name, options: VideoOptions, cost_of=None) -> str:
    """Segments the frames of a video, one at a time, and writes what a user looks at.

    `<name>_overlay.mp4` shows the classes over the frames, `<name>_frames.csv` has a line for every frame,
    `<name>_frames.png` plots them over time, and `<name>_classes/` holds the class map of every frame if wanted. A
    video that ends early, because it is damaged or somebody stopped it, leaves results of the frames before that.

    Args:
      predictor: a `tfseg.inference.predictor.Predictor`.
      clip: a `VideoFile`, `FrameFolder` or `Camera` of `tfseg.formats.video`.
      name: beginning of the results' names.
      options: a VideoOptions.
      cost_of: (height, width) -> `profiling.frame_cost.FrameCost`; None leaves the column empty.
    Returns:
      A line that says what was done.
    Raises:
      InputError: the video holds no frame that can be read, or the options do not fit the model.
      RunError: a result cannot be written.
    """
    folder = Path(options.output_dir)
    if not options.overwrite and (folder / f"{name}{FRAMES}").exists():
        return f"{clip.name}: its results are in {folder} already (--overwrite)"
    stream, costs, legends, rows = predictor.stream(**options.stream), {}, {}, []
    with partial_folder(folder / f"{name}_video") as partial:
        writer = video.VideoWriter(partial / "overlay.mp4", clip.rate)
        begin, is_stopped = time.perf_counter(), True
        try:
            for frame in _shown(clip, options.max_frames):
                if not rows:
                    _warm_up(predictor, frame.pixels, options.stream)
                if frame.num_lost:
                    stream.reset()
                found = stream.next(frame.pixels)
                picture = _picture(frame.pixels, found.class_ids, predictor.info, legends)
                writer.write(picture, frame.seconds)
                rows.append(_row(frame, found, cost_of, costs))
                if options.with_classes:
                    path = partial / "classes" / f"{frame.number:06}.png"
                    write_atomically(path, visualize.palette_png(found.class_ids, predictor.info))
                if options.with_window and _is_ended_by_key(picture):
                    break
            else:
                is_stopped = False
        finally:
            if rows:
                seconds = time.perf_counter() - begin
                stem = f"{name}_first_{len(rows)}" if is_stopped else name
                _finish(writer, rows, partial, folder, stem)
                if is_stopped:
                    say(f"{clip.name}: stopped after {len(rows)} frames; their results are in {folder}/{stem}_*")
    return _summary(clip, rows, writer, seconds, folder / f"{stem}{OVERLAY}")


def segment_videos(predictor, openers, names, options: VideoOptions, cost_of=None):
    """Segments videos one after the other and prints a line for each; a bad one does not stop the others.

    Args:
      predictor, options, cost_of: see `segment_video`.
      openers: functions that open a video each.
      names: beginnings of their results' names.
    Raises:
      InputError: some of them could not be used; lines on stderr say which.
    """
    if options.with_window:
        check_window()
    problems = 0
    with closing_windows() if options.with_window else contextlib.nullcontext():
        for opener, name in zip(openers, names, strict=True):
            try:
                print(segment_video(predictor, opener(), name, options, cost_of), flush=True)
            except InputError as error:
                if len(openers) == 1:
                    raise
                say(str(error))
                problems += 1
    if problems:
        raise InputError(f"{problems} of {len(openers)} videos could not be used; they are listed above")


def split(inputs, folders_are_videos) -> tuple[list, list]:
    """Splits paths into (videos, others): files whose names end as those of videos do and, if said so, folders."""

    paths = list(map(Path, inputs))
    are_clips = [folders_are_videos if path.is_dir() else path.suffix.lower() in video.ENDINGS for path in paths]
    clips = [path for path, is_clip in zip(paths, are_clips, strict=True) if is_clip]
    return clips, [str(path) for path, is_clip in zip(paths, are_clips, strict=True) if not is_clip]


def opened(path, rate, max_pixels):
    """Opens a video file, or a folder of numbered frames at a rate of frames a second. Raises InputError."""
    if path.is_dir():
        return video.FrameFolder(path, rate, max_pixels)
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    return video.VideoFile(path, max_pixels)


def names_of(clips) -> list[str]:
    """Returns beginnings of results' names: stems, or whole names where stems are alike."""
    paths = [clip.resolve() for clip in clips]
    names = [path.name if path.is_dir() else path.stem for path in paths]
    stems = Counter(names)
    names = [name if stems[name] == 1 else path.name.replace(".", "_") for name, path in zip(names, paths, strict=True)]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(f"{twice[0]}: two videos of this name would have the same results; run them apart")
    return names


def _warm_up(predictor, pixels, options):
    """Runs a frame that starts afresh and one that does not, so that TensorFlow's tracing is in no frame's time."""
    stream = predictor.stream(**options)
    for _ in range(2):
        stream.next(pixels)


def _row(frame, found, cost_of, costs):
    """The line of a frame. Each size is counted once, into `costs`."""
    size = found.class_ids.shape
    if cost_of is not None and size not in costs:
        costs[size] = cost_of(size)
    cost = costs.get(size)
    gflops = cost and cost.gflops(found.iterations, not found.reset)
    changed, held = found.changed_share, resident_memory.held_bytes()
    return FrameRow(
        frame.number,
        round(frame.seconds, 3),
        found.iterations,
        None if gflops is None else round(gflops, 4),
        round(found.milliseconds, 2),
        None if changed is None else round(changed, 5),
        found.reset,
        frame.num_lost,
        None if held is None else round(held / 1e6),
    )


def _picture(pixels, class_ids, info, legends):
    """The classes over a frame, and the legend below it, which is drawn once for each width, into `legends`."""
    painted = visualize.overlay(pixels, class_ids, info, legend=False)
    width = painted.shape[1]
    if width not in legends:
        legends[width] = visualize.legend(info, width, is_overlay=True)[:, :width]
    return np.concatenate([painted, legends[width]])


def _shown(clip, max_frames):
    """Yields the frames, with a bar or a line every 10 seconds that tells frames a second."""
    total = min(one for one in (clip.num_frames, max_frames, np.inf) if one is not None)
    total = None if total == np.inf else int(total)
    bar = tqdm(desc="segmenting", total=total, unit=" frames", dynamic_ncols=True, mininterval=1, disable=None)
    last = begin = time.monotonic()
    with bar:
        for count, frame in enumerate(clip, 1):
            yield frame
            bar.update()
            if bar.disable and time.monotonic() - last > 10:
                last = time.monotonic()
                say(f"segmenting: {count} of {total or 'unknown'} frames, {count / (last - begin):.1f} a second")
            if count == max_frames:
                return


def _finish(writer, rows, partial, folder, stem):
    """Gives the results their final names; the CSV file comes last, so that it stands for all of them."""
    writer.close()
    take_place(partial / "overlay.mp4", folder / f"{stem}{OVERLAY}")
    if (partial / "classes").is_dir():
        take_place(partial / "classes", folder / f"{stem}{CLASSES}")
    write_atomically(folder / f"{stem}{PLOT}", encode_png(charts.timeline([dataclasses.asdict(row) for row in rows])))
    text = io.StringIO()
    lines = csv.DictWriter(text, COLUMNS)
    lines.writeheader()
    lines.writerows(dataclasses.asdict(row) for row in rows)
    write_atomically(folder / f"{stem}{FRAMES}", text.getvalue().encode())


def _summary(clip, rows, writer, seconds, path):
    resets = [f"{row.frame} ({row.reset})" for row in rows if row.reset]
    median = np.median([row.milliseconds for row in rows])
    num_lost = sum(row.lost_before for row in rows)
    parts = [
        f"{path}: {len(rows)} frames at {len(rows) / seconds:.1f} a second, {median:.1f} ms each in the model",
        f"{np.mean([row.iterations for row in rows]):.1f} iterations on average",
        f"started afresh at {listed(resets)}" if len(resets) < len(rows) else "",
        f"{num_lost} frames lost or never recorded" if num_lost else "",
        f"at most {most:,} MB of memory" if (most := max(row.memory_mb or 0 for row in rows)) else "",
        f"{clip.name} {clip.problem}" if clip.problem else "",
        f"{writer.codec}{': ' + writer.remark if writer.remark else ''}",
    ]
    return "; ".join(part for part in parts if part)


def check_window():
    """Raises InputError if no window can be opened here."""
    import cv2

    try:
        cv2.namedWindow(WINDOW)
    except cv2.error:
        raise InputError(
            "--show: no window can be opened: there is no display, or this OpenCV is a headless one; look at the "
            "overlay video instead"
        ) from None


def _is_ended_by_key(picture):
    import cv2

    try:
        cv2.imshow(WINDOW, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        return cv2.waitKey(1) & 0xFF in (ord("q"), 27)
    except cv2.error as error:
        raise RunError(f"--show: the window is gone ({str(error).splitlines()[0]})") from None


@contextlib.contextmanager
def closing_windows():
    """Closes the window at the end."""
    try:
        yield
    finally:
        import cv2

        with contextlib.suppress(cv2.error):
            cv2.destroyAllWindows()
