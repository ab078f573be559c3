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


def test_a_shelf_has_its_levels_below_each_other_and_an_arrow_for_each_edge():
    def without(*edges):
        graph = {"A0": frozenset(), "B0": {"A0"}, "A1": {"A0", "B1"}, "B1": {"B0"}}
        return {
            node: frozenset(source for source in sources if (source, node) not in edges)
            for node, sources in graph.items()
        }

    ways = {"A0": 1, "B0": 1, "A1": 2, "B1": 1}
    whole, cut = (charts.shelf(graph, ways).astype(int) for graph in (without(), without(("A0", "A1"))))
    assert whole.shape == cut.shape and whole.shape[2] == 3
    changed = np.argwhere((whole != cut).any(-1))
    # The arrow from A0 to A1 lies in the upper half, between the columns.
    assert changed[:, 0].max() < whole.shape[0] / 2
    assert whole.shape[1] / 4 < changed[:, 1].min() < changed[:, 1].max() < 3 * whole.shape[1] / 4
