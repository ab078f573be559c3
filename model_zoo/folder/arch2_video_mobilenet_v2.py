"""arch2 with a dynamic cell for videos like your own images: the cell alone learns, on a trained arch2.

python train.py --model=arch2_video --dataset=folder --data_dir=DIR --init_from=runs/mine --workdir=runs/mine_video
    runs/mine is a run of arch2 on the same images, see arch2_mobilenet_v2.py. The frames before an image are made of
    it, zoomed and shifted, as by a moving camera.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.arch2_video(backbones.mobilenet_v2(output_stride=32)),
        data=data.folder(),
        training=schedules.cells(total_steps=600),
    )
