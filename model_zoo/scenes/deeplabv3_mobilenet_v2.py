"""DeepLabV3 on the generated scenes: the backbone and training of the demo.

python train.py --model=deeplabv3
python evaluate.py --workdir=runs/scenes_deeplabv3
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.deeplabv3(backbones.mobilenet_v2(0.35), atrous_rates=(1, 2, 3), width=128),
        data=data.scenes(),
        training=schedules.scenes(),
    )
