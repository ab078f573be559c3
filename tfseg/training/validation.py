"""Validation while training: scalars and pictures of the current weights."""

import numpy as np

from tfseg.data import pipeline
from tfseg.data.manifest import check_split, split_files
from tfseg.evaluation import semantic

NUM_PICTURES = 4


def validator(config, manifest, data_dir, draw):
    """A function network -> (scalars, pictures) on the validation split.

    Args:
      config: the ExperimentConfig.
      draw: (image, class id maps, label, info) -> uint8 picture [height, width, 3], or None for no pictures.
    Returns:
      scalars: "miou" after the configured number of iterations, "miou_<k>" after iteration k, "pixel_accuracy".
      pictures: uint8 [n, height, width, 3]: image, label, canvas after each iteration.
    """
    split = config.data.validation_split
    check_split(manifest, data_dir, split)
    files = split_files(manifest, data_dir, split)
    info = manifest.info

    def validate(network):
        result = semantic.evaluate(
            network,
            pipeline.eval_examples(files, info),
            info,
            iterations=network.default_iterations,
            num_examples=manifest.splits[split].num_examples,
        )
        mious = [entry["miou"] for entry in result["iterations"]]
        scalars = {"miou": mious[-1], "pixel_accuracy": result["iterations"][-1]["pixel_accuracy"]}
        scalars |= {f"miou_{index}": value for index, value in enumerate(mious, 1)}
        return scalars, _pictures(network, files, info, draw)

    return validate


def _pictures(network, files, info, draw):
    if draw is None:
        return np.zeros([0, 1, 1, 3], np.uint8)
    pictures = []
    for example in pipeline.eval_examples(files, info).take(NUM_PICTURES):
        image, label = example["image"][0].numpy(), example["label"][0].numpy()
        maps = semantic.class_maps(network, image, network.default_iterations)
        pictures.append(draw(image, maps, label, info))
    size = pictures[0].shape
    return np.stack([picture for picture in pictures if picture.shape == size])
