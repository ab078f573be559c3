"""arch2 with a dynamic cell on the videos of the generated scenes: the cell alone learns, on a trained arch2.

python train.py --config=model_zoo/scenes/arch2_video_mobilenet_v2.py --init_from=runs/scenes_arch2 \
    --workdir=runs/scenes_arch2_video
python evaluate.py --model=runs/scenes_arch2_video --video --split=clips --compare=runs/scenes_arch2

A cell that search.py found is given as --config.model.genotype="3 4 5 ...".
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.arch2_video(backbones.mobilenet_v2(0.35, output_stride=32)),
        data=dataclasses.replace(data.scenes(), train_split="train_clips", frame_gap=1),
        training=schedules.cells(total_steps=600),
    )
