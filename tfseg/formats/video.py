"""Videos: files, folders of numbered frames and cameras are read frame by frame; files are written.

Files are decoded by OpenCV's FFmpeg. Only containers of pictures are tried, and only from the file itself: a playlist
that calls itself clip.mp4 could open other files and addresses.
"""

import contextlib
import dataclasses
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tfseg.errors import InputError, RunError
from tfseg.formats import image_file
from tfseg.formats.images import read_image
from tfseg.system.files import failure, open_regular
from tfseg.system.native_output import silenced_stderr

# Endings, in small letters, of the names of video files.
ENDINGS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".3gp"}
CONTAINERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,ogg"
OPTIONS = f"protocol_whitelist;file|format_whitelist;{CONTAINERS}"
QUIET = {"OPENCV_FFMPEG_CAPTURE_OPTIONS": OPTIONS, "OPENCV_FFMPEG_LOGLEVEL": "-8", "OPENCV_LOG_LEVEL": "OFF"}
DEFAULT_RATE = 25.0  # frames a second, where nothing says how many
HIGHEST_RATE = 1000.0
LONGEST_STAY = 10.0  # seconds
# What is tried in turn: (FOURCC, its name, what a user should know of it).
CODECS = (
    ("avc1", "H.264", ""),
    ("mp4v", "MPEG-4 Part 2", "this OpenCV has no H.264 encoder; players show it, most browsers do not"),
)


@dataclasses.dataclass(frozen=True)
class VideoFrame:
    """One frame.

    Attributes:
      number: its place in the video, from 0; lost frames are counted.
      seconds: its time from the beginning.
      pixels: [height, width, 3] uint8 RGB.
      num_lost: number of frames between the one before and this one that could not be read.
    """

    number: int
    seconds: float
    pixels: np.ndarray
    num_lost: int = 0


class VideoFile:
    """The frames of a video file, of which one at a time is in memory.

    Args:
      path: a regular file.
      max_pixels: number of pixels above which a frame is refused.

    Attributes:
      name: the path, for messages.
      rate: frames a second.
      num_frames: how many frames the file says it has; None if it does not say.
      problem: after the last frame: why the file ended before its end, in words; empty if it did not.
    Raises:
      InputError: it is no video, it has no pictures, or it is damaged from the beginning.
    """

    def __init__(self, path, max_pixels=image_file.MAX_PIXELS):
        self.name, self.problem, self._max_pixels = str(path), "", max_pixels
        try:
            with open_regular(path) as file:
                is_empty = not file.read(1)
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({failure(error)})") from None
        if is_empty:
            raise InputError(f"{path}: an empty file; copy it again")
        self._capture = _opened_capture(os.path.abspath(path))
        if self._capture is None:
            raise InputError(
                f"{path}: no video that can be read: of another format, without pictures, or cut before its end was "
                "written; convert it with ffmpeg"
            )
        cv2 = _cv2()
        sides = (self._capture.get(one) for one in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
        _check_size(self.name, tuple(map(int, sides)), max_pixels)
        self.rate = _rate_of(self._capture)
        count = self._capture.get(_cv2().CAP_PROP_FRAME_COUNT)
        self.num_frames = int(count) if 0 < count < 2**31 else None

    def __iter__(self) -> Iterator[VideoFrame]:
        cv2, number, last = _cv2(), -1, None
        while True:
            is_read, pixels = self._capture.read()
            if not is_read:
                break
            seconds = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
            passed = 1 if last is None else round((seconds - last) * self.rate)
            # In a file of a varying rate, a pause of three frames or more counts as a loss as well: nothing tells them
            # apart.
            lost = passed - 1 if passed > 2 else 0
            number, last = number + 1 + lost, seconds
            _check_size(self.name, pixels.shape[:2], self._max_pixels)
            yield VideoFrame(number, seconds, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), lost)
        self._capture.release()
        read = number + 1
        if not read:
            raise InputError(f"{self.name}: none of its frames can be decoded; it is damaged, or has no pictures")
        if self.num_frames and read < 0.98 * self.num_frames - 1:
            self.problem = f"ends after {read} of {self.num_frames} frames: the rest is missing or damaged"


class FrameFolder:
    """The frames of a video that are image files in a folder, in the order of the last number in their names.

    Attributes are those of `VideoFile`; `rate` is given. A file that cannot be read counts as a lost frame.

    Raises:
      InputError: there are no images, or images without a number.
    """

    def __init__(self, path, rate=DEFAULT_RATE, max_pixels=image_file.MAX_PIXELS):
        self.name, self.rate, self._max_pixels, self.problem = str(path), rate, max_pixels, ""
        files = [one for one in sorted(Path(path).iterdir()) if one.suffix.lower() in image_file.ENDINGS]
        files = [one for one in files if not one.name.startswith(".") and one.is_file()]
        numbers = {one: re.findall(r"\d+", one.stem) for one in files}
        if not files:
            raise InputError(
                f"{path}: no images in this folder; frames are numbered image files, 0001.png, 0002.png, ..."
            )
        if bare := [one.name for one in files if not numbers[one]]:
            raise InputError(f"{path}: {bare[0]} has no number, so its place in the video is not known; rename it")
        self._files = sorted(files, key=lambda one: (int(numbers[one][-1]), one.name))
        self.num_frames = len(files)

    def __iter__(self) -> Iterator[VideoFrame]:
        lost, problems = 0, []
        for number, file in enumerate(self._files):
            try:
                pixels = read_image(file, self._max_pixels)
            except InputError as error:
                problems.append(str(error))
                lost += 1
                continue
            yield VideoFrame(number, number / self.rate, pixels, lost)
            lost = 0
        if lost == self.num_frames:
            raise InputError(f"{self.name}: none of its {lost} images can be read; the first: {problems[0]}")
        if problems:
            self.problem = f"holds {len(problems)} images that cannot be read, the first: {problems[0]}"


class Camera:
    """The frames of a camera, until the caller stops.

    Args:
      number: the camera's number, from 0.

    Attributes are those of `VideoFile`; `num_frames` is None.

    Raises:
      InputError: there is no such camera, or it gives no pictures.
    """

    num_frames, problem = None, ""

    def __init__(self, number):
        self.name = f"camera {number}"
        with _quiet():
            self._capture = _cv2().VideoCapture(number)
            is_open = self._capture.isOpened()
        if not is_open:
            raise InputError(f"--camera={number}: there is no such camera, or another program uses it; they begin at 0")
        self.rate = _rate_of(self._capture)

    def __iter__(self) -> Iterator[VideoFrame]:
        cv2, number, first = _cv2(), 0, None
        try:
            while True:
                is_read, pixels = self._capture.read()
                if not is_read:
                    break
                now = cv2.getTickCount() / cv2.getTickFrequency()
                first = now if first is None else first
                yield VideoFrame(number, now - first, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
                number += 1
        finally:
            self._capture.release()
        if not number:
            raise InputError(f"{self.name}: it gives no pictures")
        self.problem = "gives no more pictures"


class VideoWriter:
    """Writes the frames of a video file (.mp4), in the size of the first one; others are resized to it.

    The file has a constant rate. A frame stays, i.e. is written again, until the next one's time, at most
    `LONGEST_STAY` seconds, so that pauses and lost frames, and cameras that are faster than the model, do not make the
    video run faster than what it shows.

    Args:
      path: the file's path.
      rate: frames a second.

    Attributes:
      codec: name of the codec; None before the first frame.
      remark: what a user should know of it; may be empty.
    Raises:
      RunError: the file cannot be written.
    """

    def __init__(self, path, rate):
        self._path, self._rate, self._writer, self._size = str(path), rate, None, None
        self._first_seconds, self._last, self._num_written = None, None, 0
        self.codec, self.remark = None, ""

    def write(self, pixels, seconds):
        """Adds a frame.

        Args:
          pixels: [height, width, 3] uint8 RGB. A side of odd length loses its last row or column.
          seconds: when it is seen, on the same clock as the frames before.
        """
        cv2 = _cv2()
        if self._writer is None:
            self._begin((pixels.shape[1] & ~1, pixels.shape[0] & ~1))
        width, height = self._size
        if pixels.shape[0] in (height, height + 1) and pixels.shape[1] in (width, width + 1):
            pixels = pixels[:height, :width]
        else:
            pixels = cv2.resize(pixels, self._size, interpolation=cv2.INTER_AREA)
        self._first_seconds = seconds if self._first_seconds is None else self._first_seconds
        due = round((seconds - self._first_seconds) * self._rate)
        for _ in range(min(due - self._num_written, round(LONGEST_STAY * self._rate))):
            self._add(self._last)
        self._num_written = max(due, self._num_written)
        self._last = cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
        self._add(self._last)

    def _add(self, pixels):
        self._writer.write(pixels)
        self._num_written += 1

    def close(self):
        """Ends the file. Raises RunError if nothing was written, e.g. on a full disk."""
        if self._writer is None:
            return
        self._writer.release()
        if not os.path.exists(self._path) or not os.path.getsize(self._path):
            raise RunError(f"{self._path}: cannot be written; is the disk full?")

    def _begin(self, size):
        cv2 = _cv2()
        for fourcc, self.codec, self.remark in CODECS:
            with _quiet():
                words = (self._path, cv2.CAP_FFMPEG, cv2.VideoWriter_fourcc(*fourcc), self._rate, size)
                self._writer = cv2.VideoWriter(*words)
                if self._writer.isOpened():
                    self._size = size
                    return
        raise RunError(f"{self._path}: no video can be written here: no permission, no space, or OpenCV without FFmpeg")


def _cv2():
    # It reads these when it is loaded or first opens a video, so they come before.
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    import cv2

    return cv2


@contextlib.contextmanager
def _quiet():
    """Keeps OpenCV and FFmpeg from printing what the caller says better; `QUIET` is late if a video was open before."""
    cv2 = _cv2()
    level = cv2.getLogLevel()
    cv2.setLogLevel(0)
    try:
        with silenced_stderr():
            yield
    finally:
        cv2.setLogLevel(level)


def _opened_capture(path):
    """Returns the cv2.VideoCapture of a file; None if it is no video."""
    cv2 = _cv2()
    before = os.environ.get("OPENCV_FFMPEG_CAPTURE_OPTIONS")
    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = OPTIONS  # whatever a user's shell says
    try:
        with _quiet():
            capture = cv2.VideoCapture(path, cv2.CAP_FFMPEG)
            return capture if capture.isOpened() else None
    finally:
        if before is not None:
            os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = before


def _rate_of(capture):
    rate = capture.get(_cv2().CAP_PROP_FPS)
    return float(rate) if 0 < rate <= HIGHEST_RATE else DEFAULT_RATE


def _check_size(name, size, max_pixels):
    height, width = size
    if width * height > max_pixels:
        raise InputError(f"{name}: frames of {width}x{height} have more than {max_pixels:,} pixels; scale it down")
