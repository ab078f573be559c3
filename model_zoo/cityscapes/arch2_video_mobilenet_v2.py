"""A dynamic cell on Cityscapes as in its paper: 200 epochs on a frozen arch2, 16 pairs of frames an update.

python train.py --config=model_zoo/cityscapes/arch2_video_mobilenet_v2.py --data_dir=cityscapes \
    --init_from=runs/cityscapes_arch2 --workdir=runs/cityscapes_cell
    cityscapes/ holds the sequences, too (leftImg8bit_sequence): of each labelled frame the raw one before is read.

The second of three stages (arXiv:1904.02371, Sec. 6). The paper does not print its learning rate here: it is CamVid's.
"""

import dataclasses

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    plain = data.dynamic_cells_paper(data.cityscapes(), crop_size=(769, 769), has_scales=False)
    return ExperimentConfig(
        model=models.arch2_video(backbones.mobilenet_v2(output_stride=32), genotype="cell2_like", frames=2),
        data=dataclasses.replace(plain, frame_gap=1),
        training=schedules.cells_paper(num_images=2975, epochs=200, global_batch_size=16),
    )
