"""ShelfNet50 on PASCAL VOC 2012 with the augmented masks (21 classes): 50 epochs of 10,582 images, crops of 512x512.

python train.py --config=model_zoo/voc2012/shelfnet_resnet50.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=resnet50.safetensors --workdir=runs/voc2012_shelfnet50
    As the second stage, after coco_voc/shelfnet_resnet50.py, --init_from=runs/coco_shelfnet50 takes the place of
    --init_backbone_from.

Then shelfnet_resnet50_fine.py. Paper, after that: 79.0 mIoU on test, with COCO 82.8. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.torchvision_resnet("resnet50_v1_5")),
        data=data.shelfnet(data.voc2012(), crop_size=(512, 512)),
        training=schedules.shelfnet_paper(10_582, epochs=50),
    )
