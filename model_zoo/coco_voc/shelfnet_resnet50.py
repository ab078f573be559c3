"""ShelfNet50 on COCO with the 21 classes of VOC (512x512): the first stage of its training on VOC.

python train.py --config=model_zoo/coco_voc/shelfnet_resnet50.py --data_dir=coco \
    --init_backbone_from=resnet50.safetensors --workdir=runs/coco_shelfnet50

The steps are 30 epochs of 92,500 images, our estimate of those that show enough of VOC's objects; a note at conversion
says how many do. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.torchvision_resnet("resnet50_v1_5")),
        data=data.shelfnet(data.coco_voc(), crop_size=(512, 512)),
        training=schedules.shelfnet_paper(92_500, epochs=30),
    )
