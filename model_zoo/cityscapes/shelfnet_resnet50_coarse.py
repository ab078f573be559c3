"""ShelfNet50 on the coarse labels of Cityscapes (768x768): the first of two stages, before shelfnet_resnet50.py.

python train.py --config=model_zoo/cityscapes/shelfnet_resnet50_coarse.py --data_dir=cityscapes \
    --init_backbone_from=resnet50.safetensors --workdir=runs/cityscapes_coarse_shelfnet50

Paper, after both stages: 75.8 mIoU on test at six scales. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.torchvision_resnet("resnet50_v1_5")),
        data=data.shelfnet(data.cityscapes(train_split="train_coarse"), crop_size=(768, 768)),
        training=schedules.shelfnet_paper(22_973, epochs=30, global_batch_size=6),
    )
