"""DeeperLab on the generated scenes, whose things overlap and are small: images are enlarged to twice their size.

python train.py --model=deeperlab --workdir=runs/scenes_deeperlab
python evaluate.py --model=runs/scenes_deeperlab --split=test
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    training = dataclasses.replace(schedules.scenes(), class_weights="none", warmup_steps=100)
    return ExperimentConfig(
        model=models.scenes_deeperlab(backbones.mobilenet_v2(0.5, padding="symmetric")),
        data=data.scenes(),
        training=dataclasses.replace(training, validate_every=0, checkpoint_every=100),
    )
