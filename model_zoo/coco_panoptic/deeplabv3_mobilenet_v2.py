"""DeepLabV3 in its mobile form on COCO panoptic 2017, things and stuff as 133 classes.

python train.py --config=model_zoo/coco_panoptic/deeplabv3_mobilenet_v2.py --data_dir=COCO \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/coco_panoptic_deeplabv3_mobile

Not trained by us.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.deeplabv3 import DeepLabV3Config


def get_config():
    return ExperimentConfig(
        model=DeepLabV3Config(BackboneConfig("mobilenet_v2", output_stride=16), atrous_rates=()),
        data=DataConfig(dataset="coco_panoptic", crop_size=(513, 513)),
        training=TrainingConfig(
            total_steps=200_000,
            global_batch_size=16,
            optimizer="sgd",
            momentum=0.9,
            learning_rate=1e-2,
            end_learning_rate=0.0,
            power=0.9,
            validate_every=5000,
        ),
    )
