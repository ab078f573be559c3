"""Validation during training: scores and pictures of the current weights, and warnings about them."""

import itertools

import numpy as np
import tensorflow as tf

from tfseg.data.opening import Split
from tfseg.evaluation import semantic
from tfseg.layers.resize import upsample
from tfseg.metrics.class_scores import Accuracy, ClassIoU
from tfseg.system.progress import say

NUM_PICTURES = 4
NUM_COMPARED_IMAGES = 16
# A difference in pixel accuracy that no healthy training shows between its batches and the same images as evaluated.
FAR_ABOVE = 0.1


def validator(split: Split, draw):
    """Makes the function network -> (scalars, pictures) that validates on a split.

    Args:
      split: the validation split.
      draw: (image, class id maps, label, info) -> uint8 picture [height, width, 3], or None for no pictures.
    Returns:
      A function that takes the network and returns
      scalars: "miou" and "pixel_accuracy" after the configured number of iterations, "miou_<k>" after iteration k;
      pictures: uint8 [n, height, width, 3], what `draw` makes of the first images; pictures of another size than the
        first are omitted.
    """

    def validate(network):
        with split.damage_named():
            result = semantic.evaluate(
                network,
                split.examples(),
                split.info,
                iterations=network.default_iterations,
                num_examples=split.num_examples,
                metrics=(ClassIoU, Accuracy),
            )
        mious = [entry["miou"] for entry in result["iterations"]]
        scalars = {"miou": mious[-1], "pixel_accuracy": result["iterations"][-1]["pixel_accuracy"]}
        scalars |= {f"miou_{index}": value for index, value in enumerate(mious, 1)}
        for line in semantic.never_predicted(result):
            say(line)
        return scalars, _pictures(network, split, draw)

    return validate


def warn_of_other_statistics(trainer, batches, ignore_label):
    """Prints a warning if the network is far better on training images in training than in use.

    In training, batch normalisation uses the statistics of the batch; in use it uses its moving statistics, and the
    network has averaged weights. If the pixel accuracies differ by more than `FAR_ABOVE`, one of these is at fault.

    Args:
      trainer: the trained `Trainer`.
      batches: training batches with "image" and "label"; about `NUM_COMPARED_IMAGES` images are read.
      ignore_label: class id of pixels without a label.
    """
    count = max(1, NUM_COMPARED_IMAGES // next(iter(batches))["image"].shape[0])
    batches = [(batch["image"], batch["label"]) for batch in itertools.islice(batches, count)]
    in_training = _accuracy(trainer, batches, ignore_label, training=True)
    with trainer.average.applied():
        in_use = _accuracy(trainer, batches, ignore_label, training=False)
    if in_training - in_use > FAR_ABOVE:
        say(
            f"warning: of the pixels of the same training images, {in_training:.1%} are right in training but only "
            f"{in_use:.1%} in use, with moving statistics and averaged weights. Take a larger --batch_size or "
            "--crop_size, more --steps, or --config.training.freeze_batch_norm=true"
        )


def _accuracy(trainer, batches, ignore_label, training):
    """Pixel accuracy on the batches; moving statistics stay as they are."""
    network, strategy = trainer.network, trainer.distribute_strategy

    @tf.function
    def count(images, labels):
        logits = network(images, training=training)["semantic_logits"]
        logits = upsample(logits, tf.shape(labels)[1:3], network.canvas_stride, network.padding)
        valid = labels != ignore_label
        is_right = (tf.argmax(logits, -1, tf.int32) == labels) & valid
        return tf.math.count_nonzero(is_right), tf.math.count_nonzero(valid)

    statistics = network.non_trainable_variables
    kept = [variable.numpy() for variable in statistics]
    counts = [
        [int(strategy.experimental_local_results(value)[0]) for value in strategy.run(count, args=batch)]
        for batch in batches
    ]
    for variable, value in zip(statistics, kept, strict=True):
        variable.assign(value)
    right, labelled = np.sum(counts, 0)
    return right / max(labelled, 1)


def _pictures(network, split, draw):
    if draw is None:
        return np.zeros([0, 1, 1, 3], np.uint8)
    pictures = []
    for example in split.examples().take(NUM_PICTURES):
        image, label = example["image"][0].numpy(), example["label"][0].numpy()
        maps = semantic.class_maps(network, image, network.default_iterations)
        pictures.append(draw(image, maps, label, split.info))
    size = pictures[0].shape
    return np.stack([picture for picture in pictures if picture.shape == size])
