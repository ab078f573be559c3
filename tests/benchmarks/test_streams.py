"""Models take turns on the frames of a video; those that keep a state are timed where they start from one."""

import pytest

from tests.fake_network import INFO
from tests.inference.test_stream import frames
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.benchmarks import streams
from tfseg.benchmarks.streams import Timed
from tfseg.errors import InputError
from tfseg.inference.predictor import Predictor
from tfseg.models.fcn import FCNConfig
from tfseg.models.rnn import RNNConfig


@pytest.fixture(scope="module")
def predictors():
    configs = {
        "whole": FCNConfig(tiny()),
        "recurrent": RNNConfig(tiny(), iterations=3, widths=(8, 4), canvas_stride=8),
    }
    networks = {name: architectures.build(config, INFO.num_classes) for name, config in configs.items()}
    return {name: Predictor(network, INFO) for name, network in networks.items()}


def test_all_frames_but_the_first_are_timed(predictors):
    rows = streams.measure(predictors, frames(4), iters=1)
    assert [(row.model, len(row.milliseconds), row.num_fresh) for row in rows] == [("whole", 3, 0), ("recurrent", 3, 0)]


def test_a_frame_costs_what_the_chosen_iterations_cost(predictors):
    one, two = (streams.measure(predictors, frames(3), iters=count) for count in (1, 2))
    assert one[0].gflops == two[0].gflops > 0  # it runs once whatever is chosen
    assert 0 < one[1].gflops < two[1].gflops


def test_frames_that_start_afresh_are_counted_but_not_timed(predictors):
    inverted = [255 - frame for frame in frames(3)]
    rows = streams.measure(predictors, [*frames(3), *inverted], iters=1)
    assert [(len(row.milliseconds), row.num_fresh) for row in rows] == [(5, 0), (4, 1)]


def test_a_clip_of_cuts_alone_is_refused(predictors):
    first, *_ = frames(1)
    with pytest.raises(InputError, match="every frame started afresh"):
        streams.measure(predictors, [first, 255 - first], iters=1)


def test_the_table_compares_medians_with_the_first_row():
    rows = [
        Timed("whole", 2.0, [30.0, 10.0, 20.0], 0),
        Timed("part", 1.0, [5.0, 15.0], 1),
        Timed("other", None, [40.0], 0),
    ]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in streams.as_markdown(rows).splitlines()]
    assert cells[2] == ["whole", "2.00", "1.000", "20.0", "29.0", "1.000", "0"]
    assert cells[3] == ["part", "1.00", "0.500", "10.0", "14.5", "0.500", "1"]
    assert cells[4] == ["other", "", "", "40.0", "40.0", "2.000", "0"]
