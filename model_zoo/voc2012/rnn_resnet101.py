"""The paper's recurrent segmenter on PASCAL VOC 2012 with the augmented masks (21 classes, 513x513).

python train.py --config=model_zoo/voc2012/rnn_resnet101.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=resnet_v1_101_coco/model.ckpt --workdir=runs/voc2012_rnn
python evaluate.py --workdir=runs/voc2012_rnn --iters=10 --multi_scale --flip

The paper starts from features trained on COCO semantic segmentation: give such a checkpoint (DeepLab's names), or
TF-Slim's resnet_v1_101.ckpt, which has seen ImageNet only. Paper: 80.3 mIoU after 6 iterations, multi-scale. Not
trained by us: 30,000 updates of 16 images need about 1.5 days on one 16 GB GPU by the cost of the network.
"""

from tfseg.backbones import BackboneConfig
from tfseg.config import DataConfig, ExperimentConfig, TrainingConfig
from tfseg.models.rnn import RNNConfig


def get_config():
    return ExperimentConfig(
        model=RNNConfig(
            backbone=BackboneConfig("resnet101_v1", output_stride=16, multi_grid=(1, 2, 4), padding="symmetric"),
            iterations=6,
            widths=(512, 256),
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
