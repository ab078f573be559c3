"""The paper's form of the recurrent segmenter on CamVid: canvas at stride 16, the backbone's last features only.

python train.py --config=model_zoo/camvid/rnn_mobilenet_v2_stride16.py --data_dir=CamVid \
    --init_backbone_from=deeplabv3_mobilenet_v2_voc2012_folded.npz --workdir=runs/camvid_rnn_stride16

Trained as long and in the same way as rnn_mobilenet_v2.py, to show what the finer canvas brings.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.rnn import RNNConfig


def get_config():
    return ExperimentConfig(
        model=RNNConfig(
            backbone=BackboneConfig("mobilenet_v2", output_stride=16), iterations=6, iterations_range=(5, 8)
        ),
        data=DataConfig(dataset="camvid", crop_size=(320, 416), min_scale=0.5, max_scale=2.0, color_jitter=0.3),
        training=TrainingConfig(
            total_steps=3700,
            global_batch_size=8,
            optimizer="adamw",
            learning_rate=1e-3,
            warmup_steps=100,
            weight_decay=1e-2,
            average_decay=0.995,
            class_weights="root_median",
            validate_every=0,
            checkpoint_every=100,
        ),
    )
