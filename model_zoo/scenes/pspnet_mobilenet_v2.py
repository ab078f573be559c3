"""PSPNet on the generated scenes: the backbone and training of the demo.

python train.py --model=pspnet
python evaluate.py --workdir=runs/scenes_pspnet
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.pspnet(backbones.mobilenet_v2(0.35), width=64),
        data=data.scenes(),
        training=schedules.scenes(),
    )
