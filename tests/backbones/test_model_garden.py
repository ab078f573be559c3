"""Checkpoints of Model Garden give our backbones the maps of its own, however they were saved; others are refused."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from tensorflow import keras

from tests.backbones import garden_networks
from tests.backbones.garden_files import arrays_of, write_objects
from tests.backbones.random_weights import images, randomize
from tests.backbones.test_resnet import difference
from tests.training.toy_run import toy_config
from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.backbones.mobilenet_v2 import plan
from tfseg.backbones.origins import MODEL_GARDEN, SLIM
from tfseg.backbones.pretrained import load_backbone
from tfseg.errors import InputError
from tfseg.formats.object_graph import GRAPH
from tfseg.training import train

MOBILENET, RESNET = "mobilenet_v2_model_garden", "resnet50_model_garden"
SIZES = ((64, 64), (65, 97))
WIDTH = 0.35


def build(name=MOBILENET, output_stride=16, **fields):
    if name.startswith("mobilenet"):
        fields = {"width_multiplier": WIDTH} | fields
    backbone = backbones.build(BackboneConfig(name, output_stride, **fields))
    backbone(tf.zeros([1, 33, 33, 3]))
    return backbone


def image(size):
    return np.floor(images(*size))  # photographs have whole numbers, as Model Garden's normalisation wants


def check_maps(backbone, theirs, sizes=SIZES):
    """Compares all maps of one of our backbones with those of a backbone of Model Garden."""
    check_equal(backbone, {size: garden_networks.maps(theirs, image(size)) for size in sizes})


def check_equal(backbone, expected):
    """Compares all maps of one of our backbones with {size: {endpoint: map}}."""
    for size, maps in expected.items():
        actual = backbone(image(size))
        assert actual.keys() <= maps.keys() and "last" in actual
        for key, value in actual.items():
            assert difference(value, maps[key]) < 1e-4, (key, size)


@pytest.fixture(scope="module")
def deeplab():
    """Model Garden's DeepLabV3+ on MobileNetV2 at output stride 16."""
    return garden_networks.deeplab(WIDTH)


@pytest.fixture(scope="module")
def deeplab_maps(deeplab):
    """{size: {endpoint: map}} of its backbone."""
    return {size: garden_networks.maps(deeplab.backbone, image(size)) for size in SIZES}


def save_model(network, folder):
    return tf.train.Checkpoint(model=network).save(folder / "ckpt")


def save_backbone(network, folder):
    return tf.train.Checkpoint(backbone=network.backbone).write(folder / "backbone")


def save_items(network, folder):
    return tf.train.Checkpoint(**network.checkpoint_items).write(folder / "items") + ".index"


def save_classifier(network, folder):
    return tf.train.Checkpoint(model=garden_networks.classifier(network.backbone)).write(folder / "classifier")


def save_weights(network, folder):
    network.backbone.save_weights(folder / "weights")
    return folder / "weights"


def save_training(optimizer):
    def save(network, folder):
        """What Model Garden's trainer writes: a folder of numbered checkpoints, the last one named in `checkpoint`."""
        gradients = [tf.zeros_like(variable) for variable in network.trainable_variables]
        optimizer.apply_gradients(zip(gradients, network.trainable_variables, strict=True))
        items = network.checkpoint_items | {"optimizer": optimizer, "global_step": tf.Variable(20)}
        manager = tf.train.CheckpointManager(tf.train.Checkpoint(model=network, **items), folder, max_to_keep=2)
        manager.save(10)
        manager.save(20)
        return folder

    return save


@pytest.mark.parametrize(
    "save",
    [
        save_model,
        save_backbone,
        save_items,
        save_classifier,
        save_weights,
        pytest.param(save_training(keras.optimizers.SGD(momentum=0.9)), id="save_training"),
        pytest.param(save_training(keras.optimizers.legacy.Adam()), id="save_training_with_slots"),
    ],
)
def test_each_way_to_save_a_network_gives_the_same_maps_at_even_and_odd_sizes(save, deeplab, deeplab_maps, tmp_path):
    backbone = build()
    report = load_backbone(backbone, save(deeplab, tmp_path))
    assert len(report.loaded) == 5 * 51  # kernel, gamma, beta, moving mean and variance of 51 convolutions
    assert any("layer_with_weights-18/_conv0/kernel" in name for name in report.skipped)  # the classifier's
    check_equal(backbone, deeplab_maps)


@pytest.mark.parametrize("output_stride", [pytest.param(8, marks=pytest.mark.slow), 32])
def test_mobilenet_v2_equals_model_gardens_at_other_output_strides(output_stride, tmp_path):
    theirs, backbone = garden_networks.mobilenet(WIDTH, output_stride), build(output_stride=output_stride)
    load_backbone(backbone, tf.train.Checkpoint(backbone=theirs).write(tmp_path / "ckpt"))
    check_maps(backbone, theirs)


def test_only_in_model_gardens_network_the_block_whose_stride_is_not_taken_is_dilated_itself():
    def dilations(output_stride, origin):
        return [block.dilation for block in plan(output_stride, 1.0, dilates_at_once=origin.dilates_at_once)]

    assert dilations(16, SLIM) == [1] * 14 + [2] * 3
    assert dilations(16, MODEL_GARDEN) == [1] * 13 + [2] * 4
    assert dilations(8, MODEL_GARDEN) == [1] * 6 + [2] * 8 + [4] * 3


@pytest.mark.slow
def test_mobilenet_v2_of_full_width_equals_model_gardens(tmp_path):
    theirs, backbone = garden_networks.mobilenet(1.0), build(output_stride=32, width_multiplier=1.0)
    load_backbone(backbone, tf.train.Checkpoint(model=theirs).write(tmp_path / "ckpt"))
    check_maps(backbone, theirs, [(224, 224), (129, 161)])


SLOW_RESNETS = ((50, None), (50, 8), (101, None), (101, 16))
RESNETS = [(50, 16), *(pytest.param(*resnet, marks=pytest.mark.slow) for resnet in SLOW_RESNETS)]


@pytest.mark.parametrize(("depth", "output_stride"), RESNETS)
def test_resnets_equal_model_gardens_strided_and_dilated(depth, output_stride, tmp_path):
    theirs = garden_networks.resnet(depth, output_stride)
    backbone = build(f"resnet{depth}_model_garden", output_stride or 32)
    report = load_backbone(backbone, tf.train.Checkpoint(backbone=theirs).write(tmp_path / "ckpt"))
    assert len(report.loaded) == len(theirs.weights) and not report.skipped
    check_maps(backbone, theirs)


@pytest.mark.slow
def test_inner_maps_are_model_gardens_intermediate_endpoints(tmp_path):
    theirs = garden_networks.mobilenet(WIDTH, output_intermediate_endpoints=True)
    backbone = backbones.build(BackboneConfig(MOBILENET, 32, width_multiplier=WIDTH), endpoints="inner")
    load_backbone(backbone, tf.train.Checkpoint(backbone=theirs).write(tmp_path / "ckpt"))
    expected = theirs(garden_networks.normalize_image(tf.cast(image((64, 96)), tf.uint8)))
    endpoints = backbone(image((64, 96)))
    for key, level in (("stride_4", 2), ("stride_8", 3), ("stride_16", 4)):
        assert difference(endpoints[key], expected[f"{level}/depthwise"]) < 1e-4


@pytest.fixture(scope="module")
def backbone():
    """A backbone of ours with random weights."""
    layer = build()
    randomize(layer)
    return layer


@pytest.fixture(scope="module")
def arrays(backbone):
    """Its weights as Model Garden saves them, with the last layer, which is the classifier's."""
    last = "layer_with_weights-18/_conv0/kernel"
    return arrays_of(backbone) | {last: np.zeros([1, 1, 112, 1280], np.float32)}


@pytest.fixture(scope="module")
def checkpoint(arrays, tmp_path_factory):
    """A checkpoint of them."""
    folder = tmp_path_factory.mktemp("checkpoint")
    return write_objects(folder / "ckpt", {f"model/backbone/{path}": array for path, array in arrays.items()})


@pytest.fixture
def copied(checkpoint, tmp_path):
    """A copy of this checkpoint in a folder of its own."""
    for path in Path(checkpoint).parent.glob("ckpt.*"):
        shutil.copy(path, tmp_path)
    return str(tmp_path / "ckpt")


def write_params(folder, **norm_activation):
    lines = "".join(f"      {key}: {value}\n" for key, value in norm_activation.items())
    (folder / "params.yaml").write_text(f"task:\n  model:\n    norm_activation:\n{lines}runtime:\n  num_gpus: 0\n")


@pytest.mark.parametrize("epsilon", [1e-5, pytest.param(1e-2, marks=pytest.mark.slow)])
def test_another_epsilon_in_params_yaml_changes_scale_and_variance_so_that_maps_stay_equal(epsilon, tmp_path):
    theirs = garden_networks.mobilenet(WIDTH, norm_epsilon=epsilon)
    for weight in theirs.weights:  # some variances are smaller than the difference of the epsilons
        if weight.name.endswith("moving_variance:0"):
            weight.assign(weight * np.resize([1, 1e-4, 1e-3], weight.shape))
        elif weight.name.endswith("gamma:0"):
            weight.assign(weight * np.resize([1, 1e-2, 0.03], weight.shape))
    path, backbone = tf.train.Checkpoint(backbone=theirs).write(tmp_path / "ckpt"), build(output_stride=32)
    load_backbone(backbone, path)
    actual, expected = backbone(image((64, 64)))["last"], garden_networks.maps(theirs, image((64, 64)))["last"]
    assert difference(actual, expected) > 1e-3
    write_params(tmp_path, norm_epsilon=epsilon, activation="relu")
    load_backbone(backbone, path)
    check_maps(backbone, theirs, [(64, 64)])


def resnet_arrays(units, stem=("layer_with_weights-0",)):
    """Names of a ResNet's layers, with arrays of no use."""
    arrays = {}
    for layer in stem:
        index = int(layer.rpartition("-")[2])
        arrays |= {f"{layer}/kernel": np.ones(1), f"layer_with_weights-{index + 1}/gamma": np.ones(1)}
    index = 2 * len(stem)
    for count in units:
        for unit in range(count):
            convolutions = ("_conv1", "_conv2", "_conv3", *(["_shortcut"] if unit == 0 else []))
            arrays |= {f"layer_with_weights-{index}/{name}/kernel": np.ones(1) for name in convolutions}
            index += 1
    return arrays


BETA_STEM = tuple(f"layer_with_weights-{index}" for index in (0, 2, 4))
OTHER_NETWORKS = {
    "other depth": (RESNET, resnet_arrays((3, 4, 23, 3)), "holds ResNet-101 .+: take --backbone=resnet101_model_gard"),
    "depth of none": (RESNET, resnet_arrays((3, 8, 36, 3)), "a ResNet of another form, with 3, 8, 36, 3 units"),
    "other stem": (RESNET, resnet_arrays((3, 4, 6, 3), BETA_STEM), "a ResNet with a stem of several convolutions"),
    "other family": (RESNET, None, "holds MobileNetV2 .+: take --backbone=mobilenet_v2_model_garden"),
    "other origin": ("mobilenet_v2", None, "holds MobileNetV2 .+: take --backbone=mobilenet_v2_model_garden"),
    "no such form": ("xception_71", resnet_arrays((3, 4, 6, 3)), "ResNet-50 .+: take --backbone=resnet50_model_garden"),
    "torchvision's": ("resnet50_v1_5", resnet_arrays((3, 4, 6, 3)), "take --backbone=resnet50_model_garden"),
}


@pytest.mark.parametrize("kind", OTHER_NETWORKS)
def test_another_network_is_refused_with_the_backbone_to_take_if_there_is_one(kind, checkpoint, tmp_path):
    name, arrays, message = OTHER_NETWORKS[kind]
    path = checkpoint
    if arrays:
        path = write_objects(tmp_path / "ckpt", {f"model/backbone/{place}": array for place, array in arrays.items()})
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(backbones.build(BackboneConfig(name, 32)), path)
    assert len(str(caught.value).removeprefix(path)) < 200


def test_a_resnet_of_another_activation_is_refused_if_params_yaml_notes_it(tmp_path):
    write_params(tmp_path, activation="swish")
    path = write_objects(tmp_path / "ckpt", resnet_arrays((3, 4, 6, 3)))
    with pytest.raises(InputError, match=r"was trained with swish \(params.yaml beside it\), and .+ have relu"):
        load_backbone(backbones.build(BackboneConfig(RESNET, 32)), path)


def change(arrays, kind):
    name = "layer_with_weights-2/_conv2/kernel"
    if kind == "missing":
        gamma = name.replace("_conv2/kernel", "_norm2/gamma")
        return {place: array for place, array in arrays.items() if place != gamma}
    if kind == "unknown":
        return arrays | {name.replace("kernel", "bias"): np.zeros(8, np.float32)}
    if kind == "not finite":
        return arrays | {name: np.full_like(arrays[name], np.nan)}
    wide = {"width": np.zeros([1, 1, 48, 24], np.float32), "kernel": np.zeros([5, 5, 48, 8], np.float32)}
    return arrays | {name: wide[kind]}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("missing", r"1 missing \(layer_with_weights-2/_norm2/gamma\)"),
        ("unknown", r"1 unknown \(layer_with_weights-2/_conv2/bias\)"),
        ("not finite", r"1 not finite \(layer_with_weights-2/_conv2/kernel\)"),
        ("width", r"of another shape \(layer_with_weights-2/_conv2/kernel \[1, 1, 48, 24\], not \[1, 1, 48, 8\]\)"),
        ("kernel", r"of another shape \(layer_with_weights-2/_conv2/kernel \[5, 5, 48, 8\], not \[1, 1, 48, 8\]\)"),
    ],
)
def test_the_tensor_that_does_not_fit_is_named_and_nothing_is_changed(kind, message, backbone, arrays, tmp_path):
    before = [weight.numpy() for weight in backbone.weights]
    with pytest.raises(InputError, match=message):
        load_backbone(backbone, write_objects(tmp_path / "ckpt", change(arrays, kind)))
    for weight, value in zip(backbone.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)


def test_another_width_names_the_first_tensor_that_does_not_fit(checkpoint):
    first = r"layer_with_weights-0/_conv0/kernel \[3, 3, 3, 16\], not \[3, 3, 3, 24\]"
    with pytest.raises(InputError, match=rf"255 of another shape \({first} and 254 more\)$"):
        load_backbone(build(width_multiplier=0.75), checkpoint)


def test_a_checkpoint_without_a_backbone_is_refused_with_what_its_root_has(backbone, tmp_path):
    arrays = {"head/kernel": np.ones(3), "model/layer_with_weights-0/kernel": np.ones(3), "step": np.int64(3)}
    with pytest.raises(InputError, match="no backbone of Model Garden in this checkpoint, whose root has head, model,"):
        load_backbone(backbone, write_objects(tmp_path / "ckpt", arrays))


def test_two_backbones_in_a_checkpoint_are_refused(backbone, tmp_path):
    units = {f"{one}/{path}": array for one in ("a", "b") for path, array in resnet_arrays((1, 1, 1, 1)).items()}
    with pytest.raises(InputError, match="2 backbones in this checkpoint, a, b; save one of them"):
        load_backbone(backbone, write_objects(tmp_path / "ckpt", units))


@pytest.mark.parametrize(("name", "advice"), [(MOBILENET, "mobilenet_v2"), (RESNET, "resnet50_v1_5")])
def test_weights_of_others_do_not_fit_these_backbones(name, advice, tmp_path):
    np.savez(tmp_path / "weights.npz", **{"MobilenetV2/Conv/weights": np.zeros([3, 3, 3, 16], np.float32)})
    with pytest.raises(InputError, match=f"npz is no checkpoint of Model Garden, .+: try --backbone={advice}$"):
        load_backbone(backbones.build(BackboneConfig(name, 32)), tmp_path / "weights.npz")


@pytest.mark.parametrize("part", ["index", "data-00000-of-00001"])
def test_a_cut_file_is_damaged(part, copied, backbone):
    file = Path(f"{copied}.{part}")
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=f"^{re.escape(copied)}: .+ is damaged or of another format"):
        load_backbone(backbone, copied)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (tf.constant(b"\xff\xff"), "the graph of its objects is damaged"),
        (tf.constant(b""), "a graph of 0 objects"),
        (tf.constant(b"\n\x04\n\x02\x08\x07"), "names object 7, which it does not hold"),
        (tf.constant(b"\n\x12\x12\x10\n\x0eVARIABLE_VALUE"), "no backbone of Model Garden"),
        (tf.constant(1.0), f"{GRAPH} holds no bytes"),
    ],
)
def test_a_damaged_graph_of_objects_is_one_line(graph, message, backbone, tmp_path):
    path = str(tmp_path / "ckpt")
    tf.raw_ops.SaveV2(prefix=path, tensor_names=[GRAPH], shape_and_slices=[""], tensors=[graph])
    with pytest.raises(InputError, match=message) as caught:
        load_backbone(backbone, path)
    assert len(str(caught.value).splitlines()) == 1


class Started(Exception):
    """The first step would come now."""


def start_instead_of_steps(*args):
    raise Started


def test_a_training_says_what_it_loaded_before_its_first_step(checkpoint, toy_records, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(train, "_fit", start_instead_of_steps)
    chosen = BackboneConfig(MOBILENET, width_multiplier=WIDTH)
    values = {"model": {"backbone": chosen}, "training": {"init_backbone_from": checkpoint}}
    with pytest.raises(Started):
        train.train(toy_config(toy_records, values), tmp_path / "run")
    line = rf"backbone: {re.escape(checkpoint)}: 255 arrays loaded \([\d,]+ values\), 1 left out\n"
    assert re.search(line, capsys.readouterr().err)


@pytest.mark.slow
def test_the_command_trains_from_a_checkpoint_and_refuses_another_backbone_with_exit_2(
    command, toy_records, checkpoint
):
    words = ["--model=deeplabv3", "--dataset=folder", f"--data_dir={toy_records}", "--steps=1", "--batch_size=2"]
    words += ["--crop_size=33x33", "--validate_every=0", "--config.model.width=8"]
    words += [f"--config.model.backbone.width_multiplier={WIDTH}", f"--init_backbone_from={checkpoint}"]
    done = command("train.py", *words, "--workdir=run", f"--backbone={MOBILENET}")
    assert done["code"] == 0 and f"backbone: {checkpoint}: 255 arrays loaded" in done["err"], done["err"]
    done = command("train.py", *words, "--workdir=other", "--backbone=mobilenet_v2")
    advice = "not this backbone: take --backbone=mobilenet_v2_model_garden"
    assert done["code"] == 2
    assert done["err"].splitlines()[-1] == f"error: {checkpoint} holds MobileNetV2 of Model Garden, {advice}"
