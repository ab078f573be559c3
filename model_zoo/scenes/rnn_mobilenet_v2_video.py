"""Recurrent segmenter on the videos of the generated scenes, trained further to start a frame from the one before.

python train.py --config=model_zoo/scenes/rnn_mobilenet_v2_video.py --init_from=runs/scenes_rnn \
    --workdir=runs/scenes_rnn_video
python evaluate.py --model=runs/scenes_rnn_video --video --split=clips

In three of four steps a frame starts from the state of the real frame before it, moved as in use.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.video(models.fine_rnn(backbones.mobilenet_v2(0.35), widths=(32, 16), iterations_range=(3, 9))),
        data=dataclasses.replace(data.scenes(), train_split="train_clips", frame_gap=1),
        training=schedules.scenes_video(),
    )
