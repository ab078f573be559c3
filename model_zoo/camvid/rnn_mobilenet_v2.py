"""Recurrent segmenter for CamVid (11 classes, 360x480) on MobileNetV2, canvas at stride 4.

python train.py --config=model_zoo/camvid/rnn_mobilenet_v2.py --data_dir=CamVid \
    --init_backbone_from=deeplabv3_mobilenet_v2_voc2012_folded.npz --workdir=runs/camvid_rnn

Against the paper's form: features of strides 2, 4 and 8 beside the last ones and a fine canvas, for thin things (poles
are 4 pixels wide here), and 5 to 8 iterations drawn at each step, so that more than 6 do no harm.
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
            widths=(64, 32),
            canvas_stride=4,
            feature_strides=(2, 4, 8),
        ),
        data=DataConfig(dataset="camvid", crop_size=(320, 416), min_scale=0.5, max_scale=2.0, color_jitter=0.3),
        training=TrainingConfig(
            total_steps=2500,
            global_batch_size=8,
            optimizer="adamw",
            learning_rate=1e-3,
            warmup_steps=100,
            weight_decay=1e-2,
            average_decay=0.998,
            class_weights="root_median",
            validate_every=0,
            checkpoint_every=100,
        ),
    )
