"""DeeperLab (Yang et al. 2019, "DeeperLab: Single-Shot Image Parser", arXiv:1902.05093)."""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.conv import ConvBatchNorm
from tfseg.layers.pyramid import AtrousSpatialPyramid
from tfseg.layers.resize import upsample
from tfseg.models.deeperlab_decoder import DECODED_STRIDE, Decoder, Head
from tfseg.models.features import map_size

REFERENCE_STRIDE = 16
DECODERS = ("space_to_depth", "bilinear", "none")
GRAPHS = {"star": (5, 8), "rectangle": (4, 8)}  # keypoints of an instance, edges between them
HEATMAP_BIAS = -2.19  # the heatmap starts near the share of pixels near a keypoint: sigmoid(-2.19) = 0.1


def _default_backbone():
    return BackboneConfig("xception_71", padding="symmetric")


@dataclasses.dataclass
class DeeperLabConfig:
    """Backbone, context, decoder, and five heads. The default is the paper's largest network.

    Its other networks have the backbone `BackboneConfig("mobilenet_v2", kernel_size=k, stem_kernel_size=k,
    padding="symmetric")` with k = 3, or 5 for Wider MobileNetV2; Light Wider has `kernel_size=3, width=128` as well.

    Attributes:
      backbone: the feature network; its padding is "symmetric", so that cell i of a map sits on pixel stride * i.
      low_level: the decoder's map of stride 4: "inner" (Xception: 256 channels, MobileNetV2: 144) or "block_output"
        (256 and 24), see `tfseg.backbones.build`.
      has_aspp: context comes from an atrous spatial pyramid, otherwise from a 1x1 convolution alone.
      is_aspp_separable: the pyramid's 3x3 convolutions are depthwise separable.
      atrous_rates: their dilations at output stride 16; at 8 they double, at 32 they halve.
      aspp_width: channels of the context and of each branch of the pyramid.
      dropout_rate: share of the context's values that are zero in a training step.
      decoder: "space_to_depth" (S2D), "bilinear" (BU), or "none": the heads read the context, and their maps are
        enlarged.
      enlargement: factor by which images are enlarged before the backbone: 1, 2 or 4; for small images. The maps then
        have stride 4, 2 or 1.
      low_level_width: channels of the low-level map beside the context.
      width: channels of the decoded map and of the semantic head; 128 in the light form.
      kernel_size: of the decoder's and the heads' depthwise convolutions: 7 (large kernels, LK) or 3.
      has_deeper_heads: a separable convolution before each head's 1x1 one (DH).
      instance_width: its channels in the four instance heads.
      graph: edges of the middle-range offsets: "star" (four corners and the centre of mass) or "rectangle" (corners).
      radius: of the disks round keypoints, input pixels; the offset heads count in it.
      geometry: keypoints of an instance that a crop cuts are those of what the "crop" shows, or of the "full" instance.
      target_stride: input pixels a cell of the instance targets; maps of another stride are resized for the loss.
      small_instance_area, small_instance_weight: pixels of instances of less than so many input pixels weigh so much in
        the semantic loss (SI); a weight of 1 is off.
      hard_pixel_fraction: share of the pixels of each image, the hardest, that the semantic loss keeps (HPM); 0: all.
      is_weight_in_hardness: whether a pixel is the harder for its weight; in the paper's formula it is not.
      peak_threshold, instance_score_min: of the fusion of its maps, see `postprocess.fusion_config`: for use, not for
        training, and to be chosen on a validation split.
      loss_weights: of the semantic, heatmap, short-range, middle-range and long-range losses.
    """

    backbone: BackboneConfig = dataclasses.field(default_factory=_default_backbone)
    low_level: str = "inner"
    has_aspp: bool = True
    is_aspp_separable: bool = True
    atrous_rates: tuple[int, ...] = (6, 12, 18)
    aspp_width: int = 256
    dropout_rate: float = 0.1
    decoder: str = "space_to_depth"
    enlargement: int = 1
    low_level_width: int = 32
    width: int = 256
    kernel_size: int = 7
    has_deeper_heads: bool = True
    instance_width: int = 64
    graph: str = "star"
    radius: float = 25.0
    geometry: str = "crop"
    target_stride: int = 4
    small_instance_area: int = 4096
    small_instance_weight: float = 3.0
    hard_pixel_fraction: float = 0.15
    is_weight_in_hardness: bool = False
    peak_threshold: float = 0.02
    instance_score_min: float = 0.1
    loss_weights: tuple[float, float, float, float, float] = (2.0, 4.0, 1.0, 0.25, 0.125)

    def __post_init__(self):
        choices = {"low_level": ("inner", "block_output"), "decoder": DECODERS, "graph": tuple(GRAPHS)}
        choices["geometry"] = ("crop", "full")
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} is one of {', '.join(known)}, not {getattr(self, name)!r}")
        for name in ("aspp_width", "low_level_width", "width", "instance_width"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; at least 1")
        if any(rate < 1 for rate in self.atrous_rates):
            raise InputError(f"atrous_rates are at least 1, not {self.atrous_rates}")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise InputError(f"kernel_size is odd, 7 or 3 in the paper, not {self.kernel_size}")
        if self.enlargement not in (1, 2, 4):
            raise InputError(f"enlargement is 1, 2 or 4, not {self.enlargement}")
        if not 0 <= self.dropout_rate < 1:
            raise InputError(f"dropout_rate is at least 0 and below 1, not {self.dropout_rate}")
        if self.radius <= 0:
            raise InputError(f"radius is {self.radius} pixels; above 0")
        if self.backbone.padding != "symmetric":
            raise InputError(
                f"backbone.padding is {self.backbone.padding!r}, but DeeperLab's offsets start from cells on pixel "
                "4 * i: set it to symmetric"
            )

    def rates(self) -> tuple[int, ...]:
        """The dilations at the backbone's output stride."""
        return tuple(max(rate * REFERENCE_STRIDE // self.backbone.output_stride, 1) for rate in self.atrous_rates)


class DeeperLab(keras.Model):
    """Semantic logits and four instance maps from one decoded map, all at stride 4 by `enlargement`, `canvas_stride`.

    Cell (i, j) of a map sits on input pixel (canvas_stride * i, canvas_stride * j); any image size is fine.
    """

    is_recurrent = False
    default_iterations = trained_iterations = 1
    is_panoptic = True
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
        num_keypoints, num_edges = GRAPHS[config.graph]
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
          seed: [2] int32, one a step, draws the dropout in training; None: no dropout.
        Returns:
          Maps [batch, ceil(height / canvas_stride), ceil(width / canvas_stride), channels], float32:
          "semantic_logits" [..., num_classes];
          "heatmap_logits" [..., P]: their sigmoid is the probability that keypoint k is within `radius`;
          "long_offsets" [..., 2P] to all keypoints of the cell's instance;
          "short_offsets" [..., 2P] to the keypoint near the cell;
          "middle_offsets" [..., 2E] from near an edge's first keypoint to its second one.
          Offsets are in input pixels; channels 2k and 2k + 1 are (dy, dx). Keypoints are top left, top right, bottom
          left, bottom right corner and, in the star graph, the centre of mass.
        """
        outputs = self.encode(images, training=training, seed=seed)
        return {"semantic_logits": outputs.pop("canvas"), **outputs}

    def encode(self, images, training=False, seed=None):
        """The whole network, as `call`, with the semantic logits as "canvas"."""
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
        """Nothing is left to refine: returns `features`."""
        return features

    def _maps(self, features, training):
        radius = tf.constant(self.config.radius, tf.float32)
        return {
            "canvas": self.semantic_head(features, training=training),
            "heatmap_logits": self.heatmap_head(features, training=training),
            **{name: radius * head(features, training=training) for name, head in self.offset_heads.items()},
        }

    def _enlarged(self, images):
        """Pixel i becomes pixel `enlargement` * i, so that cells stay on pixels."""
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


def training_outputs(network: DeeperLab, images, seed):
    """Outputs in training; `seed` ([2] int32, one a step) draws the dropout."""
    return network(images, training=True, seed=seed)
