"""A dynamic cell on CamVid as in its paper: 10 epochs on a frozen arch2, 16 clips of three labelled frames an update.

python train.py --config=model_zoo/camvid/arch2_video_mobilenet_v2_paper.py --data_dir=CamVid \
    --init_from=runs/camvid_arch2_paper --workdir=runs/camvid_cell_paper

The second of three stages (arXiv:1904.02371, Sec. 6); the third, which trains arch2 as well, is
arch2_video_mobilenet_v2_joint_paper.py.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.arch2_video(backbones.mobilenet_v2(output_stride=32)),
        data=dataclasses.replace(
            data.dynamic_cells_paper(data.camvid(), crop_size=(400, 480), has_scales=False), frame_gap=31
        ),
        training=schedules.cells_paper(num_images=367, epochs=10, global_batch_size=16),
    )
