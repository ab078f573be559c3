"""A small network for CamVid whose backbone hardly moves: what runs on few images of other things start from.

python train.py --config=model_zoo/camvid/fcn_mobilenet_v2.py --data_dir=CamVid \
    --init_backbone_from=deeplabv3_mobilenet_v2_voc2012_folded.npz --workdir=runs/camvid_fcn

A backbone that learned 367 street frames at the whole rate has lost some of what it knew of other things. Chosen on a
part of the nuclei's training images, as two classes, from which 131 were taken (mIoU on 223 others after 490 updates):
the backbone of camvid/rnn_mobilenet_v2 89.9, one that learned at a twentieth of the rate 90.4.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.fine_fcn(backbones.mobilenet_v2(), widths=(64, 64)),
        data=data.camvid(),
        training=schedules.camvid_start(),
    )
