"""Models side by side as .tflite files."""

import pytest

from tests.tiny_backbone import tiny
from tfseg.benchmarks import tflite
from tfseg.benchmarks.tflite import Timed
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.rnn import RNNConfig


@pytest.mark.slow
def test_every_model_is_converted_to_every_precision_counted_and_timed():
    backbone = tiny()
    configs = {"a": DeepLabV3Config(backbone, atrous_rates=(), width=8), "b": RNNConfig(backbone, widths=(8, 4))}
    rows = tflite.measure((32, 32), 3, 2, ["fp32"], rounds=2, threads=1, configs=configs)
    assert [(row.precision, row.model) for row in rows] == [("fp32", "a"), ("fp32", "b")]
    assert all(len(row.milliseconds) == 2 and row.num_bytes > 10_000 for row in rows)
    # Beyond the backbone, 1x1 convolutions: 8 to 8 on the pooled map; 8 to 8, 16 to 8 and 8 to 3 on 2x2 positions.
    # And the features 8 to 4 gates of 8, then twice 8 to 4 x 4 and 4 to 4 x 3; the second time with h and canvas.
    first = 8 * 8 + 4 * (8 * 8 + 16 * 8 + 8 * 3)
    features, later = 8 * 4 * 8, 4 * ((3 + 8) * 8 + (8 + 4) * 4 + (4 + 3) * 3)
    beginning = 3 * (8 * 4 + 4 * 3)  # without the gates of forgetting
    second = 4 * (features + beginning + later)
    assert abs((rows[1].gflops - rows[0].gflops) - 2 * (second - first) / 1e9) < 1e-12


def test_ratios_are_to_the_first_model_of_the_same_precision():
    rows = [
        Timed("int8", "a", 2_000_000, 1.5, [10.0, 20.0, 30.0]),
        Timed("int8", "b", 1_000_000, 1.0, [15.0, 15.0, 15.0]),
        Timed("fp32", "a", 8_000_000, 1.5, [40.0]),
    ]
    assert tflite.as_markdown(rows).splitlines()[2:] == [
        "| int8      | a     | 2.00 |   1.50 | 20.0 | 29.0 |  1.00 |",
        "| int8      | b     | 1.00 |   1.00 | 15.0 | 15.0 |  0.75 |",
        "| fp32      | a     | 8.00 |   1.50 | 40.0 | 40.0 |  1.00 |",
    ]
