"""Validation during training: scores and pictures of the current weights."""

import numpy as np

from tfseg.data.opening import Split
from tfseg.evaluation import semantic
from tfseg.metrics.class_scores import Accuracy, ClassIoU

NUM_PICTURES = 4


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
        return scalars, _pictures(network, split, draw)

    return validate


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
