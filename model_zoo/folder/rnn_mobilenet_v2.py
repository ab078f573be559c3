"""Recurrent segmenter on MobileNetV2 for your own images and masks.

python train.py --model=rnn --dataset=folder --data_dir=DIR --workdir=runs/mine
    DIR holds images/ and masks/ (or train/ and val/ with both), and classes.txt with one class name a line.

Good to change first: --crop_size (a little less than your images), --steps (30 to 100 times through the images),
--batch_size (what fits in memory). The backbone starts from ImageNet's weights, which Keras downloads once. Others:
--init_backbone_from=FILE, or --init_from=zoo:camvid_rnn_mobilenet_v2 for a whole model; see docs/training.md.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.fine_rnn(backbones.mobilenet_v2(), widths=(48, 24), iterations_range=(5, 8)),
        data=data.folder(),
        training=schedules.folder("zoo:camvid_rnn_mobilenet_v2"),
    )
