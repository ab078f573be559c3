"""ShelfNet50 on PASCAL VOC 2012 with the augmented masks (21 classes): 50 epochs of 10,582 images, crops of 512x512.

python train.py --config=model_zoo/voc2012/shelfnet_resnet50.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=resnet50.safetensors --workdir=runs/voc2012_shelfnet50

Paper: 79.0 mIoU on test without COCO, after 50 further epochs on the 1,464 images of VOC itself. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.torchvision_resnet("resnet50_v1_5")),
        data=data.shelfnet(data.voc2012(), crop_size=(512, 512)),
        training=schedules.shelfnet_paper(10_582, epochs=50, global_batch_size=12),
    )
