"""What is exported computes what the network computes."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.errors import InputError
from tfseg.export.functions import SEGMENT, NetworkFunctions
from tfseg.layers.resize import upsample
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.rnn import RNNConfig

SIZE = (33, 50)
IMAGE = tf.random.stateless_uniform([1, *SIZE, 3], [0, 1], 0, 255)


def recurrent(padding="same"):
    backbone = tiny(padding=padding)
    return architectures.build(RNNConfig(backbone, widths=(8, 4), canvas_stride=8), 3)


@pytest.fixture(scope="module")
def network():
    return recurrent()


def logits_of(network, iterations):
    canvas = network(IMAGE, iterations=iterations)["semantic_logits"]
    return upsample(canvas, SIZE, network.canvas_stride, network.padding)


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_a_fixed_number_of_iterations_gives_the_networks_logits_in_the_images_size(padding):
    network = recurrent(padding)
    segment = NetworkFunctions(network, SIZE).segment(3)[SEGMENT]
    np.testing.assert_allclose(segment(image=IMAGE)["logits"], logits_of(network, 3), atol=1e-4)
    assert segment.structured_outputs["logits"].shape == [1, *SIZE, 3]


def test_a_stream_gives_the_same_step_by_step_from_a_state_of_zeros(network):
    stream = NetworkFunctions(network, SIZE).stream()
    features = stream["encode"](image=IMAGE)
    state = {name: tf.zeros(spec.shape) for name, spec in stream["refine"].structured_outputs.items()}
    assert set(state) == {"canvas", "h1", "c1", "h2", "c2", "h3", "c3"}
    for iterations in (1, 2, 3):
        state = stream["refine"](**features, **state)
        logits = stream["decode"](canvas=state["canvas"])["logits"]
        np.testing.assert_allclose(logits, logits_of(network, iterations), atol=1e-4)


@pytest.mark.parametrize(("asked", "run"), [(1, 1), (3, 3), (4, 4), (9, 4), (0, 1), (-5, 1)])
def test_iterations_at_run_time_are_cut_to_the_declared_maximum(network, asked, run):
    dynamic = NetworkFunctions(network, SIZE).dynamic(4)[SEGMENT]
    answer = dynamic(image=IMAGE, iterations=tf.constant([asked]), tolerance=tf.constant([-1.0]))
    assert answer["iterations"].numpy().tolist() == [run]
    np.testing.assert_allclose(answer["logits"], logits_of(network, run), atol=1e-4)


def test_the_loop_stops_when_no_class_changes_any_more(network):
    maps = [np.argmax(network(IMAGE, iterations=n)["semantic_logits"], -1) for n in range(1, 9)]
    shares = [np.mean(after != before) for before, after in itertools.pairwise(maps)]
    tolerance = sorted(shares)[3] + 1e-6
    expected = 2 + next(index for index, share in enumerate(shares) if share <= tolerance)
    dynamic = NetworkFunctions(network, SIZE).dynamic(8)[SEGMENT]
    answer = dynamic(image=IMAGE, iterations=tf.constant([8]), tolerance=tf.constant([tolerance], tf.float32))
    assert answer["iterations"].numpy().tolist() == [expected]


def test_cells_are_convolutions_in_exports_and_matrix_products_elsewhere(network):
    def products(function):
        return {node.op for node in function.graph.as_graph_def().node} & {"MatMul", "Conv2D"}

    functions = NetworkFunctions(network, SIZE)
    for function in [*functions.segment(2).values(), *functions.stream().values()]:
        assert "MatMul" not in products(function)
    spec = tf.TensorSpec([1, *SIZE, 3])
    ordinary = tf.function(lambda image: network(image, iterations=2)).get_concrete_function(spec)
    assert products(ordinary) == {"MatMul", "Conv2D"}


def test_the_products_with_the_features_are_computed_once(network):
    def num_products(iterations):
        function = NetworkFunctions(network, SIZE).segment(iterations)[SEGMENT]
        return sum(node.op == "Conv2D" for node in function.graph.as_graph_def().node)

    # An iteration multiplies for 4 gates in each of 3 cells.
    assert num_products(4) - num_products(3) == 12


def test_a_network_that_runs_once_has_neither_stream_nor_loop():
    config = DeepLabV3Config(tiny(), width=8)
    network = architectures.build(config, 3)
    functions = NetworkFunctions(network, SIZE)
    expected = upsample(network(IMAGE)["semantic_logits"], SIZE, 16, "same")
    np.testing.assert_allclose(functions.segment(5)[SEGMENT](image=IMAGE)["logits"], expected, atol=1e-4)
    with pytest.raises(InputError, match="a stream is for models that keep a state; this one keeps none"):
        functions.stream()
    with pytest.raises(InputError, match="a number of iterations at run time is for recurrent models"):
        functions.dynamic(3)
