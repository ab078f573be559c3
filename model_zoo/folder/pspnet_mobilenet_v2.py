"""PSPNet on MobileNetV2 for your own images and masks.

python train.py --model=pspnet --dataset=folder --data_dir=DIR --init_backbone_from=WEIGHTS --workdir=runs/mine
    DIR holds images/ and masks/ (or train/ and val/ with both), and classes.txt with one class name a line.

What is good to change first: see rnn_mobilenet_v2.py beside this file.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.pspnet import PSPNetConfig


def get_config():
    return ExperimentConfig(
        model=PSPNetConfig(BackboneConfig("mobilenet_v2", output_stride=16), width=128),
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
