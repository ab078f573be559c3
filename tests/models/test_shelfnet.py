"""ShelfNet at its real sizes (counted and traced, not run), and narrow ones that run."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import images, randomize
from tests.tiny_backbone import tiny
from tfseg import architectures, backbones
from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.conv import statistics_after
from tfseg.layers.resize import resize_bilinear
from tfseg.losses.semantic import class_presence_cross_entropy
from tfseg.models.shelf import padded
from tfseg.models.shelfnet import ShelfNet, ShelfNetConfig
from tfseg.profiling import flops

RESNET50, RESNET101 = (BackboneConfig(f"resnet{depth}_v1_5", output_stride=32) for depth in (50, 101))
BACKBONE_PARAMETERS = 23_508_032  # of ResNet-50
NARROW = ShelfNetConfig(tiny(32), width=4)


def built(config, num_classes=21):
    network = ShelfNet(config, num_classes)
    network(keras.Input([64, 64, 3]))
    return network


def parameters(network):
    return sum(np.prod(variable.shape) for variable in network.trainable_variables)


@pytest.fixture(scope="module")
def shelfnet50():
    return built(ShelfNetConfig(RESNET50))


def narrow(num_classes=3, **options):
    network = architectures.build(dataclasses.replace(NARROW, **options), num_classes)
    randomize(network)
    return network


def test_parameters_are_those_of_the_paper_on_resnet50_and_65_for_each_class(shelfnet50):
    """Counted as kernels, biases and two numbers a normalised channel: backbone, and 13,132,629 for 21 classes."""
    assert parameters(shelfnet50) == BACKBONE_PARAMETERS + 13_132_629 == 36_640_661
    wide = dataclasses.replace(NARROW, width=64, pairs=1)
    assert parameters(built(wide, 21)) - parameters(built(wide, 19)) == 2 * 65


def test_parameters_are_those_of_the_paper_on_resnet101():
    assert parameters(built(ShelfNetConfig(RESNET101))) == 55_632_789


def test_without_sharing_each_block_has_a_second_kernel():
    """The paper's head of 13,132,629 becomes one of 20,212,949, whatever the backbone."""
    counts = [parameters(built(dataclasses.replace(NARROW, width=64, is_shared=shared))) for shared in (False, True)]
    assert counts[0] - counts[1] == 20_212_949 - 13_132_629


@pytest.mark.slow
def test_parameters_with_the_heads_of_the_authors_code():
    """Theirs has 39,053,823, of which 37,184 belong to a block that is never called."""
    with_heads = ShelfNetConfig(RESNET50, auxiliary_weight=0.5, presence_weight=0.2)
    assert parameters(built(with_heads)) == 39_053_823 - 37_184


def traced(network):
    """(shapes of the nodes, 10^9 multiply-accumulates) at 512x512."""
    nodes = tf.function(network.nodes).get_concrete_function(tf.TensorSpec([1, 512, 512, 3]))
    shapes = {name: tuple(spec.shape) for name, spec in nodes.structured_outputs.items()}
    return shapes, flops.gmacs(flops.count(flops.trace(network, (512, 512), 1)))


def check_shapes(shapes):
    sides = {"A": 128, "B": 64, "C": 32, "D": 16}
    widths = {"A": 64, "B": 128, "C": 256, "D": 512}
    expected = {f"{level}{column}": column for level in "ABCD" for column in range(5) if (level, column) != ("D", 3)}
    assert shapes == {
        name: (1, sides[name[0]], sides[name[0]], widths[name[0]] * (1 if column else 4))
        for name, column in expected.items()
    }


def test_nodes_have_the_papers_shapes_on_resnet50_and_cost_under_half_of_a_dilated_backbone(shelfnet50):
    shapes, gmacs = traced(shelfnet50)
    check_shapes(shapes)
    assert gmacs == pytest.approx(39.66, rel=0.02)
    dilated = backbones.build(dataclasses.replace(RESNET50, output_stride=8))
    function = tf.function(lambda image: dilated(image)["last"])
    alone = flops.gmacs(flops.count(function.get_concrete_function(tf.TensorSpec([1, 512, 512, 3]))))
    assert alone == pytest.approx(99.7, rel=0.02)
    assert gmacs < 0.45 * alone


@pytest.mark.slow
def test_nodes_have_the_papers_shapes_on_resnet101():
    shapes, gmacs = traced(built(ShelfNetConfig(RESNET101)))
    check_shapes(shapes)
    assert gmacs == pytest.approx(59.06, rel=0.02)


@pytest.mark.parametrize("size", [(96, 64), (500, 375), (512, 512), (768, 768), (10, 33)])
def test_logits_of_images_of_any_size_cover_the_image(size):
    network = narrow()
    logits = network(images(*size))["semantic_logits"]
    assert logits.shape == (1, -(-size[0] // 4), -(-size[1] // 4), 3)
    assert resize_bilinear(logits, size).shape == (1, *size, 3)


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_an_image_is_continued_to_multiples_of_32_and_the_logits_are_cut_to_it(padding):
    network, image = narrow(backbone=tiny(32, padding)), images(50, 70)
    whole = np.pad(image, [[0, 0], [0, 14], [0, 26], [0, 0]], mode="edge")
    np.testing.assert_array_equal(padded(image, 32), whole)
    logits = network(image)["semantic_logits"]
    np.testing.assert_allclose(logits, network(whole)["semantic_logits"][:, :13, :18], atol=1e-5)


def test_images_of_unknown_size_give_what_those_of_known_size_give():
    network, image = narrow(), images(50, 70)
    run = tf.function(network.encode, input_signature=[tf.TensorSpec([None, None, None, 3])])
    np.testing.assert_allclose(run(image)["canvas"], network.encode(image)["canvas"], atol=1e-5)


def test_with_aligned_corners_the_network_itself_enlarges_its_logits():
    plain, aligned = narrow(), narrow(align_corners=True)
    aligned.set_weights(plain.get_weights())
    image = images(64, 96)
    small = plain(image)["semantic_logits"].numpy()
    enlarged = aligned(image)["semantic_logits"].numpy()
    assert (aligned.canvas_stride, enlarged.shape) == (1, (1, 64, 96, 3))
    corners = slice(None), [0, 0, -1, -1], [0, -1, 0, -1]
    np.testing.assert_allclose(enlarged[corners], small[corners], atol=1e-5)
    # 64 rows on 16: row 21 lies at 21 * 15 / 63 = 5.
    np.testing.assert_allclose(enlarged[:, 21, 0], small[:, 5, 0], atol=1e-4)
    assert aligned(images(50, 70))["semantic_logits"].shape == (1, 50, 70, 3)


def test_gradients_reach_every_weight():
    """With the statistics of training, the shared biases would have none: normalisation takes away what they add."""
    network, label = narrow(dropout_rate=0.0), tf.random.stateless_uniform([2, 96, 64], [0, 1], 0, 3, tf.int32)
    image = tf.random.stateless_uniform([2, 96, 64, 3], [0, 2], 0, 255)
    with tf.GradientTape() as tape:
        logits = resize_bilinear(network(image)["semantic_logits"], (96, 64))
        loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(label, logits))
    gradients = tape.gradient(loss, network.trainable_variables)
    sizes = {v.name: float(tf.norm(g)) for v, g in zip(network.trainable_variables, gradients, strict=True)}
    assert {name: size for name, size in sizes.items() if not 0 < size < np.inf} == {}


def test_training_depends_on_the_seed_and_use_does_not():
    network, image = narrow(auxiliary_weight=0.5), images(64, 64)
    np.testing.assert_array_equal(network.encode(image)["canvas"], network.encode(image)["canvas"])
    first, second = (network(image, training=True, seed=[0, step]) for step in (1, 2))
    for name in ("semantic_logits", "auxiliary_logits"):
        assert np.abs(np.asarray(first[name]) - np.asarray(second[name])).max() > 1e-3


def test_heads_of_training_add_weighted_losses_and_are_left_out_in_use():
    network = narrow(auxiliary_weight=0.5, presence_weight=0.2)
    image, label = images(64, 96), np.zeros([1, 64, 96], np.int32)
    outputs = network(image)
    assert set(outputs) == {"semantic_logits", "auxiliary_logits", "presence_logits"}
    assert [logits.shape for logits in outputs["auxiliary_logits"]] == [outputs["semantic_logits"].shape]
    assert set(network.encode(image)) == {"canvas"}
    row = architectures.architecture_of(network.config)
    losses = row.losses({"label": label}, outputs, network.config, upsample=resize_bilinear, ignore_label=255)
    assert {name: weight for name, (weight, *_) in losses.items()} == {
        "cross_entropy": 1.0,
        "auxiliary_1": 0.5,
        "class_presence": 0.2,
    }
    plain = row.losses({"label": label}, narrow()(image), NARROW, upsample=resize_bilinear, ignore_label=255)
    assert set(plain) == {"cross_entropy"}


def test_the_loss_of_presence_is_a_binary_cross_entropy_over_the_classes_of_labelled_images():
    """Logits of 0 cost log 2 each; those of the second image say rightly that only class 2 is there."""
    label = np.array([[[0, 0], [1, 255]], [[2, 255], [2, 2]], [[255, 255], [255, 255]]])
    logits = tf.constant([[0.0, 0, 0], [-50, -50, 50], [9, 9, 9]])
    total, count = class_presence_cross_entropy(label, logits)
    np.testing.assert_allclose(total, 3 * np.log(2), rtol=1e-6)
    assert count == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": tiny(16)}, "output_stride is 16, but the shelf reads maps of strides 4, 8, 16, 32: set it to 32"),
        ({"pairs": 0}, "pairs is 0; at least 1"),
        ({"width": 0}, "width is 0; at least 1"),
        ({"dropout_rate": 1.0}, "dropout_rate is at least 0 and below 1, not 1.0"),
        ({"dropout_kind": "channel"}, "dropout_kind is one of spatial, element, not 'channel'"),
        ({"auxiliary_weight": -1.0}, "auxiliary_weight is a number of at least 0, not -1.0"),
        ({"presence_weight": float("nan")}, "presence_weight is a number of at least 0, not nan"),
    ],
)
def test_values_that_no_shelf_can_have_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        dataclasses.replace(NARROW, **options)


@pytest.mark.parametrize(
    "name",
    [
        "mobilenet_v2",
        "resnet18",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("resnet50_v1", "xception_71")),
    ],
)
def test_it_stands_on_other_backbones(name):
    widths = {"width_multiplier": 0.25} if name in ("mobilenet_v2", "xception_71") else {}
    network = ShelfNet(ShelfNetConfig(BackboneConfig(name, 32, **widths), width=2), 3)
    outputs = network(keras.Input([50, 64, 3]))
    assert tuple(outputs["semantic_logits"].shape) == (None, 13, 16, 3)


def four_pictures():
    """[4, 96, 96, 3] images of a rectangle and a disk on a ground, in noise, and their labels."""
    random, rows, columns = np.random.default_rng(0), *np.mgrid[:96, :96]
    labels = np.zeros([4, 96, 96], np.int32)
    for label in labels:
        top, left, y, x = random.integers(5, 50, 4)
        label[top : top + 40, left : left + 25] = 1
        label[(rows - y - 20) ** 2 + (columns - x - 20) ** 2 < 250] = 2
    colors = np.array([[90, 110, 90], [200, 60, 50], [60, 80, 220]])
    return (colors[labels] + random.normal(0, 20, [4, 96, 96, 3])).clip(0, 255).astype(np.float32), labels


@pytest.mark.parametrize("pairs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_it_learns_four_pictures_by_heart(pairs):
    keras.utils.set_random_seed(0)
    network = architectures.build(dataclasses.replace(NARROW, pairs=pairs, width=8), 3)
    pictures, labels = four_pictures()
    optimizer = keras.optimizers.Adam(1e-2)

    @tf.function
    def step(seed):
        with tf.GradientTape() as tape, statistics_after(seed[1]):
            logits = resize_bilinear(network(pictures, training=True, seed=seed)["semantic_logits"], (96, 96))
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        variables = network.trainable_variables
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    for number in range(100):
        step(tf.constant([0, number]))
    canvas = network.encode(pictures)["canvas"]
    prediction = tf.argmax(resize_bilinear(canvas, (96, 96)), -1).numpy()
    assert (prediction == labels).mean() > 0.95
