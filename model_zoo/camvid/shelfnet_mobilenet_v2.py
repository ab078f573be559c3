"""ShelfNet on MobileNetV2 for CamVid (11 classes, 360x480), trained in the same way as rnn_mobilenet_v2.py.

python train.py --config=model_zoo/camvid/shelfnet_mobilenet_v2.py --data_dir=CamVid \
    --init_backbone_from=deeplabv3_mobilenet_v2_voc2012_folded.npz --workdir=runs/camvid_shelfnet

Columns of half the paper's width, since the backbone is narrower, too. 2,200 updates of 8 images take two hours on two
cores of an AMD EPYC; the other models for CamVid have 3,700.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.mobilenet_v2(output_stride=32), width=32),
        data=data.camvid(),
        training=dataclasses.replace(schedules.camvid(), total_steps=2200),
    )
