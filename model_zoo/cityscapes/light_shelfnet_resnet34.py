"""Light-weight ShelfNet34 on Cityscapes' fine labels (19 classes), trained like light_shelfnet_resnet18.py.

python train.py --config=model_zoo/cityscapes/light_shelfnet_resnet34.py --data_dir=cityscapes \
    --init_backbone_from=resnet34.safetensors --workdir=runs/cityscapes_light_shelfnet34

Levels as wide as the backbone's maps, which are not reduced, and no dropout. Authors: 79.0 mIoU on test. Not trained by
us.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    config = models.light_shelfnet(backbones.torchvision_resnet("resnet34"), width=128)
    return ExperimentConfig(
        model=dataclasses.replace(config, has_reduction=False, dropout_rate=0.0),
        data=data.light_shelfnet(),
        training=schedules.light_shelfnet(),
    )
