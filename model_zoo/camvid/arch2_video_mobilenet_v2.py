"""arch2 with a dynamic cell on CamVid: the cell alone learns, on a trained arch2 that stays as it is.

python train.py --config=model_zoo/camvid/arch2_video_mobilenet_v2.py --data_dir=CamVid \
    --init_from=runs/camvid_arch2 --workdir=runs/camvid_arch2_video
python evaluate.py --model=runs/camvid_arch2_video --video --compare=runs/camvid_arch2

A cell that search.py found is given as --config.model.genotype="3 4 5 ...". Clips are three labelled frames in a row,
which lie 30 apart; the second and the third have a loss. 10 times through the 367 frames, 8 clips an update.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.arch2_video(backbones.mobilenet_v2(output_stride=32)),
        data=dataclasses.replace(data.camvid(), frame_gap=31),
        training=schedules.cells(total_steps=460),
    )
