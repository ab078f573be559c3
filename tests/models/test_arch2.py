"""arch2 at its real size (counted and traced), and on a tiny backbone that runs."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import images, randomize
from tests.tiny_backbone import tiny
from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.models.arch2 import MERGED, Arch2, Arch2Config, ContextualCell
from tfseg.profiling import flops

CONTEXTUAL_PARAMETERS = 4 * (9 * 64 * 64 + 128) + 3 * (64 * 64 + 128)
NARROW = Arch2Config(tiny(32), width=4)


def built(config, num_classes):
    network = Arch2(config, num_classes)
    network(keras.Input([64, 64, 3]))
    return network


def parameters(layer):
    return sum(int(np.prod(variable.shape)) for variable in layer.trainable_variables)


def narrow(**options):
    network = architectures.build(dataclasses.replace(NARROW, **options), num_classes=3)
    randomize(network)
    return network


@pytest.mark.parametrize(
    ("num_classes", "published", "without"), [(19, 2_851_987, 2_849_235), (11, 2_847_371, 2_844_619)]
)
def test_parameters_are_those_of_the_paper(num_classes, published, without):
    """2.85 M; without what nothing needs, 1,088 in MobileNetV2 and 24 * 64 + 128 in the decoder are missing."""
    config = Arch2Config(auxiliary_weight=0.0, reference_counts=True)
    assert parameters(built(config, num_classes)) == published
    assert parameters(built(dataclasses.replace(config, reference_counts=False), num_classes)) == without
    assert published - without == 1_088 + 24 * 64 + 128


def test_parameters_of_the_heads_that_serve_training_alone():
    with_heads, without = (parameters(built(Arch2Config(auxiliary_weight=weight), 11)) for weight in (0.3, 0.0))
    assert with_heads - without == 3 * (576 * 11 + 11) + 3 * CONTEXTUAL_PARAMETERS
    plain = built(Arch2Config(has_auxiliary_cells=False), 11)
    assert parameters(plain) - without == 3 * (576 * 11 + 11)


@pytest.mark.parametrize("size", [(360, 480), (512, 1024)])
def test_maps_have_the_papers_shapes(size):
    network = Arch2(Arch2Config(), 11)

    def run(image):
        maps = network.maps(image)
        merged, dec = network.decode(maps)
        return maps, merged, dec, network(image)["semantic_logits"]

    traced = tf.function(run).get_concrete_function(tf.TensorSpec([1, *size, 3]))
    shapes = [tuple(spec.shape)[1:] for spec in traced.outputs]
    at = {stride: tuple(-(-side // stride) for side in size) for stride in (4, 8, 16, 32)}
    wanted = [(*at[4], 24), (*at[8], 32), (*at[16], 96), (*at[32], 320)]
    wanted += [(*at[8], 64), (*at[8], 64), (*at[16], 64), (*at[8], 64), (*at[8], 11)]
    assert shapes == wanted


def test_it_costs_what_the_published_form_costs():
    """2.24 x 10^9 multiply-accumulates at 360x480 with what nothing needs and with taps that fall outside the map."""
    [gmacs] = flops.executed_gmacs(built(Arch2Config(auxiliary_weight=0.0), 11), (360, 480), 1)
    assert gmacs == pytest.approx(2.24, rel=0.04)


def test_the_contextual_cell_follows_its_genotype():
    """By hand: four sums, of which the second is read no further; so three are added to the first operation."""
    cell = ContextualCell(2)
    inputs = tf.random.stateless_normal([1, 5, 7, 2], [0, 0])
    cell(inputs)
    randomize(cell)
    f1 = cell.first(inputs)
    (pooled, c3), (c1, c3_of_pooled), (c3d3, c1_of_pooled) = cell.pairs
    f2, f3 = pooled(inputs), c3(inputs)
    f5, f6 = c1(f3), c3_of_pooled(f2)
    f8, f9 = c3d3(f5), c1_of_pooled(f6)
    np.testing.assert_allclose(cell(inputs), f1 + (f2 + f3) + (f5 + f6) + (f8 + f9), atol=1e-5)


def test_parameters_of_the_contextual_cell():
    cell = ContextualCell(64)
    cell(tf.zeros([1, 4, 4, 64]))
    assert parameters(cell) == CONTEXTUAL_PARAMETERS == 160_640


@pytest.mark.parametrize("size", [(96, 64), (50, 37), (33, 33), (10, 33)])
def test_logits_of_images_of_any_size(size):
    network = narrow()
    outputs = network(images(*size), training=False)
    wanted = (1, -(-size[0] // 8), -(-size[1] // 8), 3)
    assert tuple(outputs["semantic_logits"].shape) == wanted
    assert [tuple(one.shape) for one in outputs["auxiliary_logits"]] == [wanted] * len(MERGED)


def test_a_size_that_is_known_only_at_run_time_gives_the_same():
    network = narrow()
    image = images(50, 37)
    traced = tf.function(lambda one: network.encode(one)["canvas"]).get_concrete_function(
        tf.TensorSpec([1, None, None, 3])
    )
    np.testing.assert_allclose(traced(image), network.encode(image)["canvas"], atol=1e-5)


def test_gradients_reach_every_weight():
    network = narrow()
    with tf.GradientTape() as tape:
        outputs = network(images(64, 64), training=True)
        loss = tf.add_n([tf.reduce_sum(one**2) for one in (outputs["semantic_logits"], *outputs["auxiliary_logits"])])
    gradients = tape.gradient(loss, network.trainable_variables)
    assert all(one is not None and np.isfinite(one).all() and np.abs(one).max() > 0 for one in gradients)


def test_what_is_exported_leaves_out_the_heads_of_training_and_computes_the_same():
    network = narrow()
    exported = network.exported()
    assert parameters(exported) < parameters(network) and not exported.auxiliary
    image = images(64, 96)
    np.testing.assert_allclose(exported.encode(image)["canvas"], network.encode(image)["canvas"], atol=1e-5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"backbone": BackboneConfig("mobilenet_v2", 16)}, "set it to 32"),
        ({"width": 0}, "width is 0"),
        ({"auxiliary_weight": -1.0}, "auxiliary_weight"),
    ],
)
def test_values_that_cannot_be_are_refused(fields, message):
    with pytest.raises(InputError, match=message):
        Arch2Config(**fields)


def test_the_first_expansion_is_mobilenets_alone():
    config = Arch2Config(BackboneConfig("resnet18", 32, padding="symmetric"), reference_counts=True)
    with pytest.raises(InputError, match="first_expansion does not apply to resnet18"):
        Arch2(config, 3)
