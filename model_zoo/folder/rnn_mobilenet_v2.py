"""Recurrent segmenter on MobileNetV2 for your own images and masks.

python train.py --model=rnn --dataset=folder --data_dir=DIR --init_backbone_from=WEIGHTS --workdir=runs/mine
    DIR holds images/ and masks/ (or train/ and val/ with both), and classes.txt with one class name a line.

Good to change first: --crop_size (a little less than your images), --steps (30 to 100 times through the images),
--batch_size (what fits in memory). Start from pre-trained weights whenever you can: --init_backbone_from for a
backbone, --init_from for a model of this folder.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.rnn import RNNConfig


def get_config():
    return ExperimentConfig(
        model=RNNConfig(
            backbone=BackboneConfig("mobilenet_v2", output_stride=16),
            iterations=6,
            iterations_range=(5, 8),
            widths=(48, 24),
            kernel_size=3,
            canvas_stride=8,
            feature_strides=(4, 8),
        ),
        data=DataConfig(dataset="folder", crop_size=(320, 320), color_jitter=0.3),
        training=TrainingConfig(
            total_steps=5000,
            global_batch_size=8,
            optimizer="adamw",
            learning_rate=1e-3,
            warmup_steps=100,
            weight_decay=1e-2,
            average_decay=0.998,
            validate_every=500,
            checkpoint_every=250,
        ),
    )
