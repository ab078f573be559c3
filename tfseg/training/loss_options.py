"""What the losses of a run depend on besides the model: the weights of classes, and which pixels have a loss."""

from pathlib import Path

import numpy as np

from tfseg.errors import InputError, listed
from tfseg.losses.semantic import HardPixels, median_frequency_weights
from tfseg.system.small_files import damage_named, number_of, read_bytes, text_of


def loss_options(training, manifest, split) -> dict:
    """Returns the arguments of an architecture's losses that the training part of a config decides.

    Args:
      training: the training part of an ExperimentConfig.
      manifest, split: see `class_weights`.
    Raises:
      InputError: in the cases of `class_weights`.
    """
    options = {"class_weights": class_weights(training.class_weights, manifest, split)}
    if training.loss == "ohem":
        options["hard_pixels"] = HardPixels(training.ohem_threshold, training.ohem_share)
    return options


def class_weights(choice, manifest, split):
    """Returns the class weights that `--class_weights` asks for.

    Args:
      choice: "none", "median" (median frequency balancing), "root_median" (its square root, which lowers the weights of
        frequent classes less), or a file with one number per line.
      manifest: the Manifest of the records, with the label histograms.
      split: name of the split whose labels are counted.
    Returns:
      A list with one float per class, or None for no weights.
    Raises:
      InputError: there is no such file, or it does not hold one finite weight per class.
    """
    info = manifest.info
    if choice == "none":
        return None
    if choice in ("median", "root_median"):
        weights = median_frequency_weights(manifest.splits[split].label_histogram)
        return [weight**0.5 for weight in weights] if choice == "root_median" else weights
    path = Path(choice)
    if not path.exists():
        raise InputError(f"--class_weights={choice}: no such file; none, median, root_median, or a file of weights")
    with damage_named(path, "it has one number a class"):
        words = text_of(read_bytes(path)).split()
        weights = [number_of(word, f"number {index}") for index, word in enumerate(words, 1)]
    if len(weights) != info.num_classes or min(weights) < 0 or not np.isfinite(weights).all():
        raise InputError(
            f"{path}: {info.num_classes} finite weights of 0 or more are needed, one a class; it has {len(weights)}: "
            f"{listed(weights)}"
        )
    return weights
