"""ResNet-V1 against TF-Slim's own; what TF-Slim lacks is tested for consistency."""

import importlib
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.pretrained import load_backbone
from tfseg.backbones.residual import UNITS
from tfseg.backbones.resnet_v1 import IMAGENET_MEAN, plan
from tfseg.errors import InputError

STRIDES = (8, 16, 32)


def build(name, output_stride, multi_grid=(1, 1, 1), padding="symmetric"):
    config = BackboneConfig(name, output_stride=output_stride, multi_grid=multi_grid, padding=padding)
    backbone = backbones.build(config)
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


def random_arrays(shapes, seed=0):
    """Values under TF-Slim's names that keep activations near 1 and batch statistics far from (0, 1)."""
    random = np.random.default_rng(seed)
    draw = {
        "weights": lambda shape: random.normal(0, np.prod(shape[:3]) ** -0.5, shape),
        "gamma": lambda shape: random.uniform(0.3, 1, shape),
        "beta": lambda shape: random.normal(0, 0.2, shape),
        "moving_mean": lambda shape: random.normal(0, 0.2, shape),
        "moving_variance": lambda shape: random.uniform(0.5, 2, shape),
    }
    return {name: draw[name.split("/")[-1]](shape).astype(np.float32) for name, shape in shapes.items()}


def slim_shapes(backbone):
    shapes = {}
    for scope, layer in backbone.convolutions().items():
        shapes[f"{scope}/weights"] = layer.conv.kernel.shape
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            shapes[f"{scope}/BatchNorm/{name}"] = layer.bn.gamma.shape
    return shapes


def write_checkpoint(prefix, arrays):
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=list(arrays), shape_and_slices=[""] * len(arrays), tensors=list(arrays.values())
    )
    return prefix


def images(size):
    return np.random.default_rng(1).uniform(0, 255, (1, *size, 3)).astype(np.float32)


def largest_difference(actual, expected):
    return np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max()


@pytest.fixture(scope="module")
def tf_slim_nets():
    """Imports tf_slim, which looks for TF 1 layers in a place where Keras no longer keeps them."""
    source = f"{keras.layers.Layer.__module__.split('.')[0]}.src.legacy_tf_layers"  # of keras, or of tf_keras
    aliases = {"tf_keras.legacy_tf_layers": importlib.import_module(source)}
    for part in ("base", "convolutional", "core", "normalization", "pooling"):
        aliases[f"tf_keras.legacy_tf_layers.{part}"] = importlib.import_module(f"{source}.{part}")
    with pytest.MonkeyPatch.context() as patch:
        for name, module in aliases.items():
            patch.setitem(sys.modules, name, module)
        yield importlib.import_module("tf_slim.nets.resnet_v1")


def run_tf_slim(nets, depth, strides, inputs, folder):
    """Runs TF-Slim with random weights: ({stride: [endpoints by size]}, path of the checkpoint its Saver wrote)."""
    tf1 = tf.compat.v1
    with tf.Graph().as_default(), tf1.Session() as session, warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*layer.apply. is deprecated")
        image = tf1.placeholder(tf.float32, [1, None, None, 3])
        network = {50: nets.resnet_v1_50, 101: nets.resnet_v1_101}[depth]
        endpoints = {}
        for i, stride in enumerate(strides):
            with importlib.import_module("tf_slim").arg_scope(nets.resnet_arg_scope()):
                _, found = network(
                    image - tf.constant(IMAGENET_MEAN),
                    is_training=False,
                    global_pool=False,
                    output_stride=stride,
                    reuse=i > 0,
                )
            endpoints[stride] = {key.split(f"resnet_v1_{depth}/")[-1]: value for key, value in found.items()}
        variables = {variable.op.name: variable for variable in tf1.global_variables()}
        arrays = random_arrays({name: variable.shape.as_list() for name, variable in variables.items()})
        initializers = {name: variable.initializer for name, variable in variables.items()}
        feed = {initializer.inputs[1]: arrays[name] for name, initializer in initializers.items()}
        session.run(list(initializers.values()), feed)
        outputs = {stride: [session.run(endpoints[stride], {image: batch}) for batch in inputs] for stride in strides}
        return outputs, tf1.train.Saver().save(session, str(folder / "resnet.ckpt"), write_meta_graph=False)


@pytest.fixture(scope="module")
def slim_resnet50(tf_slim_nets, tmp_path_factory):
    inputs = [images((65, 65)), images((64, 50))]
    outputs, path = run_tf_slim(tf_slim_nets, 50, STRIDES, inputs, tmp_path_factory.mktemp("slim"))
    return inputs, outputs, path


@pytest.mark.parametrize("stride", STRIDES)
def test_resnet50_equals_tf_slim_with_its_checkpoint_at_odd_and_even_sizes(slim_resnet50, stride):
    inputs, outputs, path = slim_resnet50
    backbone = build("resnet50_v1", stride)
    report = load_backbone(backbone, path)
    assert len(report.loaded) == 5 * 53 and not report.skipped
    slim_names = {"stride_2": "conv1", "last": "block4"}
    slim_names.update({"stride_4": "block1/unit_2/bottleneck_v1", "stride_8": "block2/unit_3/bottleneck_v1"})
    slim_names.update({"stride_16": "block3/unit_5/bottleneck_v1"})
    for batch, expected in zip(inputs, outputs[stride], strict=True):
        endpoints = backbone(batch)
        assert list(endpoints) == ["stride_2", *[f"stride_{s}" for s in (4, 8, 16) if s <= stride], "last"]
        for key, value in endpoints.items():
            assert largest_difference(value, expected[slim_names[key]]) < 1e-4, key


@pytest.mark.slow
def test_resnet101_equals_tf_slim_at_stride_16(tf_slim_nets, tmp_path):
    inputs = [images((97, 65))]
    outputs, path = run_tf_slim(tf_slim_nets, 101, [16], inputs, tmp_path)
    backbone = build("resnet101_v1", 16)
    load_backbone(backbone, path)
    assert largest_difference(backbone(inputs[0])["last"], outputs[16][0]["block4"]) < 1e-4


def test_resnet101_has_42_4_million_weights_in_104_convolutions():
    convolutions = build("resnet101_v1", 16).convolutions()
    assert len(convolutions) == 1 + 3 * 33 + 4
    assert sum(int(np.prod(layer.conv.kernel.shape)) for layer in convolutions.values()) == 42_394_816


@pytest.mark.slow
def test_beta_stem_loads_by_name_and_its_dense_features_subsample_to_the_coarse_ones(tmp_path):
    """Every second pixel at strides 8 and 16 equals strides 16 and 32, with multi-grid, at a size of 32n + 1."""
    strided = {stride: build("resnet50_v1_beta", stride, multi_grid=(1, 2, 4)) for stride in STRIDES}
    arrays = random_arrays(slim_shapes(strided[8]))
    assert [name for name in arrays if "conv1_" in name and name.endswith("weights")] == [
        "resnet_v1_50/conv1_1/weights",
        "resnet_v1_50/conv1_2/weights",
        "resnet_v1_50/conv1_3/weights",
    ]
    assert arrays["resnet_v1_50/conv1_3/weights"].shape == (3, 3, 64, 128)
    path = write_checkpoint(str(tmp_path / "model.ckpt"), arrays)
    batch, outputs = images((65, 97)), {}
    for stride, backbone in strided.items():
        load_backbone(backbone, path)
        outputs[stride] = backbone(batch)["last"].numpy()
    assert outputs[32].shape == (1, 3, 4, 2048)
    assert largest_difference(outputs[8][:, ::2, ::2], outputs[16]) < 1e-4
    assert largest_difference(outputs[16][:, ::2, ::2], outputs[32]) < 1e-4


def test_each_stem_normalises_as_its_published_weights_expect():
    """An image in the mean colour is 0 after the plain stem's normalisation, a mid-grey one after the beta stem's."""
    for name, zero in (("resnet50_v1", IMAGENET_MEAN), ("resnet50_v1_beta", (127.5, 127.5, 127.5))):
        backbone = build(name, 32)
        outputs = backbone(np.broadcast_to(np.float32(zero), (1, 33, 33, 3)))
        np.testing.assert_allclose(outputs["stride_2"], 0, atol=1e-4)


def test_a_stride_not_taken_becomes_dilation_of_what_follows_it():
    assert [(u.stride, u.dilation) for u in plan(UNITS[50], 16, (1, 2, 4))[-5:]] == [
        (1, 1),  # block3/unit_5
        (1, 1),  # block3/unit_6 gives up its stride
        (1, 2),
        (1, 4),
        (1, 8),
    ]
    rates = [unit.dilation for unit in plan(UNITS[50], 8, (1, 1, 1))]
    assert rates == [1] * 7 + [2] * 6 + [4] * 3


def test_bfloat16_policy_keeps_weights_and_statistics_in_float32():
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16")
    try:
        backbone = build("resnet50_v1_beta", 16)
        outputs = backbone(images((33, 33)), training=True)
    finally:
        tf.keras.mixed_precision.set_global_policy("float32")
    assert outputs["last"].dtype == tf.bfloat16
    assert {weight.dtype for weight in backbone.weights} == {tf.float32}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "resnet19"}, "unknown; one of resnet18,"),
        ({"output_stride": 4}, "8, 16 or 32, not 4"),
        ({"padding": "valid"}, "'same' or 'symmetric'"),
        ({"multi_grid": (1, 0, 1)}, "three factors of at least 1"),
        ({"width_multiplier": 0.5}, "width_multiplier does not apply to resnet101_v1: leave it at 1.0"),
        ({"kernel_size": 5}, "kernel_size does not apply to resnet101_v1"),
    ],
)
def test_a_field_out_of_range_or_of_another_backbone_is_an_input_error(changes, message):
    with pytest.raises(InputError, match=message):
        backbones.build(BackboneConfig(**changes))
