"""ShelfNet101 on Cityscapes' fine labels (19 classes): 500 epochs of 2,975 images, crops of 768x768.

python train.py --config=model_zoo/cityscapes/shelfnet_resnet101.py --data_dir=cityscapes \
    --init_backbone_from=resnet101.safetensors --workdir=runs/cityscapes_shelfnet101

Paper: 74.4 mIoU on test at six scales. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.torchvision_resnet("resnet101_v1_5")),
        data=data.shelfnet(data.cityscapes(), crop_size=(768, 768)),
        training=schedules.shelfnet_paper(2975, epochs=500, global_batch_size=6, learning_rate=5e-3),
    )
