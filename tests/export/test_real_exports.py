"""A trained model of the zoo, exported in every precision."""

from pathlib import Path

import numpy as np
import pytest

from tfseg.export import compatibility
from tfseg.export.exporting import export_model
from tfseg.export.plan import ExportOptions
from tfseg.formats import export_manifest
from tfseg.formats.images import read_image
from tfseg.inference.predictor import Predictor

ZOO = Path(__file__).resolve().parents[2] / "model_zoo"


@pytest.mark.slow
def test_files_are_as_small_and_as_good_as_their_precision_promises(camvid_dir, tmp_path):
    model, formats = ZOO / "camvid_rnn_mobilenet_v2", ("tflite", "tflite_fp16", "tflite_dynamic", "tflite_int8")
    options = ExportOptions(formats, data_dir=camvid_dir, output_dir=str(tmp_path), max_iterations=8, check_images=6)
    rows = export_model(model, options, lambda path: Predictor.load(path, trust=True), lambda _: None)
    assert len(rows) == 4 * (1 + 8)
    assert [row for row in rows if not row.is_good] == []
    assert min(row.agreement for row in rows if row.precision == "fp32") >= 0.9999
    listed = export_manifest.read(tmp_path / model.name)["artifacts"]
    for kind in ("segment_6", "stream"):
        size = {name: listed[f"{model.name}_{kind}_{name}.tflite"]["bytes"] for name in ("fp32", "fp16", "int8")}
        assert size["fp16"] <= 0.52 * size["fp32"]
        assert size["int8"] <= 0.32 * size["fp32"]
    verdict = [] if compatibility.JUDGES_GPUS else None
    assert all(facts["gpu"] == verdict for path, facts in listed.items() if "fp" in path)


@pytest.mark.slow
def test_thirty_frames_of_a_video_are_the_same_as_network_program_and_file(camvid_dir, tmp_path):
    model = ZOO / "camvid_rnn_mobilenet_v2"
    options = ExportOptions(
        ("savedmodel", "tflite"), ("stream",), data_dir=camvid_dir, output_dir=str(tmp_path), check_images=0
    )
    export_model(model, options, lambda path: Predictor.load(path, trust=True), lambda _: None)
    [file] = tmp_path.glob("**/*_stream_fp32.tflite")
    [program] = {path.parent for path in tmp_path.glob("**/saved_model.pb")}
    frames = [read_image(path) for path in sorted((Path(camvid_dir) / "val").iterdir())[:30]]
    streams = [Predictor.load(path, trust=True).stream() for path in (model, program, file)]
    answers = [[stream.next(frame) for frame in frames] for stream in streams]
    for found in answers[1:]:
        assert [one.iterations for one in found] == [one.iterations for one in answers[0]]
        assert np.mean([a.class_ids == b.class_ids for a, b in zip(found, answers[0], strict=True)]) >= 0.999
