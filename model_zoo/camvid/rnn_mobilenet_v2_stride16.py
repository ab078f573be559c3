"""The paper's form of the recurrent segmenter on CamVid: canvas at stride 16, the backbone's last features only.

python train.py --config=model_zoo/camvid/rnn_mobilenet_v2_stride16.py --data_dir=CamVid \
    --init_backbone_from=deeplabv3_mobilenet_v2_voc2012_folded.npz --workdir=runs/camvid_rnn_stride16

Trained as long and in the same way as rnn_mobilenet_v2.py, to show what the finer canvas brings.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=dataclasses.replace(models.rnn(backbones.mobilenet_v2()), iterations_range=(5, 8)),
        data=data.camvid(),
        training=schedules.camvid(),
    )
