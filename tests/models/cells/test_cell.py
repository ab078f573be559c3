"""Cells of any genotype run; those that stand for the paper's have its numbers of weights and of products."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import images, randomize
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.models.arch2_video import Arch2Video, Arch2VideoConfig
from tfseg.models.cells.cell import DynamicCell
from tfseg.models.cells.genotype import CELLS, parse, random_genotype
from tfseg.profiling import flops

# {cell: (classes of its data set, its weights with its classifier, arch2's weights, millions in the paper's table)}
WEIGHTS = {
    "cell0_like": (11, 502_883, 2_847_371, 3.35),
    "cell1_like": (11, 341_980, 2_847_371, 3.19),
    "cell2_like": (19, 389_786, 2_851_987, 3.24),
    "cell3_like": (19, 448_054, 2_851_987, 3.30),
}
SIZES = ((2, 3), (8, 12), (8, 12), (4, 6), (2, 3))  # of the maps that a cell reads, for an image of 64x96


@functools.cache
def papers(num_classes):
    """A network of the paper's size, and the 10^9 products of a frame by its decoder. Its cell is exchanged."""
    network = Arch2Video(Arch2VideoConfig(reference_counts=True), num_classes)
    network(keras.Input([64, 64, 3]))
    return network, traced_gmacs(network, from_zeros=False)


def traced_gmacs(network, from_zeros):
    return flops.gmacs(flops.count(flops.trace(network, (360, 480), 1, from_zeros)))


def learned(layers):
    variables = [variable for layer in layers for variable in layer.weights if "moving_" not in variable.name]
    return sum(int(np.prod(variable.shape)) for variable in variables)


def maps(width=4, channels=(8, 4, 8, 8, 8)):
    assert channels[1] == width
    return [
        tf.random.stateless_normal([2, *size, count], [place, 0])
        for place, (size, count) in enumerate(zip(SIZES, channels, strict=True))
    ]


def cell_of(text, inputs):
    cell = DynamicCell(parse(text), 4)
    cell(inputs, SIZES[1])
    randomize(cell)
    return cell


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "cell1_like" else pytest.mark.slow) for name in CELLS]
)
def test_weights_and_cost_of_the_cells(monkeypatch, name):
    """A frame by a cell costs half to two thirds of one by the decoder, with the backbone, which is 0.45 of that."""
    num_classes, own, static, published = WEIGHTS[name]
    network, of_first = papers(num_classes)
    monkeypatch.setattr(network, "cell", DynamicCell(parse(name), 64))
    assert 0.45 <= traced_gmacs(network, from_zeros=True) / of_first < 0.66
    assert learned([network.cell, network.cell_classifier]) == own
    assert learned(network.exported_layers()) == own + static
    assert (own + static) / 1e6 == pytest.approx(published, rel=0.0015)


@pytest.fixture(scope="module")
def network():
    """Its cell is exchanged: most of the time would go into building arch2 around each."""
    return architectures.build(Arch2VideoConfig(tiny(32), width=4), num_classes=3)


@pytest.mark.parametrize("seed", range(20))
def test_any_genotype_runs(network, monkeypatch, seed):
    genotype = random_genotype(np.random.default_rng(seed), 4 + seed % 2)
    monkeypatch.setattr(network, "cell", DynamicCell(genotype, 4))
    features = network.encode(images(50, 37))
    state = network.refine(features)
    for _ in range(2):
        state = network.refine(features, state)
    shapes = {name: tuple(one.shape) for name, one in state.items()}
    assert shapes == {"canvas": (1, 7, 5, 3), "dec": (1, 7, 5, 4), "layer4": (1, 2, 2, 8)}
    assert all(np.isfinite(one).all() for one in state.values())


@pytest.mark.parametrize("num_layers", [1, 5])
def test_a_network_is_built_with_any_genotype(num_layers):
    genotype = random_genotype(np.random.default_rng(9), num_layers)
    network = architectures.build(Arch2VideoConfig(tiny(32), width=4, genotype=str(genotype)), num_classes=3)
    assert network.genotype == network.cell.genotype == genotype and network.cell.built


def test_a_cell_by_hand():
    """6 reads 5 and the decoded map before; 7 reads a coarse and a fine map; 6 and 7 are the output."""
    inputs = maps()
    cell = cell_of("3 4 4 4 0  5 1 4 0 5  4 2 4 4 0", inputs)
    fine, of_layer2 = SIZES[1], cell.adapters["2"](inputs[2])
    of_layer3, of_layer4 = cell.adapters["3"](inputs[3]), cell.adapters["4"](inputs[4])
    enlarge = functools.partial(tf.image.resize, size=fine)
    # At the finer of the two sizes.
    five = cell.aggregations[0](of_layer3, tf.image.resize(of_layer4, SIZES[3]))
    six = enlarge(five) * tf.sigmoid(cell.pairs[1][1](inputs[1]))
    seven = cell.aggregations[2](enlarge(of_layer4), of_layer2)
    joined = tf.nn.relu(tf.concat([six, seven], -1))
    np.testing.assert_allclose(cell(inputs, fine), cell.reduction(joined), atol=1e-5)


def test_only_maps_that_are_read_are_adapted_and_the_others_may_be_missing():
    inputs = [None, None, None, maps()[3], None]
    cell = cell_of("3 3 4 0 0", inputs)
    assert list(cell.adapters) == ["3"]
    assert cell(inputs, SIZES[1]).shape == (2, *SIZES[1], 4)


def test_a_coarse_output_is_enlarged_to_the_size_that_is_asked_for():
    inputs = maps()
    cell = cell_of("4 0 4 4 0", inputs)
    coarse = cell.aggregations[0](cell.adapters["4"](inputs[4]), cell.adapters["0"](inputs[0]))
    expected = cell.reduction(tf.nn.relu(tf.image.resize(coarse, (8, 12))))
    np.testing.assert_allclose(cell(inputs, (8, 12)), expected, atol=1e-5)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_reach_every_weight_and_every_map_that_is_read(name):
    inputs = maps()
    cell = cell_of(name, inputs)
    read = [inputs[place] for place in cell.genotype.inputs_read]
    with tf.GradientTape() as tape:
        tape.watch(read)
        total = tf.reduce_sum(cell(inputs, SIZES[1], training=True) ** 2)
    gradients = tape.gradient(total, [*read, *cell.trainable_variables])
    assert all(np.isfinite(one).all() and np.abs(one).max() > 0 for one in gradients)
