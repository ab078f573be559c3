"""The export of a model whose cell runs only from the second frame on: what is made, and that the cell is checked."""

import pytest

import tfseg
from tests import dynamic_cells
from tests.dynamic_cells import DEFORMABLE
from tfseg.errors import InputError
from tfseg.export import comparison
from tfseg.export.exporting import check_export, export_model
from tfseg.export.plan import Export, ExportOptions
from tfseg.formats import export_manifest

pytestmark = [pytest.mark.usefixtures("warm_children"), pytest.mark.slow]

STREAM = "cells_stream_fp16.tflite"


@pytest.fixture(scope="module")
def run(toy_records, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "cells"
    return dynamic_cells.write_run(folder, dynamic_cells.network_of(DEFORMABLE), toy_records)


@pytest.fixture(scope="module")
def options(tmp_path_factory):
    output_dir = str(tmp_path_factory.mktemp("exports"))
    return ExportOptions(("tflite_fp16",), ("stream",), output_dir=output_dir, check_images=2)


@pytest.fixture(scope="module")
def rows(run, options):
    return export_model(run, options, tfseg.load, lambda _: None)


def test_it_has_a_stream_by_default_and_no_number_of_iterations(run):
    paths = [planned.path for planned in Export(run, ExportOptions()).planned]
    assert paths == ["serving/cells/1", "cells_segment_1_fp16.tflite", "cells_class_map_1_fp16.tflite", STREAM]
    with pytest.raises(InputError, match="--kinds=dynamic is for recurrent models; this one runs once"):
        Export(run, ExportOptions(kinds=("dynamic",)))
    with pytest.raises(InputError, match="--iters does not apply: .+cells is not recurrent and runs once"):
        Export(run, ExportOptions(iterations=(2,)))


def test_the_next_frame_is_compared_too(rows):
    [row] = rows
    assert (row.path, row.iterations, row.is_good) == (STREAM, 1, True)
    assert row.agreement >= 0.995 and row.next_frame >= 0.995
    assert "| next frame, % |" in comparison.as_markdown(rows)


def test_the_manifest_has_the_cost_of_every_signature_and_the_score_of_the_next_frame(rows, options):
    facts = export_manifest.read(f"{options.output_dir}/cells")["artifacts"][STREAM]
    costs = {entry["signature"]: entry["gflops"] for entry in facts["gflops"]}
    assert set(costs) == {"encode", "start", "refine", "decode"}
    assert costs["start"] > 0 and costs["refine"] > 0
    assert facts["check"]["1"]["next_frame"] == rows[0].next_frame


def test_a_file_whose_cell_is_wrong_is_not_good(run, rows, options):
    def load_another(path):
        predictor = tfseg.load(path)
        answer_until = predictor.engine.answer_until

        def without_state(image, iterations, start=None):
            return answer_until(image, iterations)

        predictor.engine.answer_until = without_state
        return predictor

    [row] = check_export(run, options, load_another)
    assert row.agreement >= 0.995 and row.next_frame < 0.99 and not row.is_good
