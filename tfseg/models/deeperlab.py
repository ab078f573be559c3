"""DeeperLab (Yang et al. 2019, "DeeperLab: Single-Shot Image Parser", arXiv:1902.05093)."""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.layers.conv import ConvBatchNorm
from tfseg.layers.pyramid import AtrousSpatialPyramid
from tfseg.layers.resize import map_size, upsample
from tfseg.models.deeperlab_config import DeeperLabConfig
from tfseg.models.deeperlab_decoder import DECODED_STRIDE, Decoder, Head
from tfseg.models.segmenter import Segmenter

HEATMAP_BIAS = -2.19  # sigmoid(-2.19) = 0.1, about the share of pixels near a keypoint: the heatmap starts there


class DeeperLab(Segmenter, keras.Model):
    """Computes semantic logits and four instance maps from one decoded map.

    All maps have the stride `canvas_stride`, which is 4 / `enlargement`. Cell (i, j) of a map sits on input pixel
    (canvas_stride * i, canvas_stride * j). Images may have any size.
    """

    padding = "symmetric"

    def __init__(self, config: DeeperLabConfig, num_classes: int):
        super().__init__(name="deeperlab", autocast=False)
        self.config, self.num_classes = config, num_classes
        self.canvas_stride = DECODED_STRIDE // config.enlargement
        self.backbone = backbones.build(config.backbone, endpoints=config.low_level)
        if config.has_aspp:
            self.context = AtrousSpatialPyramid(
                config.aspp_width, config.rates(), config.is_aspp_separable, name="pyramid"
            )
        else:
            self.context = ConvBatchNorm(config.aspp_width, name="reduction")
        self.block, self.decoder = config.backbone.output_stride // DECODED_STRIDE, None
        if config.decoder != "none":
            self.decoder = Decoder(
                config.decoder, config.width, config.kernel_size, self.block, config.low_level_width, name="decoder"
            )
        num_keypoints, num_edges = config.targets.num_keypoints, len(config.targets.edges)
        self.semantic_head = self._head("semantic", num_classes, config.width)
        self.heatmap_head = self._head("heatmap", num_keypoints, config.instance_width, HEATMAP_BIAS)
        self.offset_heads = {
            f"{name}_offsets": self._head(name, 2 * count, config.instance_width)
            for name, count in (("long", num_keypoints), ("short", num_keypoints), ("middle", num_edges))
        }

    def call(self, images, training=False, seed=None):
        """Runs the whole network.

        Args:
          images: [batch, height, width, 3] RGB, 0 to 255.
          training: whether batch normalisation uses the statistics of the batch.
          seed: [2] int32 seed of the dropout in training, a new one for each step; None for no dropout.
        Returns:
          Maps [batch, ceil(height / canvas_stride), ceil(width / canvas_stride), channels], float32:
          "semantic_logits" [..., num_classes];
          "heatmap_logits" [..., P]: their sigmoid is the probability that keypoint k is within `radius`;
          "long_offsets" [..., 2P] to all keypoints of the cell's instance;
          "short_offsets" [..., 2P] to the keypoint of each kind near the cell;
          "middle_offsets" [..., 2E] from near an edge's first keypoint to its second one.
          Offsets are in input pixels; channels 2k and 2k + 1 are (dy, dx). The keypoints are the corners top left, top
          right, bottom left and bottom right and, in the star graph, the centre of mass.
        """
        outputs = self.encode(images, training=training, seed=seed)
        return {"semantic_logits": outputs.pop("canvas"), **outputs}

    @property
    def fusion_settings(self):
        targets = self.config.targets
        return {"graph": targets.graph, "radius": targets.radius, **dataclasses.asdict(self.config.fusion)}

    def encode(self, images, training=False, seed=None):
        """Runs the whole network like `call`, but returns the semantic logits as "canvas"."""
        images = self._enlarged(images)
        endpoints = self.backbone(images, training=training)
        features = self.context(endpoints["last"], training=training)
        if training and seed is not None and self.config.dropout_rate > 0:
            features = tf.nn.experimental.stateless_dropout(features, self.config.dropout_rate, seed)
        if self.decoder is not None:
            features = self.decoder(features, endpoints["stride_4"], training=training)
        size = map_size(images, DECODED_STRIDE)
        return {name: self._on_canvas(values, size) for name, values in self._maps(features, training).items()}

    def refine(self, features, state=None):
        """Returns `features`: nothing is left to refine."""
        return features

    def _maps(self, features, training):
        radius = tf.constant(self.config.targets.radius, tf.float32)
        return {
            "canvas": self.semantic_head(features, training=training),
            "heatmap_logits": self.heatmap_head(features, training=training),
            **{name: radius * head(features, training=training) for name, head in self.offset_heads.items()},
        }

    def _enlarged(self, images):
        """Enlarges images so that pixel i becomes pixel `enlargement` * i, which keeps cells on pixels."""
        factor = self.config.enlargement
        if factor == 1:
            return images
        size = [(side - 1) * factor + 1 for side in map_size(images, 1)]
        return tf.compat.v1.image.resize_bilinear(tf.cast(images, tf.float32), size, align_corners=True)

    def _on_canvas(self, values, size):
        return upsample(values, size, self.block, self.padding) if self.decoder is None else values

    def _head(self, name, num_outputs, width, bias=0.0):
        hidden_width = width if self.config.has_deeper_heads else None
        return Head(num_outputs, hidden_width, self.config.kernel_size, bias, name=f"{name}_head")


def training_outputs(network: DeeperLab, batch, seed):
    """Returns the outputs in training; `seed` ([2] int32, a new one for each step) determines the dropout."""
    return network(batch["image"], training=True, seed=seed)
