"""ResNets of torchvision and Keras applications, compared with Keras' own and with one computed here by its names."""

import json

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import images, randomize
from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.pretrained import load_backbone
from tfseg.backbones.residual import UNITS, WIDTHS
from tfseg.errors import InputError

STRIDES = (8, 16, 32)
EPSILON = 1e-5
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def build(name, output_stride=32, padding="symmetric"):
    backbone = backbones.build(BackboneConfig(name, output_stride, padding=padding))
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


def difference(actual, expected):
    return np.abs(np.asarray(actual) - expected).max() / np.abs(expected).max()


def torchvision_arrays(depth, seed=0):
    """Random weights of a torchvision ResNet under its names, kernels [out, in, height, width], its classifier too."""
    random, arrays = np.random.default_rng(seed), {}

    def add(conv, norm, outputs, inputs, side):
        shape = (outputs, inputs, side, side)
        arrays[f"{conv}.weight"] = random.normal(0, (inputs * side**2) ** -0.5, shape)
        arrays[f"{norm}.weight"], arrays[f"{norm}.running_var"] = random.uniform(0.5, 1.5, (2, outputs))
        arrays[f"{norm}.bias"], arrays[f"{norm}.running_mean"] = random.normal(0, 0.2, (2, outputs))

    add("conv1", "bn1", 64, 3, 7)
    inputs = 64
    for stage, (width, count) in enumerate(zip(WIDTHS, UNITS[depth], strict=True), 1):
        outputs = width if depth < 50 else 4 * width
        sides = (
            [(width, width, 3), (width, width, 3)]
            if depth < 50
            else [(width, 0, 1), (width, width, 3), (outputs, width, 1)]
        )
        for unit in range(count):
            place = f"layer{stage}.{unit}"
            for index, (filters, channels, side) in enumerate(sides, 1):
                add(f"{place}.conv{index}", f"{place}.bn{index}", filters, inputs if index == 1 else channels, side)
            if unit == 0 and inputs != outputs:
                add(f"{place}.downsample.0", f"{place}.downsample.1", outputs, inputs, 1)
            inputs = outputs
    arrays |= {"fc.weight": np.zeros([10, inputs]), "fc.bias": np.zeros([10])}
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def conv_norm(arrays, conv, norm, inputs, stride):
    """Convolution with torchvision's padding, k // 2 on every side, and normalisation in inference."""
    kernel = arrays[f"{conv}.weight"].transpose(2, 3, 1, 0)
    margin = kernel.shape[0] // 2
    outputs = tf.nn.conv2d(inputs, kernel, stride, [[0, 0], [margin] * 2, [margin] * 2, [0, 0]])
    scale = arrays[f"{norm}.weight"] / np.sqrt(arrays[f"{norm}.running_var"] + EPSILON)
    return (outputs - arrays[f"{norm}.running_mean"]) * scale + arrays[f"{norm}.bias"]


def torchvision_stages(arrays, image):
    """The outputs of a torchvision ResNet's four stages, from its definition and its arrays."""
    values = ((image / 255 - MEAN) / DEVIATION).astype(np.float32)
    values = tf.nn.relu(conv_norm(arrays, "conv1", "bn1", values, 2))
    values = tf.nn.max_pool2d(values, 3, 2, [[0, 0], [1, 1], [1, 1], [0, 0]])
    for stage in range(1, 5):
        unit = 0
        while f"layer{stage}.{unit}.conv1.weight" in arrays:
            place, stride = f"layer{stage}.{unit}", 2 if stage > 1 and unit == 0 else 1
            has_bottleneck = f"{place}.conv3.weight" in arrays
            shortcut, strided = values, 2 if has_bottleneck else 1
            if f"{place}.downsample.0.weight" in arrays:
                shortcut = conv_norm(arrays, f"{place}.downsample.0", f"{place}.downsample.1", values, stride)
            last = 3 if has_bottleneck else 2
            for index in range(1, last + 1):
                step = stride if index == strided else 1
                values = conv_norm(arrays, f"{place}.conv{index}", f"{place}.bn{index}", values, step)
                values = tf.nn.relu(values + shortcut if index == last else values)
            unit += 1
        yield values.numpy()


def write_safetensors(path, arrays):
    header, buffer = {}, b""
    for name, array in arrays.items():
        offsets = [len(buffer), len(buffer) + array.nbytes]
        header[name] = {"dtype": "F32", "shape": list(array.shape), "data_offsets": offsets}
        buffer += array.tobytes()
    content = json.dumps(header).encode()
    path.write_bytes(len(content).to_bytes(8, "little") + content + buffer)
    return path


@pytest.mark.parametrize(("name", "depth"), [("resnet18", 18), ("resnet50_v1_5", 50)])
def test_torchvisions_weights_give_torchvisions_stages_at_even_and_odd_sizes(name, depth, tmp_path):
    arrays, backbone = torchvision_arrays(depth), build(name)
    report = load_backbone(backbone, write_safetensors(tmp_path / "resnet.safetensors", arrays))
    assert len(report.loaded) == len(arrays) - 2 and report.skipped.keys() == {"fc.weight", "fc.bias"}
    for size in ((64, 96), (65, 49)):
        endpoints = backbone(images(*size))
        stages = [endpoints[key] for key in ("stride_4", "stride_8", "stride_16", "last")]
        for actual, expected in zip(stages, torchvision_stages(arrays, images(*size)), strict=True):
            assert difference(actual, expected) < 1e-4


def check_against_keras(name, model, tmp_path, write):
    """Compares all stages with a Keras model of random weights, whose file `write` writes."""
    randomize(model)
    backbone = build(name)
    load_backbone(backbone, write(tmp_path))
    taps = [f"conv{stage}_block{count}_out" for stage, count in enumerate(UNITS[backbone.depth], 2)]
    reference = keras.Model(model.input, [model.get_layer(tap).output for tap in taps])
    image = images(64, 64)
    expected = reference(keras.applications.resnet.preprocess_input(image.copy()))
    endpoints = backbone(image)
    for key, stage in zip(("stride_4", "stride_8", "stride_16", "last"), expected, strict=True):
        assert difference(endpoints[key], stage) < 1e-4, key


@pytest.mark.parametrize("form", ["h5", pytest.param("npz", marks=pytest.mark.slow)])
def test_keras_applications_weights_give_keras_stages_though_ours_have_no_biases(form, tmp_path):
    model = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(64, 64, 3))
    assert model.get_layer("conv1_conv").use_bias

    def write(folder):
        path = folder / f"resnet50.{form}"
        if form == "h5":
            model.save_weights(path)
        else:
            np.savez(path, **{weight.name.removesuffix(":0"): weight.numpy() for weight in model.weights})
        return path

    check_against_keras("resnet50_keras", model, tmp_path, write)


@pytest.mark.slow
def test_resnet101_equals_that_of_keras_applications(tmp_path):
    model = keras.applications.ResNet101(include_top=False, weights=None, input_shape=(64, 64, 3))

    def write(folder):
        model.save_weights(folder / "resnet101.h5")
        return folder / "resnet101.h5"

    check_against_keras("resnet101_keras", model, tmp_path, write)


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("resnet18", 11_176_512),
        ("resnet34", 21_284_672),
        ("resnet50_v1_5", 23_508_032),
        pytest.param("resnet101_v1_5", 42_500_160, marks=pytest.mark.slow),
        pytest.param(
            "resnet50_keras", 23_508_032, marks=pytest.mark.slow
        ),  # Keras counts 26,560 more: biases that normalisation takes away
    ],
)
def test_parameters_are_those_of_torchvision_without_the_classifier(name, count):
    backbone = backbones.build(BackboneConfig(name, 32))
    backbone(keras.Input([64, 64, 3]))
    assert sum(np.prod(variable.shape) for variable in backbone.trainable_variables) == count


@pytest.mark.parametrize("name", ["resnet18", "resnet50_v1_5", pytest.param("resnet50_keras", marks=pytest.mark.slow)])
def test_dense_features_subsample_to_the_coarse_ones(name):
    """Every second pixel at strides 8 and 16 equals strides 16 and 32, at a size of 32n + 1."""
    strided = {stride: build(name, stride) for stride in STRIDES}
    randomize(strided[32])
    for stride in (8, 16):
        strided[stride].set_weights(strided[32].get_weights())
    outputs = {stride: backbone(images(65, 97)) for stride, backbone in strided.items()}
    assert list(outputs[16]) == ["stride_2", "stride_4", "stride_8", "stride_16", "last"]
    assert list(outputs[8]) == ["stride_2", "stride_4", "stride_8", "last"]
    last = {stride: found["last"].numpy() for stride, found in outputs.items()}
    assert last[32].shape[1:3] == (3, 4)
    assert difference(last[8][:, ::2, ::2], last[16]) < 1e-4
    assert difference(last[16][:, ::2, ::2], last[32]) < 1e-4


@pytest.mark.parametrize("padding", ["same", "symmetric"])
def test_maps_have_their_strides_with_either_padding(padding):
    endpoints = build("resnet18", padding=padding)(images(50, 64))
    shapes = {key: value.shape[1:] for key, value in endpoints.items()}
    assert shapes == {
        "stride_2": (25, 32, 64),
        "stride_4": (13, 16, 64),
        "stride_8": (7, 8, 128),
        "stride_16": (4, 4, 256),
        "last": (2, 2, 512),
    }


def changed(arrays, kind):
    name = "layer2.0.conv1.weight"
    if kind == "missing":
        return {other: array for other, array in arrays.items() if other != name}
    if kind == "unknown":
        return arrays | {"layer2.5.conv1.weight": arrays[name]}
    return arrays | {name: arrays[name][:, :5]}


@pytest.mark.parametrize("kind", ["missing", "unknown", "of another shape"])
def test_what_does_not_fit_is_named_by_torchvisions_names(kind, tmp_path):
    np.savez(tmp_path / "resnet.npz", **changed(torchvision_arrays(18), kind))
    with pytest.raises(InputError, match=rf"1 {kind} \(layer2\.\d\.conv1\.weight"):
        load_backbone(build("resnet18"), tmp_path / "resnet.npz")


def test_a_prefix_before_all_names_and_counters_of_batches_do_no_harm(tmp_path):
    arrays = {f"module.{name}": array for name, array in torchvision_arrays(18).items()}
    np.savez(tmp_path / "resnet.npz", **arrays, **{"module.bn1.num_batches_tracked": np.int64(7)})
    report = load_backbone(build("resnet18"), tmp_path / "resnet.npz")
    assert sorted(report.skipped) == ["bn1.num_batches_tracked", "fc.bias", "fc.weight"]


@pytest.mark.parametrize(
    ("backbone", "stem", "advice"),
    [
        ("resnet50_v1_5", "conv1_conv/kernel", "weights of Keras applications, .*: take --backbone=resnet50_keras"),
        ("resnet50_keras", "layer1.0.conv1.weight", "weights of torchvision, .*: take --backbone=resnet50_v1_5"),
        ("resnet18", "conv1_conv/kernel", "Keras applications has none of this depth"),
        ("resnet18", "stem/kernel", "no array of resnet18; expected names like conv1.weight, found stem/kernel"),
    ],
)
def test_weights_for_a_stride_in_another_place_are_refused_with_the_backbone_to_take(backbone, stem, advice, tmp_path):
    np.savez(tmp_path / "other.npz", **{stem: np.zeros([7, 7, 3, 64], np.float32)})
    with pytest.raises(InputError, match=advice):
        load_backbone(backbones.build(BackboneConfig(backbone, 32)), tmp_path / "other.npz")


def test_the_family_has_no_multi_grid_and_no_inner_maps():
    with pytest.raises(InputError, match="multi_grid does not apply to resnet18"):
        backbones.build(BackboneConfig("resnet18", multi_grid=(1, 1, 1)))
    with pytest.raises(InputError, match="resnet18 returns only the outputs of blocks"):
        backbones.build(BackboneConfig("resnet18"), endpoints="inner")
