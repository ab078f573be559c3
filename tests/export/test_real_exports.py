"""A trained model of the zoo, exported in every precision."""

from pathlib import Path

import pytest

from tfseg.export.exporting import export_model
from tfseg.export.plan import ExportOptions
from tfseg.formats import export_manifest
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
    assert all(facts["gpu"] == [] for path, facts in listed.items() if "fp" in path)
