"""A run becomes files that agree with it, all or none."""

import dataclasses
import json
import shutil

import numpy as np
import pytest

from tests.formats import hostile_saved_models
from tests.tiny_backbone import tiny
from tests.training.toy_run import toy_config
from tfseg import architectures
from tfseg.data import opening
from tfseg.errors import InputError
from tfseg.export import comparison, compatibility, exporting
from tfseg.export.plan import ExportOptions
from tfseg.formats import export_manifest
from tfseg.inference import budget_measurement
from tfseg.inference.predictor import Predictor
from tfseg.models.rnn import RNNConfig
from tfseg.runs.run_directory import save_weights, write_config

pytestmark = pytest.mark.usefixtures("warm_children")

SIZE = (48, 64)
SAVED, SEGMENT = "serving/road/1", "road_segment_2_fp32.tflite"


@pytest.fixture(scope="module")
def run(toy_records, tmp_path_factory):
    """A run directory of a small recurrent network that was not trained."""
    folder = tmp_path_factory.mktemp("runs") / "road"
    (folder / "weights").mkdir(parents=True)
    model = RNNConfig(tiny(output_stride=32), iterations=2, widths=(8, 4), canvas_stride=8)
    config = dataclasses.replace(toy_config(toy_records, {}), model=model)
    _, facts = opening.open_dataset("folder", str(toy_records))
    write_config(folder, config, facts.info)
    save_weights(folder / "weights" / "last.npz", architectures.build(model, facts.info.num_classes))
    return folder


def options(output_dir, **values):
    given = {"formats": ("savedmodel", "tflite"), "kinds": ("segment",), "size": SIZE, "check_images": 2}
    return ExportOptions(**given | {"output_dir": str(output_dir)} | values)


def load(path):
    return Predictor.load(path, trust=True)


@pytest.fixture(scope="module")
def exports(run, tmp_path_factory):
    """(folder of exports, what was compared, what was said)."""
    output_dir, said = tmp_path_factory.mktemp("exports"), []
    rows = exporting.export_model(run, options(output_dir), Predictor.load, said.append)
    return output_dir / "road", rows, said


def test_every_file_agrees_with_the_model_after_every_iteration_it_can_run(exports):
    rows = exports[1]
    assert [(row.path, row.iterations) for row in rows] == [(SAVED, 1), (SAVED, 2), (SEGMENT, 2)]
    assert [row.agreement for row in rows] == pytest.approx([1, 1, 1], abs=0.001)
    assert all(row.miou == pytest.approx(row.model_miou, abs=0.01) for row in rows)


def test_the_manifest_lists_what_is_there_with_its_cost_and_scores(exports):
    folder, rows, _ = exports
    listed = export_manifest.read(folder)
    assert set(listed["artifacts"]) == {SAVED, SEGMENT}
    for path, facts in listed["artifacts"].items():
        assert facts["sha256"] == export_manifest.sha256(folder / path)
        assert facts["check"]["2"]["images"] == 2
    saved, segment = (listed["artifacts"][path] for path in (SAVED, SEGMENT))
    assert segment["bytes"] == (folder / SEGMENT).stat().st_size
    assert segment["gpu"] == ([] if compatibility.JUDGES_GPUS else None)
    # Of the gate g and of the memory, in 3 cells, in 2 iterations.
    assert segment["operators"]["TANH"] == 12
    # What runs is what the profiler counts on the model: nothing is computed again in an iteration. But the converter
    # leaves out the forget gates of the first one, which have nothing to forget: 8 x 4 and 4 x 3 channels on 6 x 8.
    costs = [entry["gflops"] for entry in listed["cost"]]
    forgotten = 2 * (8 * 4 + 4 * 3) * 6 * 8 / 1e9
    assert segment["gflops"][0]["gflops"] == pytest.approx(costs[1] - forgotten, rel=1e-6)
    assert [entry["gflops"] for entry in saved["gflops"]] == pytest.approx(costs, rel=1e-6)
    assert listed["cost"][1]["miou"] == rows[1].model_miou
    assert (listed["miou_split"], listed["miou_images"]) == ("val", 2)


def test_files_are_used_like_the_run_and_need_no_trust(exports, run, capsys):
    folder = exports[0]
    image = np.random.default_rng(0).integers(0, 256, [*SIZE, 3]).astype(np.uint8)
    expected = Predictor.load(run).predict(image).class_ids
    for path in (SAVED, SEGMENT):
        np.testing.assert_array_equal(Predictor.load(folder / path).predict(image).class_ids, expected)
    assert capsys.readouterr().err == ""


def test_they_need_no_trust_wherever_they_lie_on_this_machine(exports, tmp_path):
    for path in (SAVED, SEGMENT):
        copy = shutil.copytree if (exports[0] / path).is_dir() else shutil.copy
        Predictor.load(copy(exports[0] / path, tmp_path / "moved.tflite" if path == SEGMENT else tmp_path / "moved"))


def test_an_export_without_a_home_says_what_will_be_needed(run, tmp_path, monkeypatch):
    monkeypatch.setenv("TFSEG_HOME", "/dev/null/tfseg")
    said, only = [], options(tmp_path, formats=("savedmodel",), check_images=0)
    exporting.export_model(run, only, load, said.append)
    assert said[-1].startswith("note: /dev/null") and "will need --trust or --sha256" in said[-1]
    folder = tmp_path / "road"
    with pytest.raises(InputError, match="not made on this machine"):
        Predictor.load(folder / SAVED)
    sha256 = export_manifest.read(folder)["artifacts"][SAVED]["sha256"]
    assert Predictor.load(folder / SAVED, sha256=sha256).max_iterations == 2


def test_a_check_runs_no_saved_model_of_a_stranger(exports, run, command, tmp_path):
    """A perfect manifest lists it."""
    folder = shutil.copytree(exports[0], tmp_path / "exports" / "road")
    shutil.rmtree(folder / SAVED)
    (tmp_path / "written").mkdir()
    hostile_saved_models.save(folder / SAVED, tmp_path / "written")
    listed = export_manifest.read(folder)
    facts = listed["artifacts"][SAVED] | {"sha256": export_manifest.sha256(folder / SAVED)}
    export_manifest.write(folder, listed | {"artifacts": {SAVED: facts}})
    words = [f"--model={run}", f"--output_dir={folder.parent}", "--check_only", "--check_images=1"]
    done = command("export.py", *words)
    assert (done["code"], len(done["err"].splitlines())) == (2, 1)
    assert f"{SAVED}: not made on this machine" in done["err"]
    assert list((tmp_path / "written").iterdir()) == []
    command("export.py", *words, "--trust")
    assert list((tmp_path / "written").iterdir()) != []


def test_jpeg_files_are_sent_to_what_servers_run(exports, run):
    folder, rows, _ = exports
    assert [row.served for row in rows] == [None, 1.0, None]  # the SavedModel after its own two iterations
    facts = export_manifest.read(folder)["artifacts"][SAVED]["check"]
    assert [facts[number]["served"] for number in ("1", "2")] == [None, 1.0]

    def load_another(path):
        predictor = load(path)
        if serve := predictor.serve:
            predictor.serve = lambda content: (serve(content) + 1) % 3
        return predictor

    rows = exporting.check_export(run, options(folder.parent, check_images=1), load_another)
    assert [(row.path, row.served, row.is_good) for row in rows if row.served is not None] == [(SAVED, 0, False)]


def test_a_server_finds_its_files_beside_the_model(exports):
    serving = exports[0] / "serving"
    assert {path.name for path in serving.iterdir()} == {"road", "models.config", "batching.config", "serve.md"}


def test_nothing_takes_its_place_when_a_file_says_something_else(run, tmp_path):
    class Shifted:
        def __init__(self, path):
            self.predictor = load(path)

        def __getattr__(self, name):
            return getattr(self.predictor, name)

        def predict(self, *arguments):
            answer = self.predictor.predict(*arguments)
            return dataclasses.replace(answer, class_ids=(answer.class_ids + 1) % 3)

    only = options(tmp_path, formats=("tflite",))
    [row] = exporting.export_model(run, only, Shifted, lambda _: None)
    assert (row.agreement, row.is_good) == (0, False)
    assert list(tmp_path.iterdir()) == []


def test_what_is_exported_later_joins_the_manifest(exports, run):
    folder = exports[0]
    with pytest.raises(InputError, match=f"{SAVED}: exists already"):
        exporting.export_model(run, options(folder.parent), load, lambda _: None)
    more = options(folder.parent, formats=("tflite",), iterations=(1,), check_images=0)
    assert exporting.export_model(run, more, load, lambda _: None) == []
    artifacts = export_manifest.read(folder)["artifacts"]
    assert set(artifacts) == {SAVED, SEGMENT, "road_segment_1_fp32.tflite"}
    assert "check" in artifacts[SEGMENT]
    assert "check" not in artifacts["road_segment_1_fp32.tflite"]


def test_an_export_is_checked_again_and_a_changed_file_noticed(exports, run):
    folder = exports[0]
    rows = exporting.check_export(run, options(folder.parent), Predictor.load)
    assert {row.path for row in rows} >= {SAVED, SEGMENT}
    assert all(row.is_good for row in rows)
    content = (folder / SEGMENT).read_bytes()
    (folder / SEGMENT).write_bytes(content[:-1] + b"x")
    with pytest.raises(InputError, match=f"{SEGMENT}: sha256 is .*, the manifest says"):
        exporting.check_export(run, options(folder.parent), Predictor.load)
    (folder / SEGMENT).write_bytes(content)


def test_what_fits_into_a_time_is_noted_and_used(run, tmp_path, monkeypatch):
    def measured(export, predictor, milliseconds):
        assert (milliseconds, predictor.max_iterations) == (40, 3)
        return budget_measurement.choose_iterations({1: [20.0] * 20, 2: [50.0] * 20}, milliseconds)

    monkeypatch.setattr(exporting.latency, "measured", measured)
    only = {"formats": ("tflite",), "kinds": ("stream",), "max_iterations": 3, "check_images": 0}
    said = []
    exporting.export_model(run, options(tmp_path, fit_latency=40, **only), load, said.append)
    assert said[-1].endswith("MB; 1 iteration: median 20.0 ms, p95 20.0 of 40 ms; 2 would take 50.0 (p95)")
    path = "road_stream_fp32.tflite"
    noted = export_manifest.read(tmp_path / "road")["artifacts"][path]["budget"]
    assert (noted["iterations"], noted["milliseconds"], noted["size"]) == (1, 40, list(SIZE))
    assert Predictor.load(tmp_path / "road" / path).default_iterations == 1
    # Without the manifest, the number of training.
    assert load(shutil.copy(tmp_path / "road" / path, tmp_path)).default_iterations == 2


def test_a_file_loses_too_much_by_its_classes_or_by_its_miou():
    row = comparison.Compared("a", SIZE, "int8", 3, 0.99, 0.60, 0.61, 8, 12.34)
    assert row.is_good
    assert not dataclasses.replace(row, agreement=0.979).is_good
    assert not dataclasses.replace(row, miou=0.594).is_good
    assert not dataclasses.replace(row, precision="fp32").is_good
    assert dataclasses.replace(row, miou=None, model_miou=None).is_good
    assert not dataclasses.replace(row, served=0.979).is_good
    other = dataclasses.replace(row, agreement=0.5, miou=None, model_miou=None, served=0.981)
    table = comparison.as_markdown([row, other])
    assert table.splitlines()[2:] == [
        "| a    |          3 |         99.00 |   60.00 |                61.00 |                 | 12.3 |  yes |",
        "| a    |          3 |         50.00 |         |                      |           98.10 | 12.3 |   NO |",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--model is missing"),
        (["--model=runs/none"], "runs/none"),
        (["--model=a", "--format=tflite_int4"], "--format=tflite_int4: one or more of savedmodel, tflite, tflite_fp16"),
        (
            ["--model=a", "--kinds=loop"],
            "--kinds=loop: one or more of segment (a fixed number of iterations, one call), class_map (",
        ),
        (["--model=a", "--iters=0"], "--iters=0: numbers from 1, e.g. 1,3,6"),
        (["--model=a", "--size=64"], "--size=64: HEIGHTxWIDTH"),
        (["--model=a", "--iters=3", "--fit_latency=40"], "--iters and --fit_latency exclude each other"),
        (["--model=a", "--fit_latency=0"], "--fit_latency is 0; milliseconds above 0"),
        (["--model=a", "--check_only", "--check_images=0"], "--check_only --check_images=0: nothing is left to do"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command, words, message):
    done = command("export.py", *words)
    assert (done["code"], done["out"]) == (2, "")
    assert done["err"].startswith("error: ") and message in done["err"]
    assert len(done["err"].splitlines()) == 1


def test_the_manifest_is_json_that_any_program_reads(exports):
    values = json.loads((exports[0] / "manifest.json").read_text())
    assert values["classes"]["class_names"] == ["bright", "dark", "green"]
    assert values["input"] == {"color": "RGB", "range": [0, 255], "mean": 0, "std": 1, "size": list(SIZE)}


OTHER = (33, 47)  # the images are of SIZE


@pytest.fixture(scope="module")
def small(run, tmp_path_factory):
    """As `exports`, every kind, in another size than that of the images."""
    output_dir = tmp_path_factory.mktemp("small")
    only = {"kinds": ("segment", "stream", "resizable"), "size": OTHER, "max_iterations": 3}
    rows = exporting.export_model(run, options(output_dir, **only), load, lambda _: None)
    return output_dir / "road", {(row.path, row.iterations): row for row in rows}


@pytest.mark.slow
def test_files_of_another_size_agree_in_their_own_size(small):
    folder, rows = small
    resizable = "road_resizable_2_fp32.tflite"
    stream, segment = "road_stream_fp32.tflite", SEGMENT
    assert set(rows) == {(resizable, 2), (segment, 2), *((path, n) for path in (SAVED, stream) for n in (1, 2, 3))}
    assert all(row.is_good and row.agreement > 0.9999 for row in rows.values())
    artifacts = export_manifest.read(folder)["artifacts"]
    assert {path: facts["size"] for path, facts in artifacts.items()} == {
        SAVED: list(OTHER),
        stream: list(OTHER),
        segment: list(OTHER),
        resizable: None,
    }


@pytest.mark.slow
def test_the_models_score_is_that_of_its_size(small):
    folder, rows = small
    cost = export_manifest.read(folder)["cost"]
    assert [(one["iterations"], one["size"]) for one in cost] == [(n, list(OTHER)) for n in (1, 2, 3)]
    # Not that beside the resizable file, which saw the images as they are.
    assert [one["miou"] for one in cost] == [rows[SAVED, n].model_miou for n in (1, 2, 3)]
    assert rows["road_resizable_2_fp32.tflite", 2].size == SIZE


@pytest.mark.slow
def test_a_later_check_takes_sizes_and_numbers_from_the_files(small, run):
    folder, rows = small
    again = exporting.check_export(run, options(folder.parent, size=None, max_iterations=None), load)
    assert {(row.path, row.iterations): row.agreement for row in again} == {
        key: row.agreement for key, row in rows.items()
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda facts: facts.pop("precision"), "the precision of .+ is None"),
        (lambda facts: facts.update(precision="fp8"), "the precision of .+ is 'fp8'"),
        (lambda facts: facts.update(weights_sha256="0" * 64), "of other weights than"),
    ],
)
def test_what_a_check_cannot_use_is_one_line(exports, run, change, message):
    folder = exports[0]
    before = (folder / "manifest.json").read_text()
    values = json.loads(before)
    change(values["artifacts"][SEGMENT])
    del values["checksum"]
    (folder / "manifest.json").write_text(json.dumps(values))
    with pytest.raises(InputError, match=message):
        exporting.check_export(run, options(folder.parent), load)
    (folder / "manifest.json").write_text(json.dumps(values | {"artifacts": {}}))
    with pytest.raises(InputError, match="lists nothing that can be compared here"):
        exporting.check_export(run, options(folder.parent), load)
    (folder / "manifest.json").write_text(before)


@pytest.mark.slow
def test_a_file_of_another_size_joins_the_manifest_with_its_cost(small, run):
    folder = small[0]
    before = export_manifest.read(folder)["cost"]
    more = options(folder.parent, formats=("tflite_fp16",), size=(16, 16), max_iterations=2, check_images=0)
    exporting.export_model(run, more, load, lambda _: None)
    listed = export_manifest.read(folder)
    assert listed["artifacts"][SEGMENT]["size"] == list(OTHER)
    assert [(one["size"], one["iterations"], one["miou"]) for one in listed["cost"]] == [
        ([16, 16], 1, None),
        ([16, 16], 2, None),
        *((one["size"], one["iterations"], one["miou"]) for one in before),
    ]
    assert listed["miou_images"] == 2


def test_one_export_at_a_time(run, tmp_path, monkeypatch):
    only, made = options(tmp_path, formats=("tflite",), check_images=0), []

    def made_meanwhile(export, folder, *_):
        made.append(sorted(folder.iterdir()))
        (folder / "half").write_text("a file")
        exporting.export_model(run, only, load, lambda _: None)

    monkeypatch.setattr(exporting, "_made", made_meanwhile)
    for _ in range(2):  # the first leaves nothing that stops the second
        with pytest.raises(InputError, match="road: another export into it is running; wait for it"):
            exporting.export_model(run, only, load, lambda _: None)
    assert made == [[], []]
    assert list(tmp_path.iterdir()) == []
