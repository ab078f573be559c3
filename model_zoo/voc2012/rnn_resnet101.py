"""The paper's recurrent segmenter on PASCAL VOC 2012 with the augmented masks (21 classes, 513x513).

python train.py --config=model_zoo/voc2012/rnn_resnet101.py --data_dir=VOCdevkit/VOC2012 \
    --init_backbone_from=resnet_v1_101_coco/model.ckpt --workdir=runs/voc2012_rnn
python evaluate.py --workdir=runs/voc2012_rnn --iters=10 --multi_scale --flip

The paper starts from features trained on COCO semantic segmentation: give such a checkpoint (DeepLab's names), or
TF-Slim's resnet_v1_101.ckpt, which has seen ImageNet only. Paper: 80.3 mIoU after 6 iterations, multi-scale. Not
trained by us: 30,000 updates of 16 images need about 1.5 days on one 16 GB GPU by the cost of the network.
"""

from model_zoo import backbones, data, models, schedules
from tfseg.config import ExperimentConfig


def get_config():
    return ExperimentConfig(
        model=models.rnn(backbones.resnet101()),
        data=data.voc2012(),
        training=schedules.recurrent_paper(),
    )
