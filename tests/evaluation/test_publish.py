"""A run is published whole, small, and without a word about the machine it was made on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.training.toy_run import toy_config
from tfseg import architectures
from tfseg.config import ExperimentConfig
from tfseg.data.manifest import read_manifest
from tfseg.errors import InputError
from tfseg.evaluation import report
from tfseg.evaluation.publish import publish, training_facts, write_half_weights
from tfseg.models.rnn import RNNConfig
from tfseg.profiling import flops
from tfseg.runs.run_directory import load_run, save_weights, write_config
from tfseg.system.files import file_sha256, locked
from tfseg.system.small_files import sealed

ROOT = Path(__file__).resolve().parents[2]
# 4 images a step: 10 steps at 8 images a second are 5 s, 10 at 4 are 10 s.
LOG = """step,loss,images_per_second,val_miou
10,2.0,8.0,
10,,,0.5
20,1.0,4.0,
20,,,0.4
"""
FILES = {"README.md", "config.json", "curve.png", "metrics.csv", "metrics.json"}
FILES |= {"weights.npz", "weights.npz.sha256"}


@pytest.fixture(scope="module")
def run(toy_records, tmp_path_factory):
    """A run directory of a recurrent model with its report; only its weights are random."""
    workdir = tmp_path_factory.mktemp("somewhere") / "run"
    toy = toy_config(toy_records, {"training": {"total_steps": 20, "init_backbone_from": "/home/me/weights.npz"}})
    config = ExperimentConfig(RNNConfig(toy.model.backbone, iterations=2, widths=(8, 6)), toy.data, toy.training)
    info = read_manifest(toy_records).info
    write_config(workdir, config, info)
    save_weights(workdir / "weights" / "last.npz", architectures.build(config.model, info.num_classes))
    (workdir / "metrics.csv").write_text(LOG)
    report.evaluate_run(workdir, report.ReportOptions(iterations=3), flops.executed_gmacs)
    return workdir


@pytest.fixture(scope="module")
def published(run, tmp_path_factory):
    return publish(run, run / "report", tmp_path_factory.mktemp("zoo") / "toy_rnn", report.summary)


def test_the_folder_is_whole_and_nothing_is_beside_it(published):
    assert {path.name for path in published.iterdir()} == FILES
    assert [path.name for path in published.parent.iterdir()] == ["toy_rnn"]


def test_the_model_loads_and_answers_as_before_up_to_float16(run, published):
    (_, info, before), (config, published_info, after) = load_run(run), load_run(published)
    assert info == published_info
    assert config.model.iterations == 2
    images = np.random.default_rng(0).integers(0, 256, [2, 48, 64, 3]).astype(np.float32)
    unrounded, answer = (network(images)["semantic_logits"].numpy() for network in (before, after))
    np.testing.assert_allclose(answer, unrounded, atol=0.05 * np.abs(unrounded).max())
    for variable in before.variables:
        variable.assign(variable.numpy().astype(np.float16))
    np.testing.assert_array_equal(answer, before(images)["semantic_logits"])
    assert not np.array_equal(answer, unrounded)


def test_weights_are_float16_and_smaller(run, published):
    with np.load(published / "weights.npz", allow_pickle=False) as arrays:
        assert {arrays[name].dtype for name in arrays.files} == {np.dtype(np.float16)}
    assert (published / "weights.npz").stat().st_size < 0.6 * (run / "weights" / "last.npz").stat().st_size


def test_weights_beyond_float16_stay_float32(tmp_path):
    np.savez(tmp_path / "a.npz", large=np.float32([1e5, 1]), small=np.float32([0.1]))
    write_half_weights(tmp_path / "a.npz", tmp_path / "b.npz")
    with np.load(tmp_path / "b.npz") as arrays:
        np.testing.assert_array_equal(arrays["large"], np.float32([1e5, 1]))
        np.testing.assert_array_equal(arrays["small"], np.float16([0.1]))


def test_no_path_of_the_machine_is_published(run, toy_records, published):
    config = json.loads((published / "config.json").read_text())
    assert config["data"]["data_dir"] == toy_records.name
    assert config["training"]["init_backbone_from"] == "weights.npz"
    for name in ("config.json", "metrics.json", "metrics.csv", "README.md"):
        text = (published / name).read_text()
        assert str(run.parent) not in text
        assert str(toy_records.parent) not in text
        assert "/home/" not in text


def test_the_card_has_the_figures_of_the_report_and_the_log(published):
    card = (published / "README.md").read_text()
    entry = json.loads((published / "metrics.json").read_text())["iterations"][1]
    assert f"**mIoU {100 * entry['miou']:.1f} %** after 2 iterations, on folder val" in card
    assert f"{entry['gmacs']:.3f} GMACs" in card
    assert f"{2 * entry['gmacs']:.3f} GFLOPs" in card
    assert report.summary(json.loads((published / "metrics.json").read_text())).strip() in card
    assert "20 updates of 4 images, 80 images seen, 0.00 hours" in card
    assert "Start: `weights.npz`" in card
    assert file_sha256(published / "weights.npz") in card


def test_pictures_of_generated_images_are_published(run, tmp_path):
    report_dir = tmp_path / "report"
    shutil.copytree(run / "report", report_dir)
    metrics = json.loads((report_dir / "metrics.json").read_text())
    metrics["protocol"]["dataset"] = "crowds"
    (report_dir / "metrics.json").write_text(json.dumps(sealed(metrics)))
    target = publish(run, report_dir, tmp_path / "toy_rnn", report.summary)
    assert {path.name for path in target.iterdir()} == FILES | {"strip.png"}
    assert (target / "strip.png").read_bytes() == (run / "report" / "strip.png").read_bytes()
    assert "(strip.png)" in (target / "README.md").read_text()


def test_pictures_of_other_images_are_published_if_their_licence_allows_it(run, tmp_path):
    target = publish(run, run / "report", tmp_path / "toy_rnn", report.summary, with_images=True)
    assert {path.name for path in target.iterdir()} == FILES | {"strip.png"}


def test_training_facts_come_from_the_log(tmp_path):
    config = toy_config("records", {"training": {"total_steps": 20}})
    (tmp_path / "metrics.csv").write_text(LOG)
    last = training_facts(config, tmp_path / "metrics.csv", "last")
    assert last == {"steps": 20, "images": 80, "hours": pytest.approx(15 / 3600)}
    best = training_facts(config, tmp_path / "metrics.csv", "best")
    assert best == {"steps": 10, "images": 40, "hours": pytest.approx(5 / 3600)}
    (tmp_path / "metrics.csv").write_text("step,loss\n")
    assert training_facts(config, tmp_path / "metrics.csv", "last")["hours"] is None


def test_a_model_is_replaced_only_if_asked_and_a_folder_of_recipes_never(run, published, tmp_path):
    with pytest.raises(InputError, match="exists already; take another --name, or --overwrite"):
        publish(run, run / "report", published, report.summary)
    publish(run, run / "report", published, report.summary, overwrite=True)
    assert {path.name for path in published.iterdir()} == FILES
    (tmp_path / "camvid").mkdir()
    with pytest.raises(InputError, match="is no published model"):
        publish(run, run / "report", tmp_path / "camvid", report.summary, overwrite=True)


@pytest.mark.parametrize(
    "change,message",
    [
        (lambda metrics: metrics["protocol"].update(weights_sha256="0" * 64), "not the weights of the report any more"),
        (lambda metrics: metrics["protocol"].update(weights="weights/best.npz"), "best.npz: missing"),
        (lambda metrics: metrics.update(trained_iterations=6), "scores 3 iterations, the model was trained with 6"),
        (lambda metrics: metrics.pop("iterations"), r"metrics.json: damaged \(iterations is missing\); evaluate"),
        (lambda metrics: metrics.update(trained_iterations="6"), r"damaged \(trained_iterations takes int, not '6'\)"),
        (lambda metrics: metrics["protocol"].update(weights_sha256=1), r"damaged \(protocol.weights_sha256 takes str"),
    ],
)
def test_a_report_that_does_not_fit_the_run_is_refused(run, tmp_path, change, message):
    metrics = json.loads((run / "report" / "metrics.json").read_text())
    change(metrics)
    for name in ("curve.png",):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "metrics.json").write_text(json.dumps(sealed(metrics)))
    with pytest.raises(InputError, match=message):
        publish(run, tmp_path, tmp_path / "zoo" / "toy", report.summary)
    assert not (tmp_path / "zoo").exists()


def test_two_commands_do_not_publish_into_one_folder_at_the_same_time(run, published):
    with (
        locked(published.with_name(".toy_rnn.lock"), lambda: None),
        pytest.raises(InputError, match="toy_rnn: another publish.py is writing it"),
    ):
        publish(run, run / "report", published, report.summary, overwrite=True)


def test_a_run_that_was_not_evaluated_is_refused(run, tmp_path):
    with pytest.raises(InputError, match="evaluate the run: python evaluate.py"):
        publish(run, tmp_path, tmp_path / "toy", report.summary)


@pytest.mark.parametrize(
    "arguments,message",
    [
        (["--name=toy"], "--model is missing"),
        (["--model=runs/toy"], "--name is missing"),
        (["--model=runs/toy", "--name=../toy"], "a name, not a path"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(command, arguments, message):
    done = command.completed("publish.py", *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert message in done.stderr


def test_a_report_that_was_changed_by_hand_is_refused(run, tmp_path):
    shutil.copytree(run / "report", tmp_path / "report")
    path = tmp_path / "report" / "metrics.json"
    metrics = json.loads(path.read_text())
    metrics["iterations"][0]["miou"] = 0.99
    path.write_text(json.dumps(metrics))
    with pytest.raises(InputError, match=r"metrics\.json: damaged \(checksum is not that of the other fields"):
        publish(run, tmp_path / "report", tmp_path / "zoo" / "toy", report.summary)
