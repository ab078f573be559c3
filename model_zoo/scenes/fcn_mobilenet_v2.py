"""Feed-forward head on the generated scenes: as many weights, the same backbone, features and training as the demo.

python train.py --model=fcn
python evaluate.py --workdir=runs/scenes_fcn
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.fine_fcn(backbones.mobilenet_v2(0.35), widths=(128, 73)),
        data=data.scenes(),
        training=schedules.scenes(),
    )
