"""A dynamic cell and arch2 together on CamVid as in their paper: 100 epochs, Adam for the cell, SGD for arch2.

python train.py --config=model_zoo/camvid/arch2_video_mobilenet_v2_joint_paper.py --data_dir=CamVid \
    --init_from=runs/camvid_cell_paper --workdir=runs/camvid_cell_joint_paper

The last of three stages (arXiv:1904.02371, Sec. 6), after arch2_video_mobilenet_v2_paper.py. Not trained by us: the
paper has 66.6 and 66.9 % mIoU on the test split with its cells, and 65.3 % with arch2 frame by frame.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    plain = data.dynamic_cells_paper(data.camvid(), crop_size=(400, 480), has_scales=False)
    return ExperimentConfig(
        model=models.whole_arch2_video(backbones.mobilenet_v2(output_stride=32)),
        data=dataclasses.replace(plain, frame_gap=31),
        training=schedules.joint_cells_paper(num_images=367, epochs=100, global_batch_size=16),
    )
