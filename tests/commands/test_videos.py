"""Videos, segmented into an overlay, a line a frame and class maps."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests import dynamic_cells
from tests.fake_network import INFO, FakeNetwork
from tests.formats.video_files import HEIGHT, WIDTH, picture, write
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.commands import videos
from tfseg.commands.videos import VideoOptions, segment_video
from tfseg.errors import InputError
from tfseg.formats.video import FrameFolder, VideoFile
from tfseg.inference.predictor import Predictor
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import frame_cost


@pytest.fixture(scope="module")
def predictor():
    network = architectures.build(RNNConfig(tiny(), iterations=3, widths=(8, 4), canvas_stride=8), INFO.num_classes)
    return Predictor(network, INFO)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return write(tmp_path_factory.mktemp("clip") / "street.mp4", 12)


def lines(folder, name="street"):
    with open(folder / f"{name}_frames.csv") as file:
        return list(csv.DictReader(file))


def test_a_video_gives_an_overlay_a_table_a_plot_and_class_maps(predictor, clip, tmp_path):
    cost = frame_cost.of_segmenter(predictor.engine.segmenter, (HEIGHT, WIDTH))
    options = VideoOptions(tmp_path, {"iters": 1}, with_classes=True)
    said = segment_video(predictor, VideoFile(clip), "street", options, lambda size: cost)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "street_classes",
        "street_frames.csv",
        "street_frames.png",
        "street_overlay.mp4",
    ]
    rows = lines(tmp_path)
    assert [row["reset"] for row in rows] == ["first frame"] + [""] * 11
    assert [row["iterations"] for row in rows] == ["3"] + ["1"] * 11
    assert float(rows[0]["gflops"]) == round(cost.gflops(3, False), 4)
    assert float(rows[5]["gflops"]) == round(cost.gflops(1, True), 4)
    assert all(200 < int(row["memory_mb"]) < 20_000 for row in rows) and "MB of memory" in said
    overlay = VideoFile(tmp_path / "street_overlay.mp4")
    assert len(list(overlay)) == 12
    assert (tmp_path / "street_classes" / "000011.png").exists()
    assert np.asarray(Image.open(tmp_path / "street_classes" / "000000.png")).shape == (HEIGHT, WIDTH)
    assert "12 frames at" in said and "1.2 iterations on average; started afresh at 0 (first frame)" in said


def test_what_is_there_is_not_made_again_unless_wanted(predictor, clip, tmp_path):
    segment_video(predictor, VideoFile(clip), "street", VideoOptions(tmp_path))
    before = (tmp_path / "street_frames.csv").stat().st_mtime_ns
    said = segment_video(predictor, VideoFile(clip), "street", VideoOptions(tmp_path))
    assert said.endswith("already (--overwrite)")
    assert (tmp_path / "street_frames.csv").stat().st_mtime_ns == before
    segment_video(predictor, VideoFile(clip), "street", VideoOptions(tmp_path, overwrite=True))
    assert (tmp_path / "street_frames.csv").stat().st_mtime_ns > before


@pytest.mark.slow
def test_a_dynamic_cell_runs_once_a_frame_and_its_costs_are_told_apart(clip, tmp_path):
    predictor = Predictor(dynamic_cells.network_of(dynamic_cells.DEFORMABLE), INFO)
    cost = frame_cost.of_segmenter(predictor.engine.segmenter, (HEIGHT, WIDTH))
    segment_video(predictor, VideoFile(clip), "street", VideoOptions(tmp_path, max_frames=4), lambda size: cost)
    rows = lines(tmp_path)
    assert [(row["iterations"], row["reset"]) for row in rows] == [("1", "first frame")] + [("1", "")] * 3
    assert [float(row["gflops"]) for row in rows] == [round(cost.first, 4)] + [round(cost.seeded, 4)] * 3
    with pytest.raises(InputError, match="budget_ms does nothing here: this model runs once a frame"):
        predictor.stream(budget_ms=40)


def test_frames_of_a_feed_forward_network_are_segmented_one_by_one(clip, tmp_path):
    segment_video(
        Predictor(FakeNetwork(is_recurrent=False), INFO),
        VideoFile(clip),
        "street",
        VideoOptions(tmp_path, max_frames=4),
    )
    assert [(row["iterations"], row["reset"]) for row in lines(tmp_path)] == [("1", "no state is kept")] * 4


def test_a_lost_frame_and_another_size_start_afresh(predictor, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    for number in range(6):
        size = (HEIGHT, WIDTH) if number < 4 else (HEIGHT - 16, WIDTH)
        Image.fromarray(picture(number, *size)).save(frames / f"{number}.png")
    (frames / "2.png").write_bytes(b"damaged")
    said = segment_video(predictor, FrameFolder(frames), "f", VideoOptions(tmp_path / "out"))
    rows = lines(tmp_path / "out", "f")
    assert [row["frame"] for row in rows] == ["0", "1", "3", "4", "5"]
    assert [row["reset"] for row in rows] == ["first frame", "", "frame lost", "frame size", ""]
    assert [row["lost_before"] for row in rows] == ["0", "0", "1", "0", "0"]
    assert "1 frames lost or never recorded" in said
    assert f"{frames} holds 1 images that cannot be read, the first: {frames}/2.png" in said
    assert len(list(VideoFile(tmp_path / "out" / "f_overlay.mp4"))) == 6  # the frame before the lost one stays


class Interrupted:
    """A video during which somebody presses Ctrl-C."""

    name, rate, num_frames, problem = "clip", 25.0, 12, ""

    def __init__(self, clip):
        self._frames = iter(VideoFile(clip))

    def __iter__(self):
        for _ in range(5):
            yield next(self._frames)
        raise KeyboardInterrupt


def test_ctrl_c_leaves_the_results_so_far_under_names_of_their_own(predictor, clip, tmp_path, capsys):
    with pytest.raises(KeyboardInterrupt):
        segment_video(predictor, Interrupted(clip), "street", VideoOptions(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "street_first_5_frames.csv",
        "street_first_5_frames.png",
        "street_first_5_overlay.mp4",
    ]
    assert len(list(VideoFile(tmp_path / "street_first_5_overlay.mp4"))) == 5
    assert f"clip: stopped after 5 frames; their results are in {tmp_path}/street_first_5_*" in capsys.readouterr().err


def test_a_model_of_unknown_cost_leaves_that_column_empty(predictor, clip, tmp_path):
    segment_video(predictor, VideoFile(clip), "street", VideoOptions(tmp_path, max_frames=2), lambda size: None)
    assert [row["gflops"] for row in lines(tmp_path)] == ["", ""]


def test_q_in_the_window_leaves_the_results_so_far_under_names_of_their_own(predictor, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(videos, "_is_ended_by_key", lambda picture: True)
    segment_video(predictor, VideoFile(clip), "street", VideoOptions(tmp_path, with_window=True))
    assert (tmp_path / "street_first_1_frames.csv").exists() and not (tmp_path / "street_frames.csv").exists()


def test_a_bad_video_does_not_stop_the_others(predictor, clip, tmp_path, capsys):
    (tmp_path / "bad.mp4").write_bytes(b"")
    openers = [lambda: VideoFile(tmp_path / "bad.mp4"), lambda: VideoFile(clip)]
    with pytest.raises(InputError, match="1 of 2 videos could not be used"):
        videos.segment_videos(predictor, openers, ["bad", "street"], VideoOptions(tmp_path / "out"))
    assert f"{tmp_path}/bad.mp4: an empty file" in capsys.readouterr().err
    assert len(lines(tmp_path / "out")) == 12


def test_files_are_videos_by_their_endings_and_folders_if_it_is_said(tmp_path):
    inputs = [str(tmp_path), "a.MP4", "b.jpg", "c.mkv", "nowhere"]
    clips, others = videos.split(inputs, False)
    assert ([path.name for path in clips], others) == (["a.MP4", "c.mkv"], [str(tmp_path), "b.jpg", "nowhere"])
    clips, others = videos.split(inputs, True)
    assert ([str(path) for path in clips], others) == ([str(tmp_path), "a.MP4", "c.mkv"], ["b.jpg", "nowhere"])


def test_videos_of_one_stem_have_results_of_their_own():
    clips, _ = videos.split(["a/x.mp4", "x.mkv", "y.mp4"], False)
    assert videos.names_of(clips) == ["x_mp4", "x_mkv", "y"]
    folder = videos.split(["."], True)[0]
    assert videos.names_of(folder) == [Path.cwd().name]
    with pytest.raises(InputError, match="x_mp4: two videos of this name"):
        videos.names_of(videos.split(["a/x.mp4", "b/x.mp4"], False)[0])


def test_a_window_where_there_is_no_display_is_one_line(monkeypatch):
    import cv2

    def refuse(name):
        raise cv2.error("no display")

    monkeypatch.setattr(cv2, "namedWindow", refuse)
    with pytest.raises(InputError, match="--show: no window can be opened"):
        videos.check_window()
