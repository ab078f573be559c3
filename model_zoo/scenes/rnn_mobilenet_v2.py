"""Recurrent segmenter on the generated scenes: the demo. A few minutes on two cores, from random weights.

python train.py --model=rnn --iters=6

The kernels are 3x3, not the paper's 1x1: on these small frames each iteration then sees a little farther, which makes
the refinement easy to see. Each step draws its number of iterations from 3 to 9, so that more than 6 do no harm.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.fine_rnn(backbones.mobilenet_v2(0.35), widths=(32, 16), iterations_range=(3, 9)),
        data=data.scenes(),
        training=schedules.scenes(),
    )
