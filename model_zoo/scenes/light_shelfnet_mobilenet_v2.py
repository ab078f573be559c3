"""Light-weight ShelfNet on the generated scenes: the backbone and training of the demo, narrow columns.

python train.py --model=light_shelfnet
python evaluate.py --model=runs/scenes_light_shelfnet
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.light_shelfnet(backbones.mobilenet_v2(0.35, output_stride=32), width=32),
        data=data.scenes(),
        training=schedules.scenes(),
    )
