"""Recurrent segmenter on MobileNetV2 for CamVid, trained further to start a frame from the one before.

python train.py --config=model_zoo/camvid/rnn_mobilenet_v2_video.py --data_dir=CamVid \
    --init_from=model_zoo/camvid_rnn_mobilenet_v2 --workdir=runs/camvid_rnn_video
python evaluate.py --model=runs/camvid_rnn_video --video --compare=model_zoo/camvid_deeplabv3_mobilenet_v2

In three of four steps the labelled frame starts from the state of a frame before it, which is made from it.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.video(models.fine_rnn(backbones.mobilenet_v2(), widths=(48, 24), iterations_range=(5, 8))),
        data=data.camvid(),
        training=schedules.camvid_video(),
    )
