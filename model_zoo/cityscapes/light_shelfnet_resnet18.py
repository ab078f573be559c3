"""Light-weight ShelfNet18 on Cityscapes' fine labels (19 classes): 80,000 updates of crops of 1024x1024.

python train.py --config=model_zoo/cityscapes/light_shelfnet_resnet18.py --data_dir=cityscapes \
    --init_backbone_from=resnet18.safetensors --workdir=runs/cityscapes_light_shelfnet18

Authors: 74.8 mIoU on test at one scale. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.light_shelfnet(backbones.torchvision_resnet("resnet18")),
        data=data.light_shelfnet(),
        training=schedules.light_shelfnet(),
    )
