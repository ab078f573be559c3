"""ShelfNet50 on PASCAL-Context (59 classes; the background is ignored): 80 epochs of 4,998 images, crops of 512x512.

python train.py --config=model_zoo/pascal_context/shelfnet_resnet50.py --data_dir=VOCdevkit/VOC2010 \
    --init_backbone_from=resnet50.safetensors --workdir=runs/pascal_context_shelfnet50
python evaluate.py --model=runs/pascal_context_shelfnet50 --multi_scale --flip

Paper: 45.6 mIoU. Not trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.torchvision_resnet("resnet50_v1_5")),
        data=data.shelfnet(data.pascal_context(), crop_size=(512, 512)),
        training=schedules.shelfnet_paper(4998, epochs=80, learning_rate=1e-3),
    )
