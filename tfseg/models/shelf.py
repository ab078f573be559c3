"""What ShelfNet and its light form share: a backbone, columns of maps that go up and down, logits from the last."""

import dataclasses
import functools
import typing

import tensorflow as tf
from tensorflow import keras

from tfseg import backbones
from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.conv import ConvBatchNorm
from tfseg.layers.dropout import DROPOUT_KINDS, split_seed
from tfseg.layers.resize import map_size, upsample
from tfseg.layers.s_block import EPSILON, SBlock
from tfseg.layers.shelf_columns import LEAKY, DownColumn, UpColumn
from tfseg.models.segmenter import Segmenter, SegmenterConfig

COARSEST_STRIDE = 32
LEVEL_OF_STRIDE = {4: "A", 8: "B", 16: "C", 32: "D"}


@dataclasses.dataclass
class ShelfConfig(SegmenterConfig):
    """Backbone, and pairs of columns: the first pair reduces channels and goes up, each further one goes down and up.

    Attributes:
      backbone: the feature network, at output stride 32.
      width: channels at the finest level; each coarser level has twice as many.
      pairs: number of pairs of columns, at least 1.
      is_shared: whether the two uses of the convolution in an S-block share its weights.
      has_bridge_block: whether an S-block, added to its input, comes before each column that goes down.
      dropout_rate: share of the values inside each S-block that are set to zero in a training step.
      dropout_kind: "spatial" (whole channels of an image) or "element".
      auxiliary_weight: weight of the loss of each auxiliary head; 0 builds none. They serve training alone.
      align_corners: whether the network itself enlarges its logits to the image, with aligned corners, as the authors'
        code does. Otherwise the logits keep their stride, and whoever reads them enlarges them.
    """

    strides: typing.ClassVar[tuple[int, ...]] = ()

    backbone: BackboneConfig = dataclasses.field(default_factory=lambda: BackboneConfig(output_stride=COARSEST_STRIDE))
    width: int = 64
    pairs: int = 2
    is_shared: bool = True
    has_bridge_block: bool = True
    dropout_rate: float = 0.25
    dropout_kind: str = "spatial"
    auxiliary_weight: float = 0.0
    align_corners: bool = False

    def __post_init__(self):
        if self.backbone.output_stride != COARSEST_STRIDE:
            raise InputError(
                f"backbone.output_stride is {self.backbone.output_stride}, but the shelf reads maps of strides "
                f"{', '.join(map(str, self.strides))}: set it to {COARSEST_STRIDE}"
            )
        for name in ("width", "pairs"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; at least 1")
        if not 0 <= self.dropout_rate < 1:
            raise InputError(f"dropout_rate is at least 0 and below 1, not {self.dropout_rate}")
        if self.dropout_kind not in DROPOUT_KINDS:
            raise InputError(f"dropout_kind is one of {', '.join(DROPOUT_KINDS)}, not {self.dropout_kind!r}")
        if not 0 <= self.auxiliary_weight < float("inf"):
            raise InputError(f"auxiliary_weight is a number of at least 0, not {self.auxiliary_weight}")

    def exported(self):
        return dataclasses.replace(self, auxiliary_weight=0.0)

    def widths(self) -> tuple[int, ...]:
        """Returns the channels of the levels, from fine to coarse."""
        return tuple(self.width * 2**level for level in range(len(self.strides)))


class Shelf(Segmenter, keras.Model):
    """A shelf of maps. A subclass gives it its heads and the step of its columns that go up.

    A subclass defines `step(channels, name)`, the step that `UpColumn` describes; `head(features, training)`, the
    logits of the finest map of the last column; and `training_heads(nodes, images, training, seed)`, a dict of further
    outputs for the loss.

    Args:
      config: a ShelfConfig.
      num_classes: number of channels of the logits.
      name: the Keras model's name.

    Attributes:
      negative_slope: slope below zero of the first activation of a block, and of reductions; 0 is ReLU.
    """

    negative_slope = 0.0

    def __init__(self, config: ShelfConfig, num_classes: int, name: str):
        super().__init__(name=name, autocast=False)
        self.config, self.num_classes, self.padding = config, num_classes, config.backbone.padding
        self.canvas_stride = 1 if config.align_corners else config.strides[0]
        self.backbone = backbones.build(config.backbone)
        self.levels = [LEVEL_OF_STRIDE[stride] for stride in config.strides]
        self.block = functools.partial(
            SBlock,
            is_shared=config.is_shared,
            dropout_rate=config.dropout_rate,
            dropout_kind=config.dropout_kind,
            negative_slope=self.negative_slope,
        )
        self.reductions, self.columns = self._reductions(), []
        for column in range(2, 2 * config.pairs + 1):
            arguments, name = (config.widths(), self.block), f"column_{column}"
            if column % 2:
                self.columns.append(DownColumn(*arguments, config.has_bridge_block, self.padding, name=name))
            else:
                self.columns.append(UpColumn(*arguments, self.step, name=name))

    def exported_layers(self):
        return [self.backbone, *self.reductions, *self.columns, self.classifier]

    def _reductions(self):
        activation = LEAKY if self.negative_slope else "relu"
        return [
            ConvBatchNorm(width, activation=activation, epsilon=EPSILON, name=f"reduction_{level}")
            for level, width in zip(self.levels, self.config.widths(), strict=True)
        ]

    @property
    def node_names(self):
        return tuple(
            f"{level}{column}" for column in range(2 * self.config.pairs + 1) for level in self._levels_of(column)
        )

    def _levels_of(self, column):
        """Columns that go down, from the third on, end before the coarsest level."""
        return self.levels[:-1] if column > 1 and column % 2 else self.levels

    def nodes(self, images, training=False, seed=None):
        """Computes the maps of the shelf.

        Args:
          images: [batch, height, width, 3] RGB, 0 to 255. The shelf needs sides that are multiples of 32: the last row
            and column are repeated up to the next one.
          training: whether batch normalisation uses the statistics of the batch.
          seed: [2] int32 seed of the dropout in training, a new one for each step; None for no dropout.
        Returns:
          {name: [batch, h, w, channels]}: a name is the level (A, B, C, D for stride 4, 8, 16, 32) and the column (0 is
          the backbone, 1 the reduction of its channels); h and w are the padded sides divided by the stride.
        """
        endpoints = self.backbone(padded(images, COARSEST_STRIDE), training=training)
        found = {}
        maps = self._noted(found, self._taps(endpoints), 0)
        maps = self._noted(found, self._reduced(maps, training), 1)
        seeds = split_seed(seed, len(self.columns))
        for number, (column, column_seed) in enumerate(zip(self.columns, seeds, strict=True), 2):
            maps = self._noted(found, column(maps, training=training, seed=column_seed), number)
        return found

    def _taps(self, endpoints):
        """Returns the backbone's maps of the levels, from fine to coarse; the coarsest is its last."""
        return [endpoints.get(f"stride_{stride}", endpoints["last"]) for stride in self.config.strides]

    def _reduced(self, maps, training):
        return [layer(values, training=training) for layer, values in zip(self.reductions, maps, strict=True)]

    def _noted(self, found, maps, column):
        """Puts a column's maps into `found`, and returns them from operations that have the names of the nodes."""
        names = [f"{level}{column}" for level in self._levels_of(column)]
        named = {name: tf.identity(values, name=name) for name, values in zip(names, maps, strict=False)}
        found |= named
        return [*named.values(), *maps[len(named) :]]

    def call(self, images, training=False, seed=None):
        """Runs the network: [batch, height, width, 3] RGB, 0 to 255 -> outputs.

        Returns:
          "semantic_logits": [batch, ceil(height / canvas_stride), ceil(width / canvas_stride), num_classes] float32.
          With `auxiliary_weight`, "auxiliary_logits": a list of logits of the same shape.
        """
        nodes = self.nodes(images, training, seed)
        heads = self.training_heads(nodes, images, training, seed)
        return {"semantic_logits": self._logits(nodes, images, training), **heads}

    def encode(self, images, training=False):
        """Runs the whole network without the heads that serve training alone; returns {"canvas": logits}."""
        return {"canvas": self._logits(self.nodes(images, training), images, training)}

    def refine(self, features, state=None):
        """Returns `features`: nothing is left to refine."""
        return features

    def _logits(self, nodes, images, training):
        last = f"{self.levels[0]}{2 * self.config.pairs}"
        return self.on_canvas(self.head(nodes[last], training), images, self.config.strides[0])

    def on_canvas(self, logits, images, stride):
        """Enlarges logits of the padded images to the canvas and cuts off what lies beyond the images.

        Args:
          logits: [batch, h, w, num_classes] at `stride`.
          images: the images before they were padded.
          stride: input pixels per position of the logits.
        Returns:
          [batch, ceil(height / canvas_stride), ceil(width / canvas_stride), num_classes] float32.
        """
        logits, ratio = tf.cast(logits, tf.float32), stride // self.canvas_stride
        whole = [ratio * side for side in map_size(logits, 1)]
        if self.config.align_corners:
            logits = tf.compat.v1.image.resize_bilinear(logits, whole, align_corners=True)
        elif ratio > 1:
            logits = upsample(logits, whole, ratio, self.padding)
        height, width = map_size(images, self.canvas_stride)
        return logits[:, :height, :width]


def training_outputs(network: Shelf, batch, seed):
    """Returns the outputs in training; `seed` ([2] int32, a new one for each step) determines the dropout."""
    return network(batch["image"], training=True, seed=seed)


def padded(images, multiple):
    """Repeats the last row and column of [batch, height, width, 3] up to the next multiple of a number of pixels."""
    for axis in (1, 2):
        side = images.shape[axis]
        if side is None or side % multiple:
            side = tf.shape(images)[axis] if side is None else side
            places = tf.range((side + multiple - 1) // multiple * multiple)
            images = tf.gather(images, tf.minimum(places, side - 1), axis=axis)
    return images
