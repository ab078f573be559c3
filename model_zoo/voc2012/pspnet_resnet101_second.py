"""PSPNet on PASCAL VOC 2012 with the augmented masks (512x512): the second stage of ShelfNet's training, after COCO.

python train.py --config=model_zoo/voc2012/pspnet_resnet101_second.py --data_dir=VOCdevkit/VOC2012 \
    --init_from=runs/coco_voc --workdir=runs/voc2012_second

Before: model_zoo/coco_voc/pspnet_resnet101.py; after: pspnet_resnet101_third.py. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.pspnet(backbones.resnet101()),
        data=data.shelfnet(data.voc2012(), crop_size=(512, 512)),
        training=schedules.shelfnet_paper(10_582, epochs=50),
    )
