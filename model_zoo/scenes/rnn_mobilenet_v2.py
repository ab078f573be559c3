"""Recurrent segmenter on the generated scenes: the demo. A few minutes on two cores, from random weights.

python train.py --model=rnn --iters=6
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.rnn import RNNConfig


def get_config():
    return ExperimentConfig(
        model=RNNConfig(
            backbone=BackboneConfig("mobilenet_v2", output_stride=16, width_multiplier=0.35),
            iterations=6,
            widths=(48, 32),
            canvas_stride=4,
            feature_strides=(4, 8),
        ),
        data=DataConfig(dataset="scenes", crop_size=(96, 128), min_scale=0.75, max_scale=1.5),
        training=TrainingConfig(
            total_steps=1200,
            global_batch_size=8,
            optimizer="adamw",
            learning_rate=4e-3,
            warmup_steps=50,
            weight_decay=1e-3,
            average_decay=0.99,
            validate_every=400,
            checkpoint_every=200,
        ),
    )
