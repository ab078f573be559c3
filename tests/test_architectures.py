"""What every architecture must pass. A new model needs a row in ROWS, and is told what else it lacks."""

import dataclasses
import inspect
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg import architectures
from tfseg.architectures import ARCHITECTURES, Architecture
from tfseg.backbones import BackboneConfig
from tfseg.labels import DatasetInfo, default_colors
from tfseg.layers.resize import resize_bilinear
from tfseg.models.arch2 import Arch2Config
from tfseg.models.arch2_video import Arch2VideoConfig
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.models.fcn import FCNConfig
from tfseg.models.light_shelfnet import LightShelfNetConfig
from tfseg.models.pspnet import PSPNetConfig
from tfseg.models.rnn import RNNConfig
from tfseg.models.segmenter import Segmenter, SegmenterConfig
from tfseg.models.shelfnet import ShelfNetConfig
from tfseg.postprocess.instance_maps import NAMES

ZOO = Path(__file__).resolve().parent.parent / "model_zoo"
CONTRACT, HERE = "tfseg/models/segmenter.py", "tests/test_architectures.py"
NUM_CLASSES = 5
INFO = DatasetInfo("toy", tuple("abcde"), default_colors(NUM_CLASSES), thing_ids=frozenset({1, 2}))
TOY = BackboneConfig("mobilenet_v2", width_multiplier=0.35)
# Keras counts 410,208 in MobileNetV2 0.35 without its top; 148,480 of them are the last 1x1 convolution's, left
# out here, and 11,520 are moving statistics. The last map has 112 channels.
BACKBONE_PARAMETERS = 410_208 - 148_480 - 11_520
COARSE_TOY = dataclasses.replace(
    TOY, output_stride=32
)  # its maps of stride 4, 8, 16 and 32 have 8, 16, 32, 112 channels


def s_block(channels):
    """A 3x3 convolution with bias, and two normalisations."""
    return 9 * channels**2 + 5 * channels


def conv3(inputs, outputs):
    """A 3x3 convolution, transposed or not, with its bias."""
    return 9 * inputs * outputs + outputs


def attention_step(inputs, outputs):
    """3x3, a 1x1 of its means, and a 3x3 after the sum, each with scale and shift."""
    return 9 * inputs * outputs + outputs**2 + 9 * outputs**2 + 3 * 2 * outputs


def contextual(width):
    """Four 3x3 and three 1x1 convolutions (one on the mean), each with scale and shift."""
    return 4 * (9 * width**2 + 2 * width) + 3 * (width**2 + 2 * width)


# Reductions of 16, 32 and 112 channels to 4, with scale and shift; a 3x3 convolution with bias to the classes.
ADAPTERS, LOGITS = (16 + 32 + 112) * 4 + 3 * 8, 9 * 4 * 5 + 5

ROWS = {
    # Projection 112 -> 4 * 8, then gates over [5 | 8], [8 | 6], [6 | 5] with their biases.
    RNNConfig: (
        RNNConfig(TOY, widths=(8, 6)),
        BACKBONE_PARAMETERS + 112 * 32 + (13 * 32 + 32) + (14 * 24 + 24) + (11 * 20 + 20),
    ),
    # Projection 112 -> 8, hidden 8 -> 6, logits 6 -> 5, with their biases.
    FCNConfig: (FCNConfig(TOY, widths=(8, 6)), BACKBONE_PARAMETERS + 113 * 8 + 9 * 6 + 7 * 5),
    # Image pooling and 1x1 112 -> 8, two dilated 3x3, projection 32 -> 8, each with scale and shift; logits.
    DeepLabV3Config: (
        DeepLabV3Config(TOY, atrous_rates=(2, 4), width=8),
        BACKBONE_PARAMETERS + 2 * 112 * 8 + 2 * 9 * 112 * 8 + 32 * 8 + 5 * 16 + 9 * 5,
    ),
    # Two levels 112 -> 8, 3x3 of 112 + 16 -> 8, each with scale and shift; logits.
    PSPNetConfig: (
        PSPNetConfig(TOY, bins=(1, 3), width=8),
        BACKBONE_PARAMETERS + 2 * 112 * 8 + 9 * 128 * 8 + 3 * 16 + 9 * 5,
    ),
    # Reductions to 2, 4, 8, 16; two columns up, a bridge, a column down; logits; a 3x3 of 32 -> 8 and logits for the
    # auxiliary loss, logits of the coarsest map for that of the classes' presence.
    ShelfNetConfig: (
        ShelfNetConfig(COARSE_TOY, width=2, auxiliary_weight=0.5, presence_weight=0.2),
        BACKBONE_PARAMETERS
        + (8 * 2 + 16 * 4 + 32 * 8 + 112 * 16 + 2 * 30)
        + 2 * (s_block(16) + s_block(8) + s_block(4) + s_block(2) + conv3(16, 8) + conv3(8, 4) + conv3(4, 2))
        + (2 * s_block(2) + s_block(4) + s_block(8) + conv3(2, 4) + conv3(4, 8) + conv3(8, 16))
        + (3 * 5 + 9 * 32 * 8 + 16 + 9 * 5 + 17 * 5),
    ),
    # Reductions to 2, 4, 8; two columns up, a bridge, a column down; heads of a 3x3 to 2 channels, or to 64 for the
    # auxiliary losses, and a 3x3 to the classes.
    LightShelfNetConfig: (
        LightShelfNetConfig(COARSE_TOY, width=2, auxiliary_weight=1.0),
        BACKBONE_PARAMETERS
        + (16 * 2 + 32 * 4 + 112 * 8 + 2 * 14)
        + 2 * (s_block(8) + attention_step(8, 4) + attention_step(4, 2))
        + (2 * s_block(2) + s_block(4) + conv3(2, 4) + conv3(4, 8))
        + (9 * 2 * 2 + 4 + 9 * 2 * 5)
        + (9 * 4 * 64 + 9 * 8 * 64 + 2 * (128 + 9 * 64 * 5)),
    ),
    # Three merges of two contextual cells and two 1x1, a reduction of two maps; logits; three auxiliary heads.
    Arch2Config: (
        Arch2Config(COARSE_TOY, width=4),
        BACKBONE_PARAMETERS
        + (ADAPTERS + 6 * (contextual(4) + 4 * 4 + 8) + 8 * 4 + 8 + LOGITS)
        + 3 * (contextual(4) + LOGITS),
    ),
    # Only the cell is trained. Three deformable convolutions with their offsets, six separable ones, four
    # concatenations, one 3-D convolution; a reduction of three maps; logits of its own.
    Arch2VideoConfig: (
        Arch2VideoConfig(COARSE_TOY, width=4, genotype="cell1_like"),
        3 * (9 * 16 + conv3(4, 27) + 8)
        + 6 * (9 * 4 + 16 + 8)
        + 4 * (2 * 8 + 8 * 4)
        + (2 * 9 * 16 + 8)
        + (ADAPTERS + 12 * 4 + 8 + LOGITS),
    ),
    # A 1x1 of 112 -> 8 with scale and shift; 5 classes, 5 keypoints, 2 x 5 long and short and 2 x 8 middle offsets.
    DeeperLabConfig: (
        DeeperLabConfig(
            dataclasses.replace(TOY, padding="symmetric"),
            has_aspp=False,
            aspp_width=8,
            decoder="none",
            has_deeper_heads=False,
        ),
        BACKBONE_PARAMETERS + 112 * 8 + 16 + 9 * (5 + 5 + 10 + 10 + 16),
    ),
}


def missing(name, architecture, zoo=ZOO):
    """What a row of ARCHITECTURES lacks: sentences, each with the file where it is to be added."""
    config, model = architecture.config, architecture.model
    is_segmenter = inspect.isclass(model) and issubclass(model, Segmenter) and issubclass(model, keras.Model)
    namesakes = [other for other, row in ARCHITECTURES.items() if row.config is config and other != name]
    checks = [
        (dataclasses.is_dataclass(config), f"{config.__name__} is no dataclass: decorate it in {_file(config)}"),
        (
            issubclass(config, SegmenterConfig),
            f"{config.__name__} does not extend SegmenterConfig of {CONTRACT}: let it, in {_file(config)}",
        ),
        (
            is_segmenter,
            f"{model.__name__} does not extend Segmenter of {CONTRACT} and keras.Model: let it, in {_file(model)}",
        ),
        (
            not namesakes,
            f"{config.__name__} belongs to {', '.join(namesakes)} too: give each its own in tfseg/architectures.py",
        ),
        (_has_recipe(name, zoo), f"no recipe: write one for a data set, model_zoo/<dataset>/{name}_<backbone>.py"),
        (config in ROWS, f"no row in ROWS of {HERE}: add a toy config, and count its parameters by hand"),
    ]
    for method in ("encode", "refine"):
        inherited = getattr(Segmenter, method)
        sentence = f"{model.__name__} has no {method}, see Segmenter of {CONTRACT}: write it in {_file(model)}"
        checks.append((getattr(model, method, inherited) is not inherited, sentence))
    return [f"{name}: {sentence}" for is_given, sentence in checks if not is_given]


def _file(thing):
    return f"{thing.__module__.replace('.', '/')}.py"


def _has_recipe(name, zoo):
    return any(f"{path.stem}_".startswith(f"{name}_") for path in zoo.glob("*/*.py"))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_row_of_the_table_has_all_that_belongs_to_it(name):
    lacks = missing(name, ARCHITECTURES[name])
    assert not lacks, "\n".join(lacks)


def test_every_row_here_belongs_to_an_architecture():
    left = set(ROWS) - {architecture.config for architecture in ARCHITECTURES.values()}
    names = ", ".join(sorted(config.__name__ for config in left))
    assert not left, f"ROWS of {HERE} has {names}, but ARCHITECTURES in tfseg/architectures.py not"


def test_what_a_row_lacks_is_said_in_sentences_that_name_the_file():
    class Config:
        pass

    class Network:
        pass

    assert missing("enet", Architecture(Config, Network)) == [
        f"enet: Config is no dataclass: decorate it in {HERE}",
        f"enet: Config does not extend SegmenterConfig of tfseg/models/segmenter.py: let it, in {HERE}",
        f"enet: Network does not extend Segmenter of tfseg/models/segmenter.py and keras.Model: let it, in {HERE}",
        "enet: no recipe: write one for a data set, model_zoo/<dataset>/enet_<backbone>.py",
        f"enet: no row in ROWS of {HERE}: add a toy config, and count its parameters by hand",
        f"enet: Network has no encode, see Segmenter of tfseg/models/segmenter.py: write it in {HERE}",
        f"enet: Network has no refine, see Segmenter of tfseg/models/segmenter.py: write it in {HERE}",
    ]


def test_a_row_that_lacks_one_thing_gets_one_sentence(tmp_path):
    class NoRefine(Segmenter, keras.Model):
        def encode(self, images, training=False):
            return {"canvas": images}

    recipe = tmp_path / "folder" / "enet.py"
    recipe.parent.mkdir()
    recipe.touch()
    [shared, no_refine] = missing("enet", Architecture(FCNConfig, NoRefine), tmp_path)
    assert shared == "enet: FCNConfig belongs to fcn too: give each its own in tfseg/architectures.py"
    assert no_refine.startswith("enet: NoRefine has no refine, see Segmenter of tfseg/models/segmenter.py")
    whole = ARCHITECTURES["fcn"]
    assert missing("fcn", whole) == []
    recipe.rename(tmp_path / "folder" / "fcn2.py")
    [no_recipe] = missing("fcn", whole, tmp_path)
    assert no_recipe.startswith("fcn: no recipe: write one")


@pytest.fixture(scope="module", params=ROWS, ids=lambda config_type: config_type.__name__)
def row(request):
    keras.utils.set_random_seed(0)
    config, count = ROWS[request.param]
    return architectures.build(config, NUM_CLASSES), count


def test_parameters_are_as_counted_by_hand(row):
    network, count = row
    assert sum(np.prod(variable.shape) for variable in network.trainable_variables) == count


def test_outputs_have_the_models_stride_at_two_sizes(row):
    network, _ = row
    for height, width in ((32, 64), (33, 49)):
        logits = network(tf.zeros([2, height, width, 3]))["semantic_logits"]
        stride = network.canvas_stride
        assert logits.shape == (2, -(-height // stride), -(-width // stride), NUM_CLASSES)
        assert logits.dtype == tf.float32


def test_gradients_reach_every_weight(row):
    network, _ = row
    architecture = architectures.architecture_of(network.config)
    images = tf.random.stateless_uniform([1, 32, 32, 3], [0, 1], 0, 255)
    label = tf.random.stateless_uniform([32, 32], [0, 2], 0, NUM_CLASSES, tf.int32)
    example = {"image": images[0], "label": label, "instance": tf.where(label == 1, 1, 0), "filename": "a.png"}
    batch = tf.nest.map_structure(
        lambda value: tf.convert_to_tensor(value)[tf.newaxis],
        architecture.targets(example, INFO, network.config),
    )
    with tf.GradientTape() as tape:
        outputs = architecture.training_outputs(network, batch, tf.constant([0, 0]))
        terms = architecture.losses(
            batch, outputs, network.config, upsample=resize_bilinear, ignore_label=255, class_weights=None
        )
        loss = tf.add_n([weight * total for weight, total, _ in terms.values()])
    gradients = tape.gradient(loss, network.trainable_variables)
    silent = [v.name for v, g in zip(network.trainable_variables, gradients, strict=True) if g is None]
    assert silent == []


def test_a_batch_is_segmented_like_its_images_one_by_one(row):
    network, _ = row
    images = tf.random.stateless_uniform([3, 32, 48, 3], [1, 1], 0, 255)
    together = network(images)["semantic_logits"]
    alone = tf.concat([network(images[i : i + 1])["semantic_logits"] for i in range(3)], 0)
    np.testing.assert_allclose(together, alone, atol=1e-5)


def test_encode_and_refine_give_what_the_whole_call_gives(row):
    network, _ = row
    images = tf.random.stateless_uniform([1, 32, 48, 3], [1, 2], 0, 255)
    features, state = network.encode(images), None
    for _ in range(network.default_iterations):
        state = network.refine(features, state)
    np.testing.assert_allclose(state["canvas"], network(images)["semantic_logits"], atol=1e-6)


def test_a_panoptic_network_has_the_maps_that_the_fusion_reads(row):
    network, _ = row
    is_panoptic = architectures.architecture_of(network.config).is_panoptic
    assert network.is_panoptic is is_panoptic
    features = network.encode(tf.zeros([1, 33, 49, 3]))
    assert is_panoptic == (set(NAMES) <= set(features))
    if is_panoptic:
        assert {features[name].shape[1:3] for name in NAMES} == {features["canvas"].shape[1:3]}
