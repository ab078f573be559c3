"""DeeperLab on the generated scenes, whose things overlap and are small: images are enlarged to twice their size.

python train.py --model=deeperlab --workdir=runs/scenes_deeperlab
python evaluate.py --workdir=runs/scenes_deeperlab --split=test
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.scenes_deeperlab(backbones.mobilenet_v2(0.5, padding="symmetric")),
        data=data.scenes(),
        training=dataclasses.replace(schedules.scenes(), warmup_steps=100, validate_every=0, checkpoint_every=100),
    )
