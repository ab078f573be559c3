"""Videos of strangers are read frame by frame, and what is wrong with them is said."""

import os

import numpy as np
import pytest
from PIL import Image

from tests.formats.video_files import HEIGHT, RATE, WIDTH, audio_only, number_in, picture, write
from tfseg.errors import InputError, RunError
from tfseg.formats.video import Camera, FrameFolder, VideoFile, VideoWriter


@pytest.mark.parametrize(
    ("name", "fourcc"), [("a.mp4", "mp4v"), ("a.mkv", "mp4v"), ("a.avi", "MJPG"), ("A.MOV", "mp4v")]
)
def test_the_frames_of_a_file_come_in_order_with_their_times(tmp_path, name, fourcc):
    video = VideoFile(write(tmp_path / name, 40, fourcc))
    assert (video.rate, video.num_frames) == (RATE, 40)
    frames = list(video)
    assert [frame.number for frame in frames] == list(range(40))
    np.testing.assert_allclose([number_in(frame.pixels) for frame in frames], range(40), atol=1)
    np.testing.assert_allclose([frame.seconds for frame in frames], np.arange(40) / RATE, atol=0.002)
    assert video.problem == "" and not any(frame.num_lost for frame in frames)
    left, right = frames[0].pixels[:, 10].mean(0), frames[0].pixels[:, -10].mean(0)
    assert left[0] > left[2] + 30 and abs(right[0] - right[2]) < 8  # RGB, not BGR


def test_a_file_that_was_cut_ends_early_and_says_so(tmp_path):
    content = write(tmp_path / "a.mkv", 60).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    video = VideoFile(tmp_path / "cut.mkv")
    count = len(list(video))
    assert 5 < count < 55
    assert video.problem == f"ends after {count} of 60 frames: the rest is missing or damaged"


def test_a_hole_in_a_file_is_a_loss_of_frames(tmp_path):
    content = bytearray(write(tmp_path / "a.mkv", 60).read_bytes())
    third = len(content) // 3
    content[third : third + 1500] = np.random.default_rng(0).bytes(1500)
    (tmp_path / "hole.mkv").write_bytes(content)
    frames = list(VideoFile(tmp_path / "hole.mkv"))
    assert sum(frame.num_lost for frame in frames) > 0
    assert frames[-1].number == 59
    assert len(frames) + sum(frame.num_lost for frame in frames) == 60


def make_pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.write_bytes(b""), "an empty file"),
        (lambda path: path.write_bytes(b"not a video" * 1000), "no video that can be read"),
        (lambda path: path.write_bytes(audio_only()), "no video that can be read"),
        (
            lambda path: path.write_bytes(write(path.with_name("b.mp4")).read_bytes()[:4000]),
            "no video that can be read",
        ),
        (lambda path: path.write_text("#EXTM3U\n#EXTINF:9,\nb.mp4\n"), "no video that can be read"),
        (lambda path: path.write_text("ffconcat version 1.0\nfile b.mp4\n"), "no video that can be read"),
        (lambda path: path.mkdir(), "a folder, not a regular file"),
        (make_pipe, "a pipe, socket or device"),
        (lambda path: None, "cannot be read"),
    ],
    ids=["empty", "text", "audio", "cut mp4", "playlist", "concat", "folder", "pipe", "missing"],
)
def test_what_is_no_video_is_one_line_that_names_it(tmp_path, capfd, make, message):
    write(tmp_path / "b.mp4")
    path = tmp_path / "a.mp4"
    make(path)
    with pytest.raises(InputError, match=f"^{path}: .*{message}"):
        VideoFile(path)
    assert capfd.readouterr() == ("", "")


def test_a_playlist_opens_no_other_file_whatever_the_shell_allows(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENCV_FFMPEG_CAPTURE_OPTIONS", "safe;0")
    write(tmp_path / "b.mp4")
    (tmp_path / "a.mp4").write_text(f"ffconcat version 1.0\nfile {tmp_path}/b.mp4\n")
    with pytest.raises(InputError, match="no video that can be read"):
        VideoFile(tmp_path / "a.mp4")
    assert os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] == "safe;0"


def test_large_frames_are_refused(tmp_path):
    with pytest.raises(InputError, match="frames of 96x64 have more than 6,000 pixels"):
        VideoFile(write(tmp_path / "a.mp4"), max_pixels=6000)


@pytest.fixture
def folder(tmp_path):
    """Frames 8 to 11, whose names do not sort as their numbers do."""
    for number in (8, 9, 10, 11):
        Image.fromarray(picture(number)).save(tmp_path / f"clip3_{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    return tmp_path


def test_the_images_of_a_folder_are_frames_in_the_order_of_their_numbers(folder):
    video = FrameFolder(folder, rate=10)
    frames = list(video)
    assert [number_in(frame.pixels) for frame in frames] == [8, 9, 10, 11]
    assert [(frame.number, frame.seconds) for frame in frames] == [(0, 0.0), (1, 0.1), (2, 0.2), (3, 0.3)]
    assert (video.num_frames, video.rate, video.problem) == (4, 10, "")


def test_an_image_that_cannot_be_read_is_a_lost_frame(folder):
    (folder / "clip3_10.png").write_bytes(b"\x89PNG")
    video = FrameFolder(folder)
    assert [(frame.number, frame.num_lost) for frame in video] == [(0, 0), (1, 0), (3, 1)]
    assert video.problem.startswith(f"holds 1 images that cannot be read, the first: {folder}/clip3_10.png: ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: [path.unlink() for path in folder.glob("*.png")], "no images in this folder"),
        (lambda folder: (folder / "clip3_8.png").rename(folder / "first.png"), "first.png has no number"),
        (lambda folder: [path.write_bytes(b"") for path in folder.glob("*.png")], "none of its 4 images can be read"),
    ],
)
def test_a_folder_that_is_no_video_is_one_line(folder, change, message):
    change(folder)
    with pytest.raises(InputError, match=f"^{folder}: .*{message}"):
        list(FrameFolder(folder))


def test_a_camera_that_is_not_there_is_one_line(capfd):
    with pytest.raises(InputError, match="^--camera=97: there is no such camera"):
        Camera(97)
    assert capfd.readouterr() == ("", "")


def test_what_is_written_can_be_read_in_any_frame_size(tmp_path, capfd):
    writer = VideoWriter(tmp_path / "a.mp4", 12.5)
    for number in range(10):
        writer.write(picture(number, *((HEIGHT + 1, WIDTH + 1) if number < 5 else (40, 60))), number / 12.5)
    writer.close()
    assert writer.codec in ("H.264", "MPEG-4 Part 2") and (writer.codec == "H.264") == (not writer.remark)
    video = VideoFile(tmp_path / "a.mp4")
    frames = list(video)
    assert video.rate == 12.5
    assert [frame.pixels.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * 10
    np.testing.assert_allclose([number_in(frame.pixels) for frame in frames], range(10), atol=1)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        ([5.0, 5.1, 5.4], [0, 1, 1, 1, 2]),  # two frames are missing: the one before stays
        ([0, 0.05, 0.1, 0.15], [0, 1, 2, 3]),  # faster than the rate: each is written
        ([0, 1e9, 1e9 + 0.1], [0] * 101 + [1, 2]),  # a time that cannot be: 10 seconds and no more
        ([0, 0, 0], [0, 1, 2]),  # no times
    ],
)
def test_a_frame_stays_until_the_time_of_the_next(tmp_path, seconds, expected):
    writer = VideoWriter(tmp_path / "a.mp4", 10)
    for number, one in enumerate(seconds):
        writer.write(picture(4 * number), one)
    writer.close()
    numbers = [number_in(frame.pixels) for frame in VideoFile(tmp_path / "a.mp4")]
    np.testing.assert_allclose(numbers, 4 * np.array(expected), atol=1)


def test_a_video_that_cannot_be_written_is_an_error_of_the_run(tmp_path):
    writer = VideoWriter(tmp_path / "nowhere" / "a.mp4", 25)
    with pytest.raises(RunError, match=f"{tmp_path}/nowhere/a.mp4: no video can be written here"):
        writer.write(picture(0), 0.0)
