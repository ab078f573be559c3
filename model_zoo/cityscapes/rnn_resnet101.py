"""The paper's recurrent segmenter on Cityscapes: trained on the coarse labels, evaluated on fine val (1025x2049).

python train.py --config=model_zoo/cityscapes/rnn_resnet101.py --data_dir=cityscapes \
    --init_backbone_from=resnet_v1_101_coco/model.ckpt --workdir=runs/cityscapes_rnn
python evaluate.py --workdir=runs/cityscapes_rnn --iters=10

The paper starts from features trained on COCO semantic segmentation (see the VOC recipe). Paper: 72.7 mIoU (classes),
87.6 (categories). Not trained by us: 16 images of 1025x2049 a step want at least eight GPUs of 16 GB.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.rnn(backbones.resnet101()),
        data=data.cityscapes(train_split="train_coarse"),
        training=schedules.recurrent_paper(),
    )
