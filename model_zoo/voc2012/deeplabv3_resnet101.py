"""DeepLabV3 on PASCAL VOC 2012 with the augmented masks (21 classes, 513x513).

python train.py --config=model_zoo/voc2012/deeplabv3_resnet101.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=resnet_v1_101_coco/model.ckpt --workdir=runs/voc2012_deeplabv3
python evaluate.py --workdir=runs/voc2012_deeplabv3 --multi_scale --flip

The beta stem is that of DeepLab's checkpoints. Paper: 85.7 mIoU on test, with more data and at output stride 8. Not
trained by us.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.deeplabv3 import DeepLabV3Config


def get_config():
    return ExperimentConfig(
        model=DeepLabV3Config(
            BackboneConfig("resnet101_v1_beta", output_stride=16, multi_grid=(1, 2, 4), padding="symmetric"),
            atrous_rates=(6, 12, 18),
        ),
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
