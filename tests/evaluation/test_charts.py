"""Charts are drawn wherever they are asked for, and say what they show."""

import numpy as np

from tfseg.evaluation import charts
from tfseg.labels import DatasetInfo

INFO = DatasetInfo("toy", ("sky", "road", "car"), ((0, 0, 250), (100, 100, 100), (250, 0, 0)))


def test_charts_are_drawn_without_a_display_and_without_latencies():
    points = [{"iteration": 1, "gflops": 2.0, "milliseconds": None, "miou": 0.5}]
    picture = charts.curve({"one": points, "other": [points[0] | {"milliseconds": 3.0}]})
    assert picture.dtype == np.uint8
    assert picture.std() > 1
    picture = charts.confusion([[3, 1, 0], [0, 0, 0], [1, 1, 1]], INFO)
    assert picture.shape[2] == 3
