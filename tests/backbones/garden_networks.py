"""Networks of Model Garden (tf-models-official) with random weights."""

import warnings

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tests.backbones.random_weights import randomize
from tfseg.backbones.residual import UNITS

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of what it imports
    from official.vision.configs import backbones as backbone_configs
    from official.vision.configs import common, decoders, semantic_segmentation
    from official.vision.modeling import classification_model, factory
    from official.vision.modeling.backbones.mobilenet import MobileNet
    from official.vision.modeling.backbones.resnet import ResNet
    from official.vision.modeling.backbones.resnet_deeplab import DilatedResNet
    from official.vision.ops.preprocess_ops import normalize_image

MOBILENET_ENDS = {"stride_2": 1, "stride_4": 3, "stride_8": 6, "stride_16": 13, "last": 17}  # numbers of blocks


def mobilenet(width=0.35, output_stride=None, **options):
    """MobileNetV2 with random weights; without an output stride it is strided to 32."""
    network = MobileNet("MobileNetV2", filter_size_scale=width, output_stride=output_stride, **options)
    randomize(network)
    return network


def resnet(depth=50, output_stride=None, **options):
    """ResNet, or with an output stride DeepLab's dilated form of it, with random weights."""
    network = DilatedResNet(depth, output_stride, **options) if output_stride else ResNet(depth, **options)
    randomize(network)
    return network


def deeplab(width=0.35, output_stride=16):
    """DeepLabV3+ on MobileNetV2, called once, with random weights everywhere."""
    backbone = backbone_configs.MobileNet(filter_size_scale=width, output_stride=output_stride)
    level = int(np.log2(output_stride))
    config = semantic_segmentation.SemanticSegmentationModel(
        num_classes=3,
        min_level=level,
        max_level=level,
        backbone=backbone_configs.Backbone(type="mobilenet", mobilenet=backbone),
        decoder=decoders.Decoder(
            type="aspp", aspp=decoders.ASPP(level=level, dilation_rates=[1, 2], num_filters=8, pool_kernel_size=None)
        ),
        head=semantic_segmentation.SegmentationHead(
            level=level, num_convs=1, num_filters=8, feature_fusion="deeplabv3plus", low_level=2
        ),
        norm_activation=common.NormActivation(activation="relu", norm_momentum=0.997, norm_epsilon=1e-3),
    )
    network = factory.build_segmentation_model(keras.layers.InputSpec(shape=[None, None, None, 3]), config)
    network(tf.zeros([1, 64, 64, 3]))
    randomize(network)
    return network


def classifier(backbone):
    """A classifier of ten classes on a backbone."""
    return classification_model.ClassificationModel(backbone, 10)


def maps(backbone, image):
    """{endpoint of ours: what a backbone of Model Garden computes there}, of an image of 0 to 255."""
    blocks = [layer.output for layer in backbone.layers if type(layer).__name__.endswith("Block")]
    if isinstance(backbone, MobileNet):
        ends = {key: blocks[number] for key, number in MOBILENET_ENDS.items()}
    else:
        last = np.cumsum(UNITS[backbone.get_config()["model_id"]]) - 1
        keys = ("stride_4", "stride_8", "stride_16", "last")
        ends = {key: blocks[number] for key, number in zip(keys, last, strict=True)}
        pooling = next(layer for layer in backbone.layers if isinstance(layer, keras.layers.MaxPool2D))
        ends["stride_2"] = pooling.input
    values = normalize_image(tf.cast(image, tf.uint8))
    return {key: value.numpy() for key, value in keras.Model(backbone.input, ends)(values).items()}
