"""ShelfNet on MobileNetV2 for your own images and masks.

python train.py --model=shelfnet --dataset=folder --data_dir=DIR --workdir=runs/mine
    DIR holds images/ and masks/ (or train/ and val/ with both), and classes.txt with one class name a line.

What is good to change first: see rnn_mobilenet_v2.py beside this file.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.shelfnet(backbones.mobilenet_v2(output_stride=32), width=32),
        data=data.folder(),
        training=schedules.folder(),
    )
