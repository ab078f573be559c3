"""arch2 on the generated scenes: the backbone and training of the demo.

python train.py --model=arch2
python evaluate.py --model=runs/scenes_arch2
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.arch2(backbones.mobilenet_v2(0.35, output_stride=32)),
        data=data.scenes(),
        training=schedules.scenes(),
    )
