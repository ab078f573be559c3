"""DeeperLab on the generated scenes, whose things overlap and are small: images are enlarged to twice their size.

python train.py --model=deeperlab --workdir=runs/scenes_deeperlab
python evaluate.py --workdir=runs/scenes_deeperlab --split=test
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.data.panoptic_targets import PanopticTargetConfig
from tfseg.models.deeperlab_config import DeeperLabConfig


def get_config():
    return ExperimentConfig(
        model=DeeperLabConfig(
            BackboneConfig("mobilenet_v2", output_stride=16, width_multiplier=0.5, padding="symmetric"),
            atrous_rates=(2, 4, 6),
            aspp_width=96,
            decoder="bilinear",
            enlargement=2,
            width=64,
            kernel_size=5,
            instance_width=32,
            targets=PanopticTargetConfig(radius=8.0, stride=2, small_instance_area=128),
            dropout_rate=0.0,
        ),
        data=DataConfig(dataset="scenes", crop_size=(96, 128), min_scale=0.75, max_scale=1.5),
        training=TrainingConfig(
            total_steps=2500,
            global_batch_size=8,
            optimizer="adamw",
            learning_rate=2e-3,
            warmup_steps=100,
            weight_decay=1e-3,
            average_decay=0.99,
            validate_every=0,
            checkpoint_every=100,
        ),
    )
