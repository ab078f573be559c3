"""DeepLabV3 in its mobile form on PASCAL VOC 2012 (21 classes, 513x513): image pooling and a 1x1 convolution alone.

python train.py --config=model_zoo/voc2012/deeplabv3_mobilenet_v2.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=mobilenet_v2/model.ckpt --workdir=runs/voc2012_deeplabv3_mobile

Not trained by us.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.deeplabv3 import DeepLabV3Config


def get_config():
    return ExperimentConfig(
        model=DeepLabV3Config(BackboneConfig("mobilenet_v2", output_stride=16), atrous_rates=()),
        data=DataConfig(dataset="voc2012", train_split="train_aug", crop_size=(513, 513)),
        training=TrainingConfig(
            total_steps=30_000,
            global_batch_size=16,
            optimizer="sgd",
            momentum=0.95,
            learning_rate=1e-3,
            end_learning_rate=1e-6,
            power=0.9,
            validate_every=1000,
        ),
    )
