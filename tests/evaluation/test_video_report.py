"""Videos are scored frame after frame, in every way of running a frame, and other models beside them."""

import shutil

import numpy as np
import pytest
from PIL import Image

import tfseg
from tests.evaluation.conftest import run_of
from tests.inference.test_motion import texture
from tests.tiny_backbone import tiny
from tfseg import visualize
from tfseg.data import opening
from tfseg.errors import InputError
from tfseg.evaluation import video_report
from tfseg.evaluation.video_report import VideoReportOptions, evaluate_video
from tfseg.export.exporting import export_model
from tfseg.export.plan import ExportOptions
from tfseg.models.arch2_video import Arch2VideoConfig
from tfseg.profiling import frame_cost
from tfseg.profiling.frame_cost import FrameCost
from tfseg.system.small_files import check_seal, read_json


def cost_of(engine, size):
    """1 for the first iteration, 2 if seeded, 10 for every further one."""
    assert size == (32, 48)
    return FrameCost(1, 2, 10) if engine.is_recurrent else FrameCost(100, 100, 0)


def test_every_way_is_scored_and_costed(video_runs, tmp_path):
    recurrent, plain = video_runs
    content = evaluate_video(recurrent, VideoReportOptions(report_dir=tmp_path, compare=(str(plain),)), cost_of)
    assert (content["num_frames"], content["num_videos"], content["split"]) == (13, 2, "val")
    rows = {row["way"]: row for row in content["rows"]}
    assert list(rows) == [
        *(f"every frame from zero, {n}" for n in (1, 2, 3)),
        *(f"from the frame before, {n}" for n in (1, 2)),
        "from the frame before, until settled",
        "plain: every frame by itself",
    ]
    first, third = rows["every frame from zero, 1"], rows["every frame from zero, 3"]
    assert (first["iterations"], first["gflops"], first["seeded_miou"]) == (1, 1, None)
    assert (third["iterations"], third["gflops"]) == (3, 21)
    seeded = rows["from the frame before, 1"]
    # The first frame of each of the two videos runs three iterations from zero, the other eleven one, seeded.
    assert seeded["iterations"] == pytest.approx((2 * 3 + 11) / 13)
    assert seeded["gflops"] == pytest.approx((2 * 21 + 11 * 2) / 13)
    assert rows["plain: every frame by itself"]["gflops"] == 100
    for row in rows.values():
        assert 0 <= row["miou"] <= 1 and 0 <= row["vc8"] <= 1 and row["vc16"] is None and row["milliseconds"] > 0
    check_seal(read_json(tmp_path / "video.json"))
    text = (tmp_path / "video.md").read_text()
    assert "13 frames of 2 videos: camvid val" in text and "| plain: every frame by itself" in text
    assert (tmp_path / "video.png").read_bytes().startswith(b"\x89PNG")
    with Image.open(tmp_path / "video.gif") as animation:
        assert (animation.n_frames, animation.info["duration"]) == (13, 200)
        # Image, from zero with three iterations, from the frame before with one, label.
        assert animation.width == 4 * visualize.CELL_WIDTH + 3 * visualize.GAP


def test_a_feed_forward_model_has_one_way(video_runs, tmp_path):
    content = evaluate_video(video_runs[1], VideoReportOptions(report_dir=tmp_path, max_frames=3), cost_of)
    [row] = content["rows"]
    assert (row["way"], row["iterations"], content["num_frames"]) == ("every frame by itself", 1, 3)
    assert content["carry"] is None


@pytest.mark.slow
def test_an_exported_stream_runs_beside_the_network_in_every_way(video_runs, tmp_path):
    recurrent = video_runs[0]
    options = ExportOptions(("tflite",), ("stream",), size=(32, 48), output_dir=str(tmp_path), check_images=0)
    export_model(str(recurrent), options, tfseg.load, lambda _: None)
    [file] = tmp_path.glob("**/*.tflite")
    options = VideoReportOptions(report_dir=tmp_path, compare=(str(file),))
    rows = {row["way"]: row for row in evaluate_video(recurrent, options, cost_of)["rows"]}
    for way in video_report.ways(tfseg.load(str(recurrent))):
        own, exported = rows[way], rows[f"{file.name}: {way}"]
        assert exported["miou"] == pytest.approx(own["miou"], abs=1e-3)
        assert exported["iterations"] == own["iterations"]


@pytest.mark.slow
def test_a_dynamic_cell_is_scored_beside_arch2_and_its_export_runs_like_it(video_records, tmp_path):
    model = Arch2VideoConfig(tiny(32), width=4, genotype="cell1_like")
    run = run_of(tmp_path / "cells", model, video_records)
    exports = ExportOptions(("tflite",), ("stream",), size=(32, 48), output_dir=str(tmp_path / "e"), check_images=0)
    export_model(str(run), exports, tfseg.load, lambda _: None)
    [file] = tmp_path.glob("e/**/*.tflite")
    options = VideoReportOptions(report_dir=tmp_path, compare=(str(file),), max_frames=6)
    content = evaluate_video(run, options, frame_cost.of_engine)
    rows = {row["way"]: row for row in content["rows"]}
    ways = ("every frame by itself", "from the frame before")
    assert list(rows) == [*ways, *(f"{file.name}: {way}" for way in ways)]
    alone, seeded = (rows[way] for way in ways)
    cost = frame_cost.of_engine(tfseg.load(run).engine, (32, 48))
    # The first frame runs arch2, the other five the cell.
    assert (alone["gflops"], seeded["iterations"]) == (pytest.approx(cost.first), 1)
    assert seeded["gflops"] == pytest.approx((cost.first + 5 * cost.seeded) / 6)
    for way in ways:
        exported = rows[f"{file.name}: {way}"]
        assert exported["miou"] == pytest.approx(rows[way]["miou"], abs=1e-3)
        assert exported["gflops"] == pytest.approx(rows[way]["gflops"], rel=0.05)


def test_a_model_of_other_classes_does_not_compare(video_runs, tmp_path):
    recurrent, plain = video_runs
    shutil.copytree(plain, tmp_path / "renamed")
    for file in (tmp_path / "renamed").glob("*.json"):
        file.write_text(file.read_text().replace('"road"', '"street"'))
    with pytest.raises(InputError, match="renamed: has other classes"):
        options = VideoReportOptions(report_dir=tmp_path, compare=(str(tmp_path / "renamed"),))
        evaluate_video(recurrent, options, cost_of)


def test_single_images_are_no_video(toy_records):
    split = opening.open_split("folder", str(toy_records), "val")
    with pytest.raises(InputError, match="belongs to no video"):
        next(split.frames())


def test_frames_come_in_the_order_of_their_videos(video_records):
    frames = list(opening.open_split("camvid", str(video_records), "val").frames())
    assert [sequence for sequence, *_ in frames] == ["A"] * 9 + ["B"] * 4
    assert [name for *_, name in frames][:2] == ["val/A_00000.png", "val/A_00010.png"]
    np.testing.assert_allclose(frames[3][1], texture(32, 48, across=6), atol=3)  # stored as JPEG
