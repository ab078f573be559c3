"""DeepLabV3 on PASCAL VOC 2012 with the augmented masks (21 classes, 513x513).

python train.py --config=model_zoo/voc2012/deeplabv3_resnet101.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=resnet_v1_101_coco/model.ckpt --workdir=runs/voc2012_deeplabv3
python evaluate.py --workdir=runs/voc2012_deeplabv3 --multi_scale --flip

The beta stem is that of DeepLab's checkpoints. Paper: 85.7 mIoU on test, with more data and at output stride 8. Not
trained by us.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.deeplabv3(backbones.resnet101(has_beta_stem=True)),
        data=data.voc2012(),
        training=schedules.recurrent_paper(),
    )
