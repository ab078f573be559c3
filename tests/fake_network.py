"""A network whose outputs are easy to work out, for tests of everything that uses networks."""

import numpy as np
import tensorflow as tf
from tensorflow import keras

from tfseg.labels import DatasetInfo
from tfseg.models.segmenter import Segmenter

COLORS = ((255, 0, 0), (0, 255, 0), (0, 0, 255))
INFO = DatasetInfo("fake", ("red", "green", "blue"), COLORS)
STRIDE = 4


class FakeNetwork(Segmenter, keras.Model):
    """Finds only the class red in the first iteration; from the second on, the class of each position's main colour.

    The canvas is the mean RGB of 4x4 pixels, 0 to 255. In the first iteration 1000 is added to red.
    """

    default_iterations = trained_iterations = 3
    num_classes = 3
    canvas_stride = STRIDE
    padding = "same"

    def __init__(self, is_recurrent=True):
        super().__init__(autocast=False)
        self.is_recurrent = is_recurrent
        self.offset = self.add_weight("offset", [3], initializer=tf.constant_initializer([1000.0, 0.0, 0.0]))

    def encode(self, images, training=False):
        assert not training
        return {"colors": tf.nn.avg_pool2d(images, STRIDE, STRIDE, "SAME")}

    def refine(self, features, state=None):
        if not self.is_recurrent:
            return {"canvas": features["colors"]}
        if state is None:
            return {"canvas": features["colors"] + self.offset, "step": tf.constant(1)}
        canvas = tf.where(state["step"] == 1, state["canvas"] - self.offset, state["canvas"])
        return {"canvas": canvas, "step": state["step"] + 1}


def blocks(class_ids):
    """[4 * h, 4 * w, 3] uint8 image in which the network finds `class_ids` [h, w]."""
    return np.array(COLORS, np.uint8)[np.asarray(class_ids).repeat(STRIDE, 0).repeat(STRIDE, 1)]


def inner_label(class_ids):
    """[4 * h, 4 * w] uint8 label of `blocks(class_ids)`, all of which the network finds: block borders are ignored."""
    is_inner = np.zeros([STRIDE, STRIDE], bool)
    is_inner[1:3, 1:3] = True
    label = np.asarray(class_ids).repeat(STRIDE, 0).repeat(STRIDE, 1)
    return np.where(np.tile(is_inner, np.shape(class_ids)), label, INFO.ignore_label).astype(np.uint8)


def striped(height, width, side=32):
    """[height, width] class ids 0, 1, 2 in squares of `side` pixels."""
    rows, columns = np.arange(height) // side, np.arange(width) // side
    return (rows[:, np.newaxis] + columns) % 3


def dataset(examples):
    """A tf.data.Dataset like that of `pipeline.eval_examples`, made from triples (image, label, filename)."""

    def generate():
        for image, label, filename in examples:
            yield {"image": image[np.newaxis], "label": label[np.newaxis].astype(np.int32), "filename": [filename]}

    return tf.data.Dataset.from_generator(
        generate,
        output_signature={
            "image": tf.TensorSpec([1, None, None, 3], tf.uint8),
            "label": tf.TensorSpec([1, None, None], tf.int32),
            "filename": tf.TensorSpec([1], tf.string),
        },
    )
