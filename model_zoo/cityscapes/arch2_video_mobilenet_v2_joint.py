"""A dynamic cell and arch2 together on Cityscapes as in their paper: 200 epochs, Adam for the cell, SGD for arch2.

python train.py --config=model_zoo/cityscapes/arch2_video_mobilenet_v2_joint.py --data_dir=cityscapes \
    --init_from=runs/cityscapes_cell --workdir=runs/cityscapes_cell_joint

The last of three stages (arXiv:1904.02371, Sec. 6), with the learning rates of CamVid. Not trained by us: the paper has
75.6 % mIoU on val with its cells, and 74.4 % with arch2 frame by frame.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    plain = data.dynamic_cells_paper(data.cityscapes(), crop_size=(769, 769), has_scales=False)
    return ExperimentConfig(
        model=models.whole_arch2_video(backbones.mobilenet_v2(output_stride=32), genotype="cell2_like", frames=2),
        data=dataclasses.replace(plain, frame_gap=1),
        training=schedules.joint_cells_paper(num_images=2975, epochs=200, global_batch_size=16),
    )
