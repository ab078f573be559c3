"""The report: its files, what they say, and how it was measured."""

import csv
import dataclasses
import hashlib
import json
import re
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tests.fake_network import INFO, FakeNetwork, blocks, inner_label
from tfseg.config import DataConfig, ExperimentConfig
from tfseg.data import opening
from tfseg.data.manifest import Manifest, Shard, Split, write_manifest
from tfseg.data.tfrecord import to_example
from tfseg.errors import InputError
from tfseg.evaluation import report
from tfseg.evaluation.report import ReportOptions, evaluate_run, read_curve, summary
from tfseg.evaluation.tables import comparison
from tfseg.formats.images import encode_panoptic, encode_png
from tfseg.inference.views import Window
from tfseg.metrics import suite
from tfseg.metrics.metric import Metric, with_mean
from tfseg.models.rnn import RNNConfig
from tfseg.system.files import file_sha256
from tfseg.system.small_files import sealed

CONFIG = ExperimentConfig(RNNConfig(), DataConfig(dataset="camvid"))
THINGS = dataclasses.replace(INFO, thing_ids=frozenset({1, 2}), categories=("warm", "cold", "cold"))
INSTANCE_KEYS = {"iiou", "mean_iiou", "category_iou", "mean_category_iou", "category_iiou", "mean_category_iiou"}
PNG_NAMES = {"curve.png", "confusion.png", "strip.png"}


def write_records(folder, count=5, info=INFO, num_panoptic=0):
    """`count` images of 24x32 pixels, in which the network makes no mistake from its second iteration on.

    The first `num_panoptic` have a panoptic map, where the left and the right half are instances.
    """
    rng, path = np.random.default_rng(3), folder / "val-00000-of-00001.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for index in range(count):
            class_ids = rng.integers(0, 3, [6, 8])
            label = inner_label(class_ids)
            instance_ids = np.where(np.isin(label, [1, 2]), 1 + np.arange(32) // 16, 0)
            example = to_example(
                encode_png(blocks(class_ids)),
                encode_png(label),
                height=24,
                width=32,
                filename=f"{index}.png",
                image_format="png",
                panoptic_png=encode_panoptic(label, instance_ids) if index < num_panoptic else None,
            )
            writer.write(example.SerializeToString())
    shard = Shard(path.name, count, path.stat().st_size, file_sha256(path))
    train_shard = Shard("train-00000-of-00001.tfrecord", 1, 9, "0" * 64)
    splits = {
        "val": Split(count, [9, 9, 9], 9, [1, 1, 1], [shard]),
        "train": Split(1, [5, 0, 5], 0, [1, 0, 1], [train_shard]),
    }
    write_manifest(folder, Manifest(info, splits))
    return path


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run directory, whose data are in its folder `data`."""
    (tmp_path / "data").mkdir()
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "last.npz").write_bytes(b"weights")
    write_records(tmp_path / "data")
    network = FakeNetwork()

    def open_dataset(name, data_dir, options):
        return str(tmp_path / "data"), opening.read_manifest(tmp_path / "data")

    monkeypatch.setattr(opening, "open_dataset", open_dataset)
    monkeypatch.setattr(report, "load_run", lambda path, which, output_stride: (CONFIG, INFO, network))
    return tmp_path


def count_gmacs(network, size, iterations):
    """One GMAC for 24x32 pixels and one for each iteration."""
    return [size[0] * size[1] / 24 / 32 + iteration for iteration in range(1, iterations + 1)]


def test_the_report_holds_scores_cost_pictures_and_protocol(run):
    metrics = evaluate_run(run, ReportOptions(iterations=5), count_gmacs)
    folder = run / "report"
    assert {path.name for path in folder.iterdir()} == {"metrics.json", "report.md", "curve.csv"} | PNG_NAMES
    assert json.loads((folder / "metrics.json").read_text()) == sealed(metrics)
    assert [entry["miou"] == 1 for entry in metrics["iterations"]] == [False, True, True, True, True]
    assert metrics["best_iteration"] == 2
    assert metrics["trained_iterations"] == 3
    assert metrics["remarks"] == ["warning: labelled here but absent from training, so it cannot be learned: green"]
    for name in PNG_NAMES:
        assert np.asarray(Image.open(folder / name)).std() > 1


def test_the_first_line_says_how_many_of_how_many_images_were_scored(run):
    metrics = evaluate_run(run, ReportOptions(iterations=1), count_gmacs)
    assert (metrics["num_images"], metrics["num_images_in_all"]) == (5, 6)  # one more is in train
    first, *_ = (run / "report" / "report.md").read_text().splitlines()
    assert first == "# rnn on camvid val: 5 of 6 images"


def test_the_protocol_says_how_it_was_measured(run):
    protocol = evaluate_run(run, ReportOptions(flip=True), count_gmacs)["protocol"]
    names = "".join(f"{index}.png\n" for index in range(5))
    assert protocol["filenames_sha256"] == hashlib.sha256(names.encode()).hexdigest()
    assert protocol["weights_sha256"] == hashlib.sha256(b"weights").hexdigest()
    expected = {
        "dataset": "camvid",
        "split": "val",
        "num_images": 5,
        "image_sizes": ["24x32"],
        "network_size": "the image's",
        "scales": [1.0],
        "flip": True,
        "ignored_label": 255,
        "weights": "weights/last.npz",
    }
    assert {key: protocol[key] for key in expected} == expected
    assert protocol["commit"] is None or re.fullmatch(r"[0-9a-f]{40}\+?", protocol["commit"])


def test_the_curve_counts_the_cost_of_every_view(run):
    evaluate_run(run, ReportOptions(iterations=2, flip=True), count_gmacs)
    points = read_curve(run)
    with open(run / "report" / "curve.csv") as file:
        assert next(csv.reader(file)) == ["iteration", "gmacs", "gflops", "milliseconds", "miou"]
    assert [point["gmacs"] for point in points] == [4.0, 6.0]
    assert [point["gflops"] for point in points] == [8.0, 12.0]
    assert [point["iteration"] for point in points] == [1, 2]
    assert points[1]["miou"] == 1
    assert min(point["milliseconds"] for point in points) > 0


def test_a_given_network_size_is_what_costs(run):
    metrics = evaluate_run(run, ReportOptions(iterations=1, size=(48, 64)), count_gmacs)
    assert metrics["iterations"][0]["gmacs"] == 5.0
    assert metrics["protocol"]["network_size"] == [48, 64]


def test_windows_a_long_side_and_a_fusion_are_in_protocol_report_and_cost(run):
    """Images of 24x32: 48x64 at scale 1, 96x128 at scale 2. Windows of 64x64 are 1 and 2 x 2, all mirrored as well."""
    window = Window.of((64, 64), (32, 64))
    options = ReportOptions(
        iterations=2, scales=(1.0, 2.0), flip=True, long_side=64, window=window, fusion="probabilities"
    )
    metrics = evaluate_run(run, options, count_gmacs)
    protocol = metrics["protocol"]
    expected = {
        "scales": [1.0, 2.0],
        "long_side": 64,
        "window": [64, 64],
        "stride": [32, 64],
        "fusion": "probabilities",
    }
    assert {key: protocol[key] for key in expected} == expected
    calls = {(48, 64): 2, (64, 64): 8}
    assert metrics["iterations"][0]["gmacs"] == sum(
        times * count_gmacs(None, size, 1)[0] for size, times in calls.items()
    )
    text = (run / "report" / "report.md").read_text()
    assert "scales 1, 2, each with its mirror image; scale 1 is the image with 64 pixels on its longer side." in text
    assert "Windows of 64x64 slide over every view by 32x64; where they overlap, logits are averaged." in text
    assert "The views are fused by the mean of their probabilities." in text
    assert protocol["prediction"].startswith("argmax of the mean of their probabilities after")


def test_the_plain_protocol_is_a_single_view_of_the_images_own_size(run):
    protocol = evaluate_run(run, ReportOptions(iterations=1), count_gmacs)["protocol"]
    assert (protocol["long_side"], protocol["window"], protocol["stride"]) == (None, None, None)
    text = (run / "report" / "report.md").read_text()
    assert "Views: scales 1; scale 1 is the image's own size.\n" in text
    assert "fused" not in text and "Windows" not in text


def test_curves_of_other_reports_are_read_from_their_folders(run):
    evaluate_run(run, ReportOptions(iterations=2), count_gmacs)
    (run / "report").rename(run / "other")
    options = ReportOptions(iterations=1, report_dir=str(run / "again"), compare=(str(run / "other"),))
    assert "comparison" not in evaluate_run(run, options, count_gmacs)
    assert len(read_curve(run / "again")) == 1
    (run / "other").rename(run / "report")
    with pytest.raises(InputError, match="no curve.csv"):
        evaluate_run(run, ReportOptions(compare=(str(run / "data"),)), count_gmacs)
    (run / "report" / "curve.csv").write_text("a,b\n1,2\n")
    with pytest.raises(
        InputError, match=r"curve.csv: damaged \(line 2, iteration is missing\); evaluate that model again"
    ):
        read_curve(run)


def test_other_models_are_evaluated_on_the_same_images(run, monkeypatch):
    """The other model is right at once: it is feed-forward."""
    other = run / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    asked, networks = [], {run: FakeNetwork(), other: FakeNetwork(is_recurrent=False)}

    def load_run(path, which, output_stride):
        asked.append((Path(path), output_stride))
        return CONFIG, INFO, networks[Path(path)]

    monkeypatch.setattr(report, "load_run", load_run)
    options = ReportOptions(iterations=2, compare=(str(other), f"{other}@8"))
    metrics = evaluate_run(run, options, count_gmacs)
    assert asked == [(run, None), (other, None), (other, 8)]
    names = [run.name, "other", "other, stride 8"]
    assert {name: len(points) for name, points in metrics["comparison"].items()} == dict(
        zip(names, (2, 1, 1), strict=True)
    )
    assert [points[0]["miou"] == 1 for points in metrics["comparison"].values()] == [False, True, True]
    with open(run / "report" / "comparison.csv") as file:
        rows = list(csv.DictReader(file))
    assert [(row["model"], row["iteration"]) for row in rows] == [
        *((names[0], str(iteration)) for iteration in (1, 2)),
        (names[1], "1"),
        (names[2], "1"),
    ]
    assert (run / "report" / "comparison.md").read_text() == comparison(metrics["comparison"])


def test_models_that_cannot_be_compared_are_refused(run, monkeypatch):
    other = run / "other"
    other.mkdir()
    (other / "config.json").write_text("{}")
    for given, message in (
        (f"{run}/weights@8", "is no run .* to evaluate at a stride"),
        (str(run), "two models have one name"),
    ):
        (run / "config.json").write_text("{}")
        with pytest.raises(InputError, match=message):
            evaluate_run(run, ReportOptions(compare=(given,)), count_gmacs)
    infos = {run: INFO, other: dataclasses.replace(INFO, class_names=("a", "b", "c"))}
    monkeypatch.setattr(report, "load_run", lambda path, *_: (CONFIG, infos[Path(path)], FakeNetwork()))
    with pytest.raises(InputError, match="its classes are not those of"):
        evaluate_run(run, ReportOptions(compare=(str(other),)), count_gmacs)


def test_the_summary_shows_the_first_the_best_the_trained_and_the_last_iteration(run):
    text = summary(evaluate_run(run, ReportOptions(iterations=5), count_gmacs))
    assert "| IoU, % | iteration 1 | iteration 2 (best) | iteration 3 | iteration 5 |" in text
    assert re.search(r"\| green +\| +0\.00 \| +100\.00 \| +100\.00 \| +100\.00 \|", text)
    assert len({len(line) for line in text.split("\n\n")[0].splitlines()}) == 1


def test_instances_and_categories_are_in_the_report_where_the_records_know_them(run):
    """The model is of before there were categories: its own facts have none."""
    write_records(run / "data", info=THINGS, num_panoptic=5)
    metrics = evaluate_run(run, ReportOptions(iterations=3), count_gmacs)
    first, second, _ = metrics["iterations"]
    assert set(first) >= INSTANCE_KEYS
    # The second iteration is perfect; in the first, all is warm.
    assert first["iiou"] == {"green": 0.0, "blue": 0.0} and second["iiou"] == {"green": 1.0, "blue": 1.0}
    assert first["category_iou"]["cold"] == 0.0 and second["mean_category_iou"] == 1.0
    assert first["category_iiou"] == {"cold": 0.0} and second["category_iiou"] == {"cold": 1.0}
    assert metrics["protocol"]["instance_sizes"] == "averages over the split"
    assert json.loads((run / "report" / "metrics.json").read_text()) == sealed(metrics)
    report_text = (run / "report" / "report.md").read_text()
    for text in (summary(metrics), report_text):
        assert re.search(r"^\| iteration \| +mIoU \| IoU cat \| +iIoU \| iIoU cat \| +fwIoU \|", text, re.MULTILINE)
        assert re.search(r"^\| iIoU, % +\| iteration 1 \| iteration 2 \(best\) \|", text, re.MULTILINE)
        assert re.search(r"^\| cold +\| +0\.00 \| +100\.00 \|", text, re.MULTILINE)


@pytest.mark.parametrize("num_panoptic", [0, 3])
def test_instances_that_are_not_known_everywhere_are_not_in_the_report(run, num_panoptic):
    write_records(run / "data", info=dataclasses.replace(THINGS, categories=()), num_panoptic=num_panoptic)
    metrics = evaluate_run(run, ReportOptions(iterations=2), count_gmacs)
    assert not set(metrics["iterations"][0]) & INSTANCE_KEYS
    assert "instance_sizes" not in metrics["protocol"]
    assert "iIoU" not in summary(metrics) and "cat" not in summary(metrics)
    [_, *others] = metrics["remarks"]
    expected = "note: only 3 of 5 images have instances, so instance-level IoU is left out"
    assert others == ([expected] if num_panoptic else [])


class LongestRun(Metric):
    """The longest run of one class in a row of a prediction, as a share of the row: what nobody measures."""

    columns: ClassVar = {"longest run": "longest_run"}
    tables: ClassVar = {"longest run, %": ("run", "mean_run")}

    def __init__(self, info, num_iterations):
        super().__init__(info, num_iterations)
        self.longest = np.zeros([num_iterations, info.num_classes])

    def update(self, index, image, prediction):
        for class_id in range(self.info.num_classes):
            share = (prediction == class_id).sum(1).max() / prediction.shape[1]
            self.longest[index, class_id] = max(self.longest[index, class_id], share)

    def result(self, index, confusion):
        return {"longest_run": float(self.longest[index].max())} | with_mean(
            "run", self.info.class_names, self.longest[index]
        )


def test_a_metric_that_is_added_to_the_list_is_in_the_report(run, monkeypatch):
    before = evaluate_run(run, ReportOptions(iterations=2), count_gmacs)
    monkeypatch.setattr(suite, "METRICS", (*suite.METRICS, LongestRun))
    metrics = evaluate_run(run, ReportOptions(iterations=2), count_gmacs)
    first = metrics["iterations"][0]
    # All is called red in the first iteration.
    assert first["longest_run"] == 1.0 and first["run"] == {"red": 1.0, "green": 0.0, "blue": 0.0}
    assert set(first) - set(before["iterations"][0]) == {"longest_run", "run", "mean_run"}
    report_text = (run / "report" / "report.md").read_text()
    assert re.search(r"^\| iteration \|.*\| longest run \|", report_text, re.MULTILINE)
    assert re.search(r"^\| longest run, % +\| iteration 1 \|", report_text, re.MULTILINE)


def test_rows_of_confusion_matrices_stand_on_one_line(run):
    metrics = evaluate_run(run, ReportOptions(iterations=1), count_gmacs)
    row = metrics["iterations"][0]["confusion"][0]
    assert f"[ {row[0]}, 0, 0 ]" in (run / "report" / "metrics.json").read_text()


def test_a_damaged_record_is_named(run):
    [path] = (run / "data").glob("*.tfrecord")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"val-00000-of-00001.tfrecord: record 2 is damaged"):
        evaluate_run(run, ReportOptions(), count_gmacs)
    assert not (run / "report").exists()


@pytest.mark.parametrize(
    "options,message",
    [
        (ReportOptions(split="test"), "no split 'test'"),
        (ReportOptions(iterations=0), "0 iterations: at least 1"),
    ],
)
def test_what_cannot_be_evaluated_is_said(run, options, message):
    with pytest.raises(InputError, match=message):
        evaluate_run(run, options, count_gmacs)


def test_records_of_other_classes_are_refused(run, monkeypatch):
    other = type(INFO)("fake", ("red", "green", "violet"), INFO.colors)
    monkeypatch.setattr(report, "load_run", lambda path, which, output_stride: (CONFIG, other, FakeNetwork()))
    with pytest.raises(InputError, match="records of 3 classes"):
        evaluate_run(run, ReportOptions(), count_gmacs)
