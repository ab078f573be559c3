"""ShelfNet50 on Cityscapes' fine labels (19 classes): 500 epochs of 2,975 images, crops of 768x768.

python train.py --config=model_zoo/cityscapes/shelfnet_resnet50.py --data_dir=cityscapes \
    --init_backbone_from=resnet50.safetensors --workdir=runs/cityscapes_shelfnet50
    As the second stage, after shelfnet_resnet50_coarse.py, --init_from=runs/cityscapes_coarse_shelfnet50 takes the
    place of --init_backbone_from.

Paper: 72.4 mIoU on test at six scales, after the coarse labels 75.8. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.torchvision_resnet("resnet50_v1_5")),
        data=data.shelfnet(data.cityscapes(), crop_size=(768, 768)),
        training=schedules.shelfnet_paper(2975, epochs=500, global_batch_size=6, learning_rate=5e-3),
    )
