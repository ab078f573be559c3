"""DeepLabV3 with its whole pyramid on CamVid, trained as long and in the same way as rnn_mobilenet_v2.py.

python train.py --config=model_zoo/camvid/deeplabv3_mobilenet_v2.py --data_dir=CamVid \
    --init_backbone_from=deeplabv3_mobilenet_v2_voc2012_folded.npz --workdir=runs/camvid_deeplabv3
python evaluate.py --workdir=runs/camvid_deeplabv3 --output_stride=8 --report_dir=runs/camvid_deeplabv3/stride8

Trained at output stride 16, evaluated at 16 and, with the same weights, at 8.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.deeplabv3 import DeepLabV3Config


def get_config():
    return ExperimentConfig(
        model=DeepLabV3Config(BackboneConfig("mobilenet_v2", output_stride=16)),
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
