"""A dynamic cell, built from any genotype."""

import tensorflow as tf
from tensorflow import keras

from tfseg.models.arch2 import aligned, convolution, resized
from tfseg.models.cells.aggregations import aggregation
from tfseg.models.cells.genotype import INPUTS, Genotype
from tfseg.models.cells.operations import operation


class DynamicCell(keras.layers.Layer):
    """Makes the decoded map of a frame from the frame's features and from what the frame before left.

    The inputs of other than `width` channels are reduced to it first, those that are read. Every operation runs at the
    resolution of its input; then the coarser of its layer's two results is enlarged to the finer one. All aggregates
    that no layer reads are enlarged, concatenated and reduced (arXiv:1904.02371, Sec. 4).

    Args:
      genotype: the Genotype.
      width: number of channels inside.
      repeats, has_modulation: see `operations.operation`.
      predictive: see `aggregations.aggregation`.
    Input: the maps of `genotype.INPUTS`, each [batch, h, w, channels] in a size of its own; one that the genotype does
      not read may be None. Returns [batch, *size, width].
    """

    def __init__(self, genotype: Genotype, width, repeats=1, has_modulation=True, predictive="local", **kwargs):
        super().__init__(**kwargs)
        self.genotype = genotype
        names = {place: INPUTS[place].replace(" ", "_") for place in genotype.inputs_read}
        # The decoded map of the frame before has `width` channels already.
        self.adapters = {
            str(place): convolution(width, name=f"adapter_{name}")
            for place, name in names.items()
            if INPUTS[place] != "previous dec"
        }
        self.pairs, self.aggregations = [], []
        for index, (_, _, first, second, aggregate) in enumerate(genotype.layers, 1):
            self.pairs.append(
                [
                    operation(number, width, repeats, has_modulation, name=f"layer_{index}_{side}")
                    for number, side in ((first, "a"), (second, "b"))
                ]
            )
            self.aggregations.append(aggregation(aggregate, width, predictive, name=f"layer_{index}"))
        self.reduction = convolution(width, name="reduction")

    def call(self, inputs, size, training=False):
        """Runs the cell; `size` is the (height, width) of its output."""
        pool = []
        for place, values in enumerate(inputs):
            adapter = self.adapters.get(str(place))
            pool.append(adapter(values, training=training) if adapter else values)
        for (first, second, *_), pair, aggregate in zip(
            self.genotype.layers, self.pairs, self.aggregations, strict=True
        ):
            results = [
                layer(pool[place], training=training) for layer, place in zip(pair, (first, second), strict=True)
            ]
            pool.append(aggregate(*aligned(*results), training=training))
        joined = tf.concat([resized(pool[place], size) for place in self.genotype.loose], -1)
        return self.reduction(tf.nn.relu(joined), training=training)
