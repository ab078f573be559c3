"""Recurrent segmenter on the generated scenes: the demo. A few minutes on two cores, from random weights.

python train.py --model=rnn --iters=6

The kernels are 3x3, not the paper's 1x1: on these small frames each iteration then sees a little farther, which makes
the refinement easy to see.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.rnn import RNNConfig


def get_config():
    return ExperimentConfig(
        model=RNNConfig(
            backbone=BackboneConfig("mobilenet_v2", output_stride=16, width_multiplier=0.35),
            iterations=6,
            widths=(32, 16),
            kernel_size=3,
            canvas_stride=8,
            feature_strides=(4, 8),
        ),
        data=DataConfig(dataset="scenes", crop_size=(96, 128), min_scale=0.75, max_scale=1.5),
        training=TrainingConfig(
            total_steps=2500,
            global_batch_size=8,
            optimizer="adamw",
            learning_rate=2e-3,
            warmup_steps=50,
            weight_decay=1e-3,
            average_decay=0.99,
            validate_every=500,
            checkpoint_every=250,
        ),
    )
