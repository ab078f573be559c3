"""arch2, the static network of the dynamic cells: a small decoder that was found by architecture search.

It is used by Nekrasov et al. 2020, "Architecture Search of Dynamic Cells for Semantic Video Segmentation"
(arXiv:1904.02371, Sec. 3), and was found by Nekrasov et al. 2019, "Fast Neural Architecture Search of Compact Semantic
Segmentation Models via Auxiliary Cells" (arXiv:1810.10804), whose published code fixes its form.
"""

import dataclasses

import tensorflow as tf
from tensorflow import keras

from tfseg.backbones import BackboneConfig
from tfseg.errors import InputError
from tfseg.layers.conv import ConvBatchNorm
from tfseg.layers.resize import map_size, resize_bilinear
from tfseg.models.feed_forward import FeedForwardSegmenter
from tfseg.models.segmenter import SegmenterConfig

STRIDES = (4, 8, 16, 32)
EPSILON = 1e-5  # of batch normalisation in the authors' code
# The decoder's genotype in the form of the authors' code: the contextual cell, and the pairs of maps that are merged.
# A cell is the operation on its input, then (place, place, operation, operation) of each of its layers: places are
# 0 for the input, 1 for the first operation, and for every layer its two operations and their sum.
CONTEXTUAL_CELL = (5, (0, 0, 4, 1), (3, 2, 0, 1), (5, 6, 5, 0))
MERGED = ((1, 3), (4, 3), (2, 2))  # places: 0 to 3 are the maps of STRIDES, further ones the merged maps
# {operation of the genotype: (kernel size, dilation)}; POOLED is a 1x1 convolution of the mean over the image.
CONVOLUTIONS = {0: (1, 1), 1: (3, 1), 5: (3, 3), 6: (3, 12)}
POOLED = 4


@dataclasses.dataclass
class Arch2Config(SegmenterConfig):
    """MobileNetV2 and the decoder of arch2.

    Attributes:
      backbone: the feature network, at output stride 32.
      width: number of channels of every map of the decoder.
      auxiliary_weight: weight of the losses on the three merged maps, which serve training alone; 0 builds no heads.
      has_auxiliary_cells: whether a contextual cell comes before each of those heads, as in the authors' code.
      reference_counts: whether to build what the authors' code builds besides: a 1x1 convolution in the first block of
        MobileNetV2, and the reduction of the map of stride 4, which nothing reads. Published numbers of weights count
        both.
    """

    backbone: BackboneConfig = dataclasses.field(default_factory=lambda: BackboneConfig("mobilenet_v2", STRIDES[-1]))
    width: int = 64
    auxiliary_weight: float = 0.3
    has_auxiliary_cells: bool = True
    reference_counts: bool = False

    def __post_init__(self):
        if self.backbone.output_stride != STRIDES[-1]:
            raise InputError(
                f"backbone.output_stride is {self.backbone.output_stride}, but the decoder reads maps of strides "
                f"{', '.join(map(str, STRIDES))}: set it to {STRIDES[-1]}"
            )
        if self.width < 1:
            raise InputError(f"width is {self.width}; at least 1")
        if not 0 <= self.auxiliary_weight < float("inf"):
            raise InputError(f"auxiliary_weight is a number of at least 0, not {self.auxiliary_weight}")

    def exported(self):
        return dataclasses.replace(self, auxiliary_weight=0.0)


class Arch2(FeedForwardSegmenter):
    """Maps [batch, height, width, 3] RGB, 0 to 255, to "semantic_logits" at stride 8.

    Args:
      config: an Arch2Config, or a config that has its fields.
      num_classes: number of channels of the logits.
      name: the Keras model's name.
    """

    def __init__(self, config: Arch2Config, num_classes: int, name: str = "arch2"):
        super().__init__(_with_expansion(config), num_classes, STRIDES[1], name, kernel_size=3)
        self.config = config
        first = 0 if config.reference_counts else 1
        self.adapters = [None] * first + [
            convolution(config.width, name=f"adapter_{stride}") for stride in STRIDES[first:]
        ]
        self.merges = [Merge(config.width, name=f"merge_{index}") for index in range(len(MERGED))]
        self.reduction = convolution(config.width, name="reduction")
        self.auxiliary = []
        if config.auxiliary_weight:
            arguments = num_classes, config.width if config.has_auxiliary_cells else 0
            self.auxiliary = [AuxiliaryHead(*arguments, name=f"auxiliary_{index}") for index in range(len(MERGED))]

    def _build_unused(self, endpoints):
        """Creates the weights of the reduction that nothing reads, if there is one."""
        if self.adapters[0] is not None and not self.adapters[0].built:
            self.adapters[0](endpoints[f"stride_{STRIDES[0]}"])

    def call(self, images, training=False):
        """Runs the network: [batch, height, width, 3] RGB, 0 to 255 -> outputs.

        Returns:
          "semantic_logits": [batch, ceil(height / 8), ceil(width / 8), num_classes] float32. With `auxiliary_weight`,
          "auxiliary_logits": a list of logits of the same shape, one for each of the merged maps.
        """
        merged, dec = self.decode(self.maps(images, training), training)
        logits = self.classifier(tf.cast(dec, tf.float32))
        outputs = {"semantic_logits": logits, "canvases": [logits]}
        if self.auxiliary:
            outputs["auxiliary_logits"] = [
                resized(head(one, training=training), map_size(logits, 1))
                for head, one in zip(self.auxiliary, merged, strict=True)
            ]
        return outputs

    def features(self, images, training=False):
        """Returns [batch, ceil(height / 8), ceil(width / 8), width], the classifier's input."""
        return self.decode(self.maps(images, training), training)[1]

    def maps(self, images, training=False):
        """Returns the backbone's maps of STRIDES, from fine to coarse."""
        endpoints = self.backbone(images, training=training)
        self._build_unused(endpoints)
        return [endpoints.get(f"stride_{stride}", endpoints["last"]) for stride in STRIDES]

    def decode(self, maps, training=False):
        """Runs the decoder.

        Args:
          maps: the backbone's maps of STRIDES; the first may be None.
          training: whether batch normalisation uses the statistics of the batch.
        Returns:
          (list of the merged maps, the decoded map), each of `width` channels; the last one at stride 8.
        """
        pool = [None] + [
            adapter(one, training=training) for adapter, one in zip(self.adapters[1:], maps[1:], strict=True)
        ]
        for merge, (first, second) in zip(self.merges, MERGED, strict=True):
            pool.append(merge(pool[first], pool[second], training=training))
        read = {place for pair in MERGED for place in pair}
        loose = [one for place, one in enumerate(pool) if place >= len(STRIDES) and place not in read]
        size = map_size(maps[1], 1)
        joined = tf.nn.relu(tf.concat([resized(one, size) for one in loose], -1))
        return pool[len(STRIDES) :], self.reduction(joined, training=training)

    def exported_layers(self):
        adapters = [adapter for adapter in self.adapters if adapter is not None]
        return [self.backbone, *adapters, *self.merges, self.reduction, self.classifier]


class ContextualCell(keras.layers.Layer):
    """A cell of a few operations whose unread results are summed (arXiv:1810.10804, Sec. 3.2).

    Args:
      filters: channels of every operation.
      genotype: see CONTEXTUAL_CELL.
    Input [batch, h, w, filters] -> the same shape.
    """

    def __init__(self, filters, genotype=CONTEXTUAL_CELL, **kwargs):
        super().__init__(**kwargs)
        first, *self.layers_read = genotype
        self.first = self._operation(first, filters, "op_1")
        self.pairs = []
        for index, (_, _, *operations) in enumerate(self.layers_read):
            names = (f"op_{3 * index + 2}", f"op_{3 * index + 3}")
            self.pairs.append(
                [self._operation(one, filters, name) for one, name in zip(operations, names, strict=True)]
            )
        read = {place for places in self.layers_read for place in places[:2]}
        sums = [1, *range(4, 3 * len(self.layers_read) + 2, 3)]
        self.loose = [place for place in sums if place not in read]

    def call(self, inputs, training=False):
        pool = [inputs, self.first(inputs, training=training)]
        for (first, second, *_), pair in zip(self.layers_read, self.pairs, strict=True):
            results = [
                operation(pool[place], training=training)
                for operation, place in zip(pair, (first, second), strict=True)
            ]
            pool += [*results, results[0] + results[1]]
        return tf.add_n([pool[place] for place in self.loose])

    def _operation(self, number, filters, name):
        if number == POOLED:
            return PooledConv(filters, name=name)
        kernel_size, dilation = CONVOLUTIONS[number]
        return convolution(filters, kernel_size, dilation, name=name)


class PooledConv(keras.layers.Layer):
    """The mean of a map, a 1x1 convolution, batch normalisation and ReLU, at every position: [batch, h, w, filters]."""

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.convolution = convolution(filters, name="convolution")

    def call(self, inputs, training=False):
        mean = tf.reduce_mean(tf.cast(inputs, tf.float32), [1, 2], keepdims=True)
        pooled = self.convolution(tf.cast(mean, inputs.dtype), training=training)  # [batch, 1, 1, filters]
        size = map_size(inputs, 1)
        return tf.broadcast_to(pooled, [tf.shape(inputs)[0], *size, pooled.shape[-1]])


class Merge(keras.layers.Layer):
    """A contextual cell and a 1x1 convolution on each of two maps; the coarser result is enlarged, then both are added.

    Inputs [batch, h, w, filters] -> the larger of the two shapes.
    """

    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        self.cells = [ContextualCell(filters, name=f"cell_{side}") for side in "ab"]
        self.reductions = [convolution(filters, name=f"reduction_{side}") for side in "ab"]

    def call(self, first, second, training=False):
        results = [
            reduction(cell(one, training=training), training=training)
            for one, cell, reduction in zip((first, second), self.cells, self.reductions, strict=True)
        ]
        return tf.add_n(aligned(*results))


class AuxiliaryHead(keras.layers.Layer):
    """Logits for a loss in training: perhaps a contextual cell of `width` channels, and a 3x3 convolution."""

    def __init__(self, num_classes, width, **kwargs):
        super().__init__(**kwargs)
        self.cell = ContextualCell(width, name="cell") if width else None
        self.classifier = keras.layers.Conv2D(num_classes, 3, padding="same", name="logits", dtype=tf.float32)

    def call(self, inputs, training=False):
        inputs = self.cell(inputs, training=training) if self.cell else inputs
        return self.classifier(tf.cast(inputs, tf.float32))


def convolution(filters, kernel_size=1, dilation=1, **kwargs):
    """Returns a convolution with batch normalisation and ReLU, as all of the decoder's are."""
    return ConvBatchNorm(filters, kernel_size, dilation=dilation, epsilon=EPSILON, **kwargs)


def resized(values, size):
    """Returns a map in another size (height, width), bilinearly; the same map if that is its size."""
    if tuple(values.shape[1:3]) == tuple(size):
        return values
    return tf.cast(resize_bilinear(values, size), values.dtype)


def aligned(first, second):
    """Returns two maps of one image in the size of the finer one."""
    sizes = [map_size(one, 1) for one in (first, second)]
    if all(isinstance(side, int) for size in sizes for side in size):
        finer = max(sizes)
    else:
        finer = tf.unstack(tf.reduce_max(tf.stack([tf.stack(size) for size in sizes]), 0))
    return [resized(one, finer) for one in (first, second)]


def _with_expansion(config):
    if not config.reference_counts:
        return config
    return dataclasses.replace(config, backbone=dataclasses.replace(config.backbone, first_expansion=True))
