"""Feed-forward head on the generated scenes: as many weights, the same backbone, features and training as the demo.

python train.py --model=fcn
python evaluate.py --workdir=runs/scenes_fcn
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.fcn import FCNConfig


def get_config():
    return ExperimentConfig(
        model=FCNConfig(
            backbone=BackboneConfig("mobilenet_v2", output_stride=16, width_multiplier=0.35),
            widths=(128, 73),
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
