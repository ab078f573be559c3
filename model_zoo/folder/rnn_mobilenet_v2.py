"""Recurrent segmenter on MobileNetV2 for your own images and masks.

python train.py --model=rnn --dataset=folder --data_dir=DIR --workdir=runs/mine
    DIR holds images/ and masks/ (or train/ and val/ with both), and classes.txt with one class name a line.

Good to change first: --crop_size (if your images are much larger than 320 pixels), --batch_size (what fits in memory).
What it starts from, and for how many updates it trains, is chosen by the number of images, and printed; --init_from,
--init_backbone_from and --steps choose otherwise, see docs/training.md.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.fine_rnn(backbones.mobilenet_v2(), widths=(48, 24), iterations_range=(5, 8)),
        data=data.folder(),
        training=schedules.folder(),
    )
