"""PSPNet on PASCAL VOC 2012 with the augmented masks (21 classes, 513x513).

python train.py --config=model_zoo/voc2012/pspnet_resnet101.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=resnet_v1_101_coco/model.ckpt --workdir=runs/voc2012_pspnet

Paper: 85.4 mIoU on test, with more data. Its auxiliary loss is left out here. Not trained by us.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.pspnet(dataclasses.replace(backbones.resnet101(), output_stride=8, multi_grid=(1, 1, 1))),
        data=data.voc2012(),
        training=schedules.recurrent_paper(),
    )
