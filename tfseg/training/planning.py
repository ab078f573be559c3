"""Chooses what a recipe leaves open, by the number of training images.

A recipe leaves open how long a run trains (`training.total_steps` = 0), how often it validates
(`training.validate_every` = -1) and what it starts from (`training.init_backbone_from` = "auto"). What is given, in a
recipe or by a flag, is kept.
"""

import dataclasses

from tfseg.backbones import imagenet
from tfseg.config import AUTO, ExperimentConfig
from tfseg.runs import zoo
from tfseg.runs.run_directory import read_config

FEW_IMAGES = 200
# How often each image is seen, and the least number of updates: of few images, and of more.
FEW_PASSES, FEW_LEAST = 40, 400
PASSES, LEAST = 20, 5000
VALIDATIONS = 10  # in a run


def planned(config: ExperimentConfig, num_images: int) -> tuple[ExperimentConfig, list[str]]:
    """Fills in what the experiment leaves open.

    Args:
      config: the experiment.
      num_images: number of its training images.
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
    lines = [f"note: {num_images} training images: {', '.join(chosen)}"] if chosen else []
    return dataclasses.replace(config, training=training), lines


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
