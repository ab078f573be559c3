"""The throughput benchmark runs networks in turn and compares each with the first."""

import dataclasses

import pytest

from tests.tiny_backbone import tiny
from tfseg.benchmarks import throughput
from tfseg.benchmarks.throughput import Timed


@pytest.fixture(scope="module")
def rows():
    """The benchmark's own models, on a toy backbone and with narrow heads."""
    configs = {
        name: dataclasses.replace(config, backbone=tiny(config.backbone.output_stride), width=4)
        for name, config in throughput.models().items()
    }
    return throughput.measure(configs, 64, 3, num_runs=2)


def test_the_models_are_shelfnets_and_a_network_at_stride_8():
    models = throughput.models()
    backbones = [(config.backbone.name, config.backbone.output_stride) for config in models.values()]
    assert backbones == [("resnet50_v1_5", 32), ("resnet101_v1_5", 32), ("resnet50_v1_5", 8), ("resnet18", 32)]
    assert set(throughput.PAPER_SPEEDS) <= set(models)


def test_every_model_is_counted_and_timed_as_often(rows):
    assert [row.model for row in rows] == list(throughput.models())
    assert [len(row.milliseconds) for row in rows] == [2, 2, 2, 2]
    assert min(row.gmacs for row in rows) > 0
    assert rows[0].gmacs == rows[1].gmacs  # on the same toy backbone
    assert rows[0].parameters > rows[3].parameters > 0  # four levels and three


def test_the_table_compares_medians_with_the_first_row_and_has_the_papers_ratios():
    times = {"ShelfNet, ResNet-50": [10.0, 30.0, 20.0], "PSPNet, ResNet-50, stride 8": [50.0] * 3, "another": [5.0] * 3}
    rows = [Timed(name, 1.234, 1000, milliseconds) for name, milliseconds in times.items()]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in throughput.as_markdown(rows).splitlines()]
    assert cells[2] == ["ShelfNet, ResNet-50", "1.23", "1,000", "20.0", "29.0", "50.00", "1.00", "59", "1.00"]
    assert cells[3][5:] == ["20.00", "2.50", "11", "5.36"]
    assert cells[4][5:] == ["200.00", "0.25", "", ""]


@pytest.mark.slow
def test_shelfnet_on_resnet50_is_faster_than_on_resnet101_and_than_a_dilated_pspnet():
    times = {row.model: min(row.milliseconds) for row in throughput.measure(throughput.models(), 256, 21, num_runs=3)}
    first, deeper, dilated, light = times.values()
    assert light < first < deeper < dilated


def test_what_was_measured_is_said():
    found = throughput.conditions(96, 19, 5)
    assert (found["image"], found["classes"]) == ("1 x 96x96, to logits of that size", 19)
    assert (found["precision"], found["heads for training"]) == ("float32", "off")
    assert found["runs"].startswith("5 of each in turn")
    assert found["threads"] >= 1
