"""The paper's recurrent segmenter on Cityscapes: trained on the coarse labels, evaluated on fine val (1025x2049).

python train.py --config=model_zoo/cityscapes/rnn_resnet101.py --data_dir=cityscapes \
    --init_backbone_from=resnet_v1_101_coco/model.ckpt --workdir=runs/cityscapes_rnn
python evaluate.py --workdir=runs/cityscapes_rnn --iters=10

The paper starts from features trained on COCO semantic segmentation (see the VOC recipe). Paper: 72.7 mIoU (classes),
87.6 (categories). Not trained by us: 16 images of 1025x2049 a step want at least eight GPUs of 16 GB.
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
        data=DataConfig(dataset="cityscapes", train_split="train_coarse", crop_size=(1025, 2049)),
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
