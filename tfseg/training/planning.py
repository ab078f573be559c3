"""Chooses what a recipe leaves open, by the number and size of the training images.

A recipe leaves open how long a run trains (`training.total_steps` = 0), how often it validates
(`training.validate_every` = -1), what it starts from (`training.init_backbone_from` = "auto") and how large its crops
are (`data.crop_size` = (0, 0)). What is given, in a recipe or by a flag, is kept.
"""

import dataclasses
import math

from tfseg.backbones import imagenet
from tfseg.config import AUTO, CHOSEN_CROP, ExperimentConfig
from tfseg.runs import zoo
from tfseg.runs.run_directory import read_config

FEW_IMAGES = 200
# How often each image is seen, and the least number of updates: of few images, and of more.
FEW_PASSES, FEW_LEAST = 40, 400
PASSES, LEAST = 20, 5000
VALIDATIONS = 10  # in a run
# Crops are as large as the images, up to this side in pixels, in steps that every stride divides.
LARGEST_CROP, CROP_STEP = 320, 32
# Crops that show a smaller share of an image say little about what surrounds things.
LEAST_SHARE = 0.1


def planned(config: ExperimentConfig, num_images: int, usual_size=None) -> tuple[ExperimentConfig, list[str]]:
    """Fills in what the experiment leaves open.

    Args:
      config: the experiment.
      num_images: number of its training images.
      usual_size: function that returns (height, width) of most of them, in pixels; called if the crops are open.
    Returns:
      (the experiment, with nothing left open; lines that say what was chosen, none if nothing was open).
    """
    training, chosen = config.training, []
    is_few = num_images < FEW_IMAGES
    if training.init_backbone_from == AUTO:
        training = dataclasses.replace(training, **_start(config, is_few))
        chosen.append(f"start from {training.init_from or training.init_backbone_from}")
    if training.total_steps == 0:
        passes, least = (FEW_PASSES, FEW_LEAST) if is_few else (PASSES, LEAST)
        steps = max(least, round(passes * num_images / training.global_batch_size))
        training = dataclasses.replace(training, total_steps=steps)
        chosen.append(f"{steps} updates (--steps)")
    if training.validate_every < 0:
        every = max(1, training.total_steps // VALIDATIONS)
        training = dataclasses.replace(training, validate_every=every)
        chosen.append(f"validation every {every} (--validate_every)")
        if training.patience:
            chosen.append(f"end after {training.patience} without a better one (--patience)")
    data, of_size, warnings = config.data, "", []
    if tuple(data.crop_size) == CHOSEN_CROP:
        size = usual_size()
        data = dataclasses.replace(data, crop_size=tuple(_crop_side(side) for side in size))
        of_size = f" of {size[0]}x{size[1]}"
        chosen.append(f"crops of {data.crop_size[0]}x{data.crop_size[1]} (--crop_size)")
        warnings = _too_large(size, data.crop_size)
    lines = [f"note: {num_images} training images{of_size}: {', '.join(chosen)}"] if chosen else []
    return dataclasses.replace(config, training=training, data=data), lines + warnings


def _crop_side(side):
    return min(LARGEST_CROP, CROP_STEP * max(1, math.ceil(side / CROP_STEP)))


def _too_large(size, crop_size):
    share = math.prod(crop_size) / math.prod(size)
    if share >= LEAST_SHARE:
        return []
    return [
        f"warning: the crops show only {share:.0%} of an image of {size[0]}x{size[1]}. If things are larger than that, "
        "take a larger --crop_size; or train on smaller images (prepare_data.py --longest_side=640), and use such"
    ]


def _start(config, is_few):
    """Returns the fields that say what a run starts from."""
    training = config.training
    if training.init_from:
        return {"init_backbone_from": None}
    if not (is_few and training.few_images_from):
        return {"init_backbone_from": imagenet.NAME}
    other, _ = read_config(zoo.resolved(training.few_images_from))
    ours, theirs = config.model.backbone, other.model.backbone
    if (ours.name, ours.width_multiplier) != (theirs.name, theirs.width_multiplier):
        return {"init_backbone_from": imagenet.NAME}
    if type(config.model) is not type(other.model):
        return {"init_backbone_from": training.few_images_from}
    return {"init_from": training.few_images_from, "init_backbone_from": None}
