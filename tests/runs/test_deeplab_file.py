"""A weights file under DeepLab's names is a model."""

import numpy as np
import pytest
import tensorflow as tf

from tests.backbones.test_pretrained import write_checkpoint, write_npz
from tfseg import architectures
from tfseg.backbones import BackboneConfig
from tfseg.data.datasets import voc2012
from tfseg.errors import InputError
from tfseg.inference.predictor import Predictor
from tfseg.models.deeplabv3 import DeepLabV3Config
from tfseg.runs.deeplab_file import load_deeplab

IMAGES = tf.random.stateless_uniform([1, 65, 97, 3], [0, 1], 0, 255)


@pytest.fixture(scope="module")
def network():
    """A mobile DeepLabV3 whose batch normalisation does something."""
    config = DeepLabV3Config(BackboneConfig("mobilenet_v2", width_multiplier=0.35), atrous_rates=(), width=8)
    network = architectures.build(config, 21)
    generator = np.random.default_rng(0)
    for layer in network.convolutions().values():
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            variable = getattr(layer.bn, name)
            variable.assign(generator.uniform(0.5, 1.5, variable.shape))
    return network


def with_batch_norm(network):
    arrays = {}
    for scope, layer in network.convolutions().items():
        if hasattr(layer.conv, "kernel"):
            arrays[f"{scope}/weights"] = layer.conv.kernel.numpy()
        else:
            arrays[f"{scope}/depthwise_weights"] = layer.conv.depthwise_kernel.numpy()
        for name in ("gamma", "beta", "moving_mean", "moving_variance"):
            arrays[f"{scope}/BatchNorm/{name}"] = getattr(layer.bn, name).numpy()
    arrays["logits/semantic/weights"] = network.classifier.kernel.numpy()
    arrays["logits/semantic/biases"] = network.classifier.bias.numpy()
    return arrays


def folded(network):
    """y = conv(x) * s + b with s = gamma / sqrt(variance + eps) and b = beta - mean * s."""
    arrays = {name: array for name, array in with_batch_norm(network).items() if "BatchNorm" not in name}
    for scope, layer in network.convolutions().items():
        bn = layer.bn
        scale = bn.gamma.numpy() / np.sqrt(bn.moving_variance.numpy() + bn.epsilon)
        if hasattr(layer.conv, "kernel"):
            arrays[f"{scope}/weights"] = arrays[f"{scope}/weights"] * scale
        else:
            arrays[f"{scope}/depthwise_weights"] = arrays[f"{scope}/depthwise_weights"] * scale[:, np.newaxis]
        arrays[f"{scope}/biases"] = bn.beta.numpy() - bn.moving_mean.numpy() * scale
    return arrays


def test_a_checkpoint_with_batch_normalisation_gives_the_networks_logits(network, tmp_path):
    arrays = with_batch_norm(network) | {"global_step": np.int64(30000)}
    path = write_checkpoint(tmp_path / "model.ckpt-30000", arrays)
    config, info, loaded = load_deeplab(f"{path}.index")
    np.testing.assert_allclose(
        loaded(IMAGES)["semantic_logits"], network(IMAGES)["semantic_logits"], atol=1e-4, rtol=1e-4
    )
    assert (config.model.backbone.width_multiplier, config.model.width) == (0.35, 8)
    assert info is voc2012.INFO


def test_a_folded_archive_gives_the_same(network, tmp_path):
    path = write_npz(tmp_path / "deeplab.npz", folded(network))
    expected = network(IMAGES)["semantic_logits"].numpy()
    for output_stride, step in ((16, 1), (8, 2)):
        _, _, loaded = load_deeplab(path, output_stride)
        logits = loaded(IMAGES)["semantic_logits"].numpy()
        assert logits.shape[1:3] == (5 * step - step + 1, 7 * step - step + 1)
        if step == 1:
            np.testing.assert_allclose(logits, expected, atol=1e-3, rtol=1e-3)


def test_it_segments_like_any_other_model(network, tmp_path):
    predictor = Predictor.load(write_npz(tmp_path / "deeplab.npz", folded(network)))
    assert predictor.info.class_names[7] == "car"
    assert predictor.predict(np.zeros([40, 50, 3], np.uint8)).class_ids.shape == (40, 50)


@pytest.mark.parametrize("missing", ["logits/semantic/weights", "MobilenetV2/expanded_conv_16/project/weights"])
def test_another_file_is_refused_with_what_it_lacks(network, tmp_path, missing):
    arrays = folded(network)
    del arrays[missing]
    with pytest.raises(InputError, match=rf"neither a run directory nor .* \(it has no {missing}\)"):
        load_deeplab(write_npz(tmp_path / "other.npz", arrays))


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "MODEL.HDF5"])
def test_a_keras_file_is_no_model_and_the_message_leads_to_one(tmp_path, name):
    (tmp_path / name).write_bytes(b"anything")
    with pytest.raises(InputError, match=rf"{name}: a Keras file, from which no network is rebuilt .+ --trust"):
        load_deeplab(tmp_path / name)


def test_a_missing_array_is_named(network, tmp_path):
    arrays = folded(network)
    del arrays["image_pooling/biases"]
    with pytest.raises(InputError, match="1 missing .image_pooling/biases"):
        load_deeplab(write_npz(tmp_path / "other.npz", arrays))
