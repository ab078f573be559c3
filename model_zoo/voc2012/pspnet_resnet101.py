"""PSPNet on PASCAL VOC 2012 with the augmented masks (21 classes, 513x513).

python train.py --config=model_zoo/voc2012/pspnet_resnet101.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=resnet_v1_101_coco/model.ckpt --workdir=runs/voc2012_pspnet

Paper: 85.4 mIoU on test, with more data. Its auxiliary loss is left out here. Not trained by us.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.pspnet import PSPNetConfig


def get_config():
    return ExperimentConfig(
        model=PSPNetConfig(BackboneConfig("resnet101_v1", output_stride=8, multi_grid=(1, 1, 1), padding="symmetric")),
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
