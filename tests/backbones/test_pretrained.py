"""Weights load by name from every format; a file with missing, extra or unfit arrays is refused."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.pretrained import assign, canonical_name, load_backbone
from tfseg.errors import InputError
from tfseg.formats.weight_files import open_weights

STATISTICS = ("gamma", "beta", "moving_mean", "moving_variance")
IMAGES = np.random.default_rng(2).uniform(0, 255, (4, 64, 64, 3)).astype(np.float32)


def build(width=0.25):
    backbone = backbones.build(BackboneConfig("mobilenet_v2", output_stride=16, width_multiplier=width))
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


def slim_arrays(backbone, seed=0):
    """Random weights for `backbone`, in TF-Slim's order and under its names."""
    random, arrays = np.random.default_rng(seed), {}
    for scope, layer in backbone.convolutions().items():
        kernel = layer.conv.weights[0]
        fan_in = np.prod(kernel.shape[:2]) * (kernel.shape[2] if kernel.shape[3] > 1 else 1)
        name = "depthwise_weights" if kernel.shape[3] == 1 else "weights"
        arrays[f"{scope}/{name}"] = random.normal(0, fan_in**-0.5, kernel.shape)
        channels = layer.bn.gamma.shape
        draws = random.uniform(0.5, 1.5, (4, *channels)) * [[1], [0.2], [0.2], [1]]
        arrays.update(
            {f"{scope}/BatchNorm/{statistic}": draw for statistic, draw in zip(STATISTICS, draws, strict=True)}
        )
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def write_checkpoint(prefix, arrays):
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(arrays),
        shape_and_slices=[""] * len(arrays),
        tensors=list(arrays.values()),
    )
    return str(prefix)


def write_npz(path, arrays):
    np.savez(path, **arrays)
    return str(path)


@pytest.fixture(scope="module")
def arrays():
    return slim_arrays(build())


@pytest.fixture(scope="module")
def reference(arrays, tmp_path_factory):
    """A backbone with the weights `arrays`."""
    backbone = build()
    load_backbone(backbone, write_npz(tmp_path_factory.mktemp("weights") / "slim.npz", arrays))
    return backbone


def outputs(backbone, training=False):
    return backbone(IMAGES, training=training)["last"].numpy()


def test_slim_checkpoint_loads_from_its_prefix_index_or_folder_under_any_prefix(arrays, reference, tmp_path):
    path = write_checkpoint(tmp_path / "model.ckpt-9", {f"clone/{name}": array for name, array in arrays.items()})
    for form in (path, path + ".index", str(tmp_path)):
        backbone = build()
        assert len(load_backbone(backbone, form).loaded) == len(arrays) == 5 * 51
        np.testing.assert_array_equal(outputs(backbone), outputs(reference))


def test_slim_checkpoint_of_the_first_format_is_one_file(arrays, reference, tmp_path):
    path = str(tmp_path / "mobilenet.ckpt")
    tf.raw_ops.Save(filename=path, tensor_names=list(arrays), data=list(arrays.values()))
    backbone = build()
    load_backbone(backbone, path)
    np.testing.assert_array_equal(outputs(backbone), outputs(reference))


def test_head_classifier_and_optimizer_are_left_out_and_reported(arrays, tmp_path):
    extra = {
        "global_step": np.int64(30000),
        "aspp1_depthwise/depthwise_weights": np.zeros([3, 3, 8, 1], np.float32),
        "image_pooling/BatchNorm/gamma": np.zeros([256], np.float32),
        "logits/semantic/weights": np.zeros([1, 1, 256, 21], np.float32),
        "MobilenetV2/Conv_1/weights": np.zeros([1, 1, 80, 1280], np.float32),
        "MobilenetV2/Conv/weights/Momentum": np.zeros([3, 3, 3, 8], np.float32),
        "MobilenetV2/Conv/BatchNorm/moving_mean/ExponentialMovingAverage": np.zeros([8], np.float32),
    }
    report = load_backbone(build(), write_checkpoint(tmp_path / "model.ckpt", {**arrays, **extra}))
    assert report.skipped.keys() == extra.keys()
    count = sum(array.size for array in arrays.values())
    assert report.summary() == f"{tmp_path / 'model.ckpt'}: 255 arrays loaded ({count:,} values), 7 left out"
    assert "left out  [1, 1, 256, 21]      logits/semantic/weights" in str(report)
    assert "loaded    [3, 3, 3, 8]         MobilenetV2/Conv/weights" in str(report)


@pytest.mark.parametrize("extension", ["h5", "keras"])
def test_keras_applications_weights_load_and_give_keras_outputs(extension, tmp_path):
    model = keras.applications.MobileNetV2((96, 96, 3), 0.35, include_top=False, weights=None)
    path = str(tmp_path / f"mobilenet.{extension}")
    model.save_weights(path) if extension == "h5" else model.save(path)
    backbone = backbones.build(BackboneConfig("mobilenet_v2", output_stride=32, width_multiplier=0.35))
    report = load_backbone(backbone, path)
    assert len(report.loaded) == 255
    assert {name.split("/")[0] for name in report.skipped} == {"Conv_1", "Conv_1_bn"}
    features = keras.Model(model.input, model.get_layer("block_16_project_BN").output)
    image = np.resize(IMAGES[:1], (1, 96, 96, 3))
    np.testing.assert_allclose(backbone(image)["last"], features(image / 127.5 - 1), atol=1e-6)


def folded(arrays, keras_names):
    """Folds gamma / sqrt(variance + eps) into the kernel and the rest into a bias."""
    result = {}
    for name, kernel in arrays.items():
        if not name.endswith("weights"):
            continue
        scope = name.rsplit("/", 1)[0]
        gamma, beta, mean, variance = (arrays[f"{scope}/BatchNorm/{statistic}"] for statistic in STATISTICS)
        scale = gamma / np.sqrt(variance + 1e-3)
        layer = scope.replace("MobilenetV2/", "").replace("expanded_conv_", "block_").replace("/", "_")
        layer = "Conv1" if layer == "Conv" else layer
        names = (f"{layer}/kernel", f"{layer}/bias") if keras_names else (name, f"{scope}/biases")
        result[names[0]] = kernel * (scale[:, None] if name.endswith("depthwise_weights") else scale)
        result[names[1]] = beta - mean * scale
    return result


@pytest.mark.parametrize("keras_names", [True, False])
def test_folded_weights_are_unfolded_by_measurement(keras_names, arrays, reference, tmp_path):
    path = write_npz(tmp_path / "folded.npz", folded(arrays, keras_names))
    backbone = build()
    with pytest.raises(InputError, match="folded into its kernels; unfolding it needs images"):
        load_backbone(backbone, path)
    load_backbone(backbone, path, calibration_images=IMAGES)
    expected = outputs(reference)
    assert np.abs(expected).max() > 0.3
    np.testing.assert_allclose(outputs(backbone), expected, atol=1e-4)
    np.testing.assert_allclose(outputs(backbone, training=True), expected, atol=1e-3)
    # With statistics that do not belong to the images, training starts from other outputs.
    load_backbone(backbone, write_npz(tmp_path / "slim.npz", arrays))
    assert np.abs(outputs(backbone, training=True) - expected).max() > 0.1


def test_unfolding_gives_the_stem_the_mean_and_variance_of_its_convolution(arrays, tmp_path):
    backbone = build()
    load_backbone(backbone, write_npz(tmp_path / "folded.npz", folded(arrays, False)), IMAGES)
    convolved = backbone.stem.conv(tf.constant(IMAGES / 127.5 - 1)).numpy()
    np.testing.assert_allclose(backbone.stem.bn.moving_mean, convolved.mean((0, 1, 2)), atol=1e-5)
    np.testing.assert_allclose(backbone.stem.bn.moving_variance, convolved.var((0, 1, 2)), rtol=1e-4)


def change(arrays, kind):
    first = "MobilenetV2/expanded_conv_1/project/weights"
    if kind == "missing":
        return {name: array for name, array in arrays.items() if name != first}
    if kind == "unknown":
        return {**arrays, "MobilenetV2/expanded_conv_17/project/weights": arrays[first]}
    if kind == "of another shape":
        return {**arrays, first: np.zeros([1, 1, 48, 9], np.float32)}
    if kind == "held twice":
        return {**arrays, f"tower_1/{first}": arrays[first]}
    return {**arrays, first: np.full_like(arrays[first], np.nan)}


@pytest.mark.parametrize("kind", ["missing", "unknown", "of another shape", "held twice", "not finite"])
def test_what_does_not_fit_is_named_and_nothing_is_changed(kind, arrays, tmp_path):
    backbone = build()
    before = outputs(backbone)
    path = write_npz(tmp_path / "weights.npz", change(arrays, kind))
    with pytest.raises(InputError, match=rf"1 {kind} \(MobilenetV2/expanded_conv_1") as error:
        load_backbone(backbone, path)
    assert (", 48, 9], not [1, 1, 48, 8]" in str(error.value)) == (kind == "of another shape")
    np.testing.assert_array_equal(outputs(backbone), before)


def test_another_width_is_refused_with_the_first_name_of_many(arrays, tmp_path):
    with pytest.raises(InputError, match=r"\d+ of another shape \(MobilenetV2/Conv/weights .+ and \d+ more\)$"):
        load_backbone(build(width=1.0), write_npz(tmp_path / "narrow.npz", arrays))


def test_weights_of_another_network_are_refused_with_an_example_of_the_names_expected(tmp_path):
    path = write_npz(tmp_path / "other.npz", {"resnet_v1_50/conv1/weights": np.zeros([7, 7, 3, 64], np.float32)})
    with pytest.raises(
        InputError, match="no array of MobilenetV2; expected names like MobilenetV2/Conv/weights, found resnet_v1_50"
    ):
        load_backbone(build(), path)


def test_canonical_names():
    assert canonical_name("clone_0/resnet_v1_50/conv1/weights", {"resnet_v1_50"}) == "resnet_v1_50/conv1/weights"
    assert canonical_name("MobilenetV2/expanded_conv/depthwise/depthwise_weights") == (
        "MobilenetV2/expanded_conv/depthwise/weights"
    )
    assert canonical_name("model_weights/block_1_depthwise/block_1_depthwise/depthwise_kernel:0") == (
        "block_1_depthwise/kernel"
    )


def test_assign_reads_a_head_by_name(tmp_path):
    path = write_npz(tmp_path / "head.npz", {"aspp0/weights": np.full([1, 1, 2, 3], 4, np.float16)})
    variable = tf.Variable(tf.zeros([1, 1, 2, 3]))
    assert assign(open_weights(path), {"aspp0/weights": variable}).loaded == {"aspp0/weights": (1, 1, 2, 3)}
    np.testing.assert_array_equal(variable, np.full([1, 1, 2, 3], 4))


def test_weights_of_3x3_kernels_start_a_backbone_of_wider_ones_with_the_same_outputs(arrays, reference, tmp_path):
    config = BackboneConfig("mobilenet_v2", width_multiplier=0.25, kernel_size=5, stem_kernel_size=5)
    wide = backbones.build(config)
    report = load_backbone(wide, write_npz(tmp_path / "slim.npz", arrays))
    np.testing.assert_allclose(outputs(wide), outputs(reference), atol=1e-4)
    # The stem and 17 depthwise convolutions.
    assert report.num_padded == 18
    assert report.summary().endswith("values), 18 kernels centred in larger ones, 0 left out")


@pytest.mark.parametrize("shape", [(1, 1, 8, 4), (2, 2, 8, 4), (3, 1, 8, 4), (7, 7, 8, 4), (3, 3, 4, 8), (3, 3, 32)])
def test_kernels_that_are_no_narrower_form_of_a_variable_are_refused(shape, tmp_path):
    file = open_weights(write_npz(tmp_path / "head.npz", {"head/kernel": np.ones(shape, np.float32)}))
    with pytest.raises(InputError, match="1 of another shape"):
        assign(file, {"head/kernel": tf.Variable(tf.zeros([5, 5, 8, 4]))})
