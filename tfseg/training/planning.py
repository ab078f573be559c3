"""Chooses what a recipe leaves open, by the number and size of the training images.

A recipe leaves open how long a run trains (`training.total_steps` = 0), how often it validates
(`training.validate_every` = -1), what it starts from (`training.init_backbone_from` = "auto"), how large its crops are
(`data.crop_size` = (0, 0)) and how far images are scaled before (`data.min_scale` and `max_scale` = 0). What is given,
in a recipe or by a flag, is kept.
"""

import dataclasses
import math

from tfseg.backbones import imagenet
from tfseg.config import AUTO, CHOSEN_CROP, CHOSEN_SCALES, ExperimentConfig
from tfseg.runs import zoo
from tfseg.runs.run_directory import read_config

FEW_IMAGES = 200
# How often each image is seen, and the least number of updates: of few images, and of more.
FEW_PASSES, FEW_LEAST = 40, 400
PASSES, LEAST = 20, 5000
# In a short run on few images, objects are best seen in about the sizes that they have in use.
FEW_SCALES, SCALES = (0.7, 1.4), (0.5, 2.0)
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
    is_few = num_images < FEW_IMAGES
    training, chosen = _planned_training(config, num_images, is_few)
    data, of_size, warnings = config.data, "", []
    if tuple(data.crop_size) == CHOSEN_CROP:
        size = usual_size()
        data = dataclasses.replace(data, crop_size=tuple(_crop_side(side) for side in size))
        of_size = f" of {size[0]}x{size[1]}"
        chosen.append(f"crops of {data.crop_size[0]}x{data.crop_size[1]} (--crop_size)")
        warnings = _too_large(size, data.crop_size)
    if (data.min_scale, data.max_scale) == CHOSEN_SCALES:
        low, high = FEW_SCALES if is_few and not data.scales else SCALES
        data = dataclasses.replace(data, min_scale=low, max_scale=high)
        if not data.scales:
            chosen.append(f"scales of {low} to {high} (--config.data.min_scale, max_scale)")
    lines = [f"note: {num_images} training images{of_size}: {', '.join(chosen)}"] if chosen else []
    return dataclasses.replace(config, training=training, data=data), lines + warnings


def _planned_training(config, num_images, is_few):
    """Returns (the training with nothing left open, phrases that say what was chosen)."""
    training, chosen = config.training, []
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
    return training, chosen


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
    if not config.model.backbone.has_weights_like(other.model.backbone):
        return {"init_backbone_from": imagenet.NAME}
    if type(config.model) is not type(other.model):
        return {"init_backbone_from": training.few_images_from}
    return {"init_from": training.few_images_from, "init_backbone_from": None}
