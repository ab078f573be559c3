"""PSPNet on the generated scenes: the backbone and training of the demo.

python train.py --model=pspnet
python evaluate.py --workdir=runs/scenes_pspnet
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.pspnet import PSPNetConfig


def get_config():
    return ExperimentConfig(
        model=PSPNetConfig(BackboneConfig("mobilenet_v2", output_stride=16, width_multiplier=0.35), width=64),
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
